"""What `datasets preview` draws."""

import json

import numpy as np
import pytest
from PIL import Image

from cnncli.api.specs import open_spec
from cnncli.datasets.dataset import Split
from cnncli.datasets.images.as_image import as_image
from cnncli.datasets.inspect.preview import rows
from cnncli.datasets.load import load
from cnncli.datasets.section import AUGMENTATIONS
from tests.cli.test_train import SPEC, cnncli
from tests.datasets.photos import picture
from tests.training import small

FLIP = AUGMENTATIONS.parse({"RandomFlip": {"mode": "horizontal"}})


def split(dtype=np.uint8):
    """Twelve images 5 × 4, of random pixels."""
    return Split(np.random.default_rng(1).integers(0, 256, (12, 5, 4, 3)).astype(dtype), None, "made", "x_train")


def test_images_are_shown_as_they_are_and_flipped_or_not():
    train = split()
    found = rows(train, [FLIP], 7, images=6, draws=5)
    assert (found.shape, found.dtype) == ((6, 6, 5, 4, 3), np.uint8)
    originals = found[0]
    assert all(any((image == x).all() for x in train.x) for image in originals)
    flips = 0
    for drawn in found[1:]:
        for image, original in zip(drawn, originals, strict=True):
            flipped = (image == original[:, ::-1]).all()
            assert flipped or (image == original).all()
            flips += flipped
    assert 0 < flips < 30
    np.testing.assert_array_equal(found, rows(train, [FLIP], 7, images=6, draws=5))


def test_floats_are_spread_over_all_shades():
    train = Split(split().x.astype(np.float32) / 100 - 1, None, "made", "x_train")
    found = rows(train, [], 7, images=12, draws=1)
    assert (found[0].min(), found[0].max()) == (0, 255)


def test_a_mask_is_below_its_image_in_colours_and_moves_with_it():
    masks = np.random.default_rng(2).integers(0, 5, (12, 5, 4)).astype(np.uint8)
    train = Split(masks[..., None], masks, "made", "x_train")
    found = rows(train, [FLIP], 7, images=6, draws=5)
    assert (found.shape, found.dtype) == ((6, 6, 10, 4, 3), np.uint8)
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]])
    assert (found[:, :, 5:] == colours[found[:, :, :5, :, 0]]).all()
    assert (found[1:] != found[:1]).any()


def test_the_command_writes_a_png_and_says_what_is_wrong(tmp_path):
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    flip = ("--set", "data.augment=[RandomFlip]")
    done = cnncli(tmp_path, "datasets", "preview", "bars.yaml", "--images", "3", *flip)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "preview.png  3 training images as they are, and in 4 rows as 4 batches see them\n"
    drawn = np.asarray(Image.open(tmp_path / "preview.png").convert("L"))
    assert drawn.shape[0] > drawn.shape[1]  # five rows of three images
    tones = ("--set", "data.augment=[{RandomBrightness: {factor: 0.2}}]", "--images", "1")
    done = cnncli(tmp_path, "datasets", "preview", "bars.yaml", *tones)
    assert done.returncode == 0
    assert done.stderr.startswith("warning: RandomBrightness takes images for numbers from 0 to 255; those of ")
    assert done.stderr.count("\n") == 1
    done = cnncli(tmp_path, "datasets", "preview", "bars.yaml", "--images", "3", "-o", "plain.svg")
    assert (done.returncode, done.stdout) == (0, "plain.svg  3 training images as they are\n")
    assert (tmp_path / "plain.svg").read_text().count("<image ") == 3
    for options, code, message in [
        (("-o", "x.jpg"), 2, "pictures are written as .svg or .png; received 'x.jpg'"),
        ((*flip, "-o", "no/x.png"), 1, "can't be written: there is no directory 'no'"),
    ]:
        done = cnncli(tmp_path, "datasets", "preview", "bars.yaml", *options)
        assert (done.returncode, done.stdout) == (code, "")
        assert message in done.stderr


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 13])
def test_of_other_channels_the_first_are_drawn(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, channels)).astype(np.uint8)
    drawn = np.asarray(as_image(pixels))
    assert np.array_equal(drawn, pixels[..., :3] if channels > 2 else pixels[..., 0])


def spec(dataset, shape, last, loss="mean_squared_error", **data):
    """A spec of a model of one layer, as a dict."""
    section = {"dataset": str(dataset), **data}
    layers = [last] if isinstance(last, dict) else ["Flatten", {"Dense": {"units": last}}]
    return {
        "data": section,
        "model": {"input_shape": list(shape), "layers": layers},
        "compile": {"optimizer": "adam", "loss": loss},
        "fit": {"epochs": 1},
    }


def ages(root):
    """Images in a table with an age each."""
    for i in range(6):
        picture(root / f"{i}.png", colour=(40 * i, 3, 7))
    (root / "labels.csv").write_text("\n".join(["file,age", *(f"{i}.png,{i}.5" for i in range(6))]))
    return root


def cells(root):
    """Images with masks."""
    for i in range(6):
        picture(root / f"images/{i}.png", colour=(40 * i, 3, 7))
        Image.fromarray(np.full((6, 4), i % 2, np.uint8)).save(root / f"images/{i}_mask.png")
    return root / "images"


def arrays(root, channels, dtype=np.uint8):
    """Arrays with so many channels."""
    root.mkdir()
    x = np.random.default_rng(3).integers(0, 256, (6, 6, 4, channels)).astype(dtype)
    np.savez(root / "own.npz", x_train=x, y_train=np.array([0, 1, 0, 1, 0, 1]))
    return root / "own.npz"


PIXELS = {"Conv2D": {"filters": 2, "kernel_size": 1, "activation": "softmax"}}
SAME = {"Conv2D": {"filters": 3, "kernel_size": 1}}
SOURCES = {
    "values": (lambda root: spec(ages(root), (6, 4, 3), 1, targets="values"), "RGB"),
    "masks": (
        lambda root: spec(cells(root), (6, 4, 3), PIXELS, "categorical_crossentropy", targets="masks"),
        "RGB",
    ),
    "grey": (lambda root: spec(ages(root), (6, 4, 1), 1, targets="values", color_mode="grayscale"), "L"),
    "input": (lambda root: spec(ages(root), (6, 4, 3), SAME, targets="input"), "RGB"),
    "arrays": (lambda root: spec(arrays(root, 3), (6, 4, 3), 1), "RGB"),
    "floats": (lambda root: spec(arrays(root, 1, np.float32), (6, 4, 1), 1), "L"),
    "five channels": (lambda root: spec(arrays(root, 5), (6, 4, 5), 1), "RGB"),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_images_of_every_kind_are_drawn_with_and_without_augmentation(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))
    made, mode = SOURCES[kind][0](tmp_path / "own"), SOURCES[kind][1]
    (tmp_path / "own.yaml").write_text(json.dumps(made))
    for options, count in (((), 4), (("--set", "data.augment=[RandomFlip]"), 12)):
        done = cnncli(
            tmp_path, "datasets", "preview", "own.yaml", *options, "-o", "own.svg", "--images", 4, "--draws", 2
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "own.svg").read_text().count("<image ") == count
    found = rows(load(open_spec(made).data, tmp_path).train, [], 0, images=4, draws=0)
    assert as_image(found[0, 0]).mode == mode
