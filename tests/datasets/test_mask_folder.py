"""Folders of images and masks: paired by name, read as class numbers, told of all that is wrong at once."""

import json
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.describe import describe
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError
from cnncli.layers.declarations.validation_errors import ValidationError
from tests.cli.test_train import cnncli
from tests.datasets.photos import picture


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "photos"


def mask(path, numbers, mode="L"):
    """Write a mask of these class numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(numbers, np.uint8))
    if mode == "P":
        image.putpalette([level for number in range(256) for level in (255 - number, 9, number)])
    image.save(path)


def pairs(root, count=8, *, folder="", most=3, ending=".png", mode="L"):
    """`count` images 6 × 4 with masks of random classes below `most`, which are returned."""
    generator, made = np.random.default_rng(len(folder)), {}
    for i in range(count):
        made[f"{i:02}"] = generator.integers(0, most, (6, 4)).astype(np.uint8)
        picture(root / folder / "images" / f"{i:02}.jpg", colour=(20 * i, 7, 100))
        mask(root / folder / "masks" / f"{i:02}{ending}", made[f"{i:02}"], mode)
    return made


def read(root, **options):
    return load(DataSection(dataset=str(root), targets="masks", **options), root)


def by_name(split):
    return {split.files[row].rpartition("/")[2].partition(".")[0]: split.y[row] for row in split.numbers}


@pytest.mark.parametrize(
    ("ending", "mode"), [(".png", "L"), (".png", "P"), (".bmp", "L"), (".bmp", "P"), (".gif", "P")]
)
def test_masks_hold_the_numbers_that_stand_in_the_files(root, ending, mode):
    made = pairs(root, ending=ending, mode=mode)
    found = read(root, validation_split=0.25)
    assert found.train.y.dtype == np.uint8
    assert (len(found.train), len(found.validation)) == (6, 2)
    seen = by_name(found.train) | by_name(found.validation)
    assert seen.keys() == made.keys()
    assert all(np.array_equal(seen[name], made[name]) for name in made)
    assert found.classes == ("0", "1", "2")


def test_folders_of_splits_and_folders_within_are_kept_apart(root):
    made = {name: pairs(root, 3, folder=name) for name in ("train", "val", "test")}
    picture(root / "train/images/park/00.png")
    mask(root / "train/masks/park/00.png", np.full((6, 4), 2))
    found = read(root)
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 4, "validation": 3, "test": 3}
    for name, split in (("val", found.validation), ("test", found.test)):
        assert all(np.array_equal(by_name(split)[one], made[name][one]) for one in made[name])
    samples = describe(DataSection(dataset=str(root), targets="masks"), root).samples
    assert samples == {"train": 4, "validation": 3, "test": 3}


@pytest.mark.parametrize("bits", [1, 8])
def test_black_and_white_masks_are_of_the_classes_0_and_1(root, bits):
    made = pairs(root, most=2)
    for name, numbers in made.items():
        image = Image.fromarray(numbers * 255)
        (image.convert("1") if bits == 1 else image).save(root / "masks" / f"{name}.png")
    found = read(root)
    assert all(np.array_equal(by_name(found.train)[name], made[name]) for name in made)
    assert found.classes == ("0", "1")


def test_where_a_mask_holds_another_number_255_is_that_number(root):
    pairs(root, 3, most=2)
    mask(root / "masks/00.png", np.full((6, 4), 255))
    assert by_name(read(root).train)["00"].min() == 255


def test_grey_levels_of_few_bits_are_not_spread(root):
    """A 2-bit grey PNG, which Pillow reads as 0, 85, 170, 255 and can't write: made by hand."""
    pairs(root, 1)
    numbers = np.arange(24).reshape(6, 4) % 4
    rows = b"".join(b"\0" + bytes([sum(int(number) << 6 - 2 * i for i, number in enumerate(row))]) for row in numbers)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 4, 6, 2, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (root / "masks/00.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    assert np.array_equal(by_name(read(root).train)["00"], numbers)


def test_masks_are_resized_with_their_images_but_never_blended(root):
    numbers = np.array([[0, 9], [4, 7]])
    picture(root / "images/a.png", size=(2, 2))
    mask(root / "masks/a.png", numbers)
    found = read(root, image_size=[6, 4]).train
    assert found.x.shape[1:] == (6, 4, 3)
    assert np.array_equal(found.y[0], numbers.repeat(3, 0).repeat(2, 1))
    cut = read(root, image_size=[2, 1], crop_to_aspect_ratio=True).train.y[0]
    assert np.array_equal(cut, numbers[:, :1])


def test_all_that_is_wrong_is_told_at_once_and_may_be_skipped(root):
    pairs(root, 9)
    (root / "masks/00.png").unlink()
    (root / "images/01.jpg").unlink()
    mask(root / "masks/02.png", np.zeros((6, 5)))
    picture(root / "masks/03.png")
    (root / "masks/04.png").write_bytes(b"")
    (root / "masks/05.png").rename(root / "masks/05.jpg")
    Image.fromarray(np.full((6, 4), 300, np.uint16)).save(root / "masks/06.png")
    mask(root / "masks/07.bmp", np.zeros((6, 4)))
    with pytest.raises(CnncliError) as caught:
        read(root)
    names = [
        "images/00.jpg: an image must have a mask, masks/00.png",
        "masks/01.png: a mask must have an image in images",
    ]
    names += [
        "masks/05.jpg: a mask must be PNG, BMP, GIF, PNM or TIFF: lossy formats change class numbers",
        "images/05.jpg: an image must have a mask",
    ]
    names += ["07.png: there must be one file of this name; there is masks/07.bmp"]
    for said in names:
        assert said in str(caught.value)
    found = read(root, on_error="skip")
    assert sorted(by_name(found.train)) == ["07", "08"]
    said = {problem.file: problem.rule for problem in found.skipped}
    assert said["masks/02.png"] == "a mask must be as large as its image, 6 × 4 (height × width); it is 6 × 5"
    assert said["masks/03.png"] == (
        "a mask must have one class number per pixel, as in grayscale and palette images; received RGB"
    )
    assert "0 bytes" in said["masks/04.png"]
    assert said["masks/06.png"] == "a mask must have class numbers ≤ 255; it has 300"
    done = cnncli(root.parent, "datasets", "check", "photos", "--masks", "--json")
    assert done.returncode == 1
    problems = {problem["file"] for problem in json.loads(done.stdout)["problems"]}
    assert problems >= {"images/00.jpg", "masks/01.png", "masks/02.png", "masks/03.png", "masks/04.png", "masks/06.png"}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_grey_masks_that_are_stored_in_colors_hold_their_grey_levels(root, mode):
    expected = pairs(root, 2)
    for name, numbers in expected.items():
        Image.fromarray(numbers).convert(mode).save(root / f"masks/{name}.png")
    assert all(np.array_equal(found, expected[name]) for name, found in by_name(read(root).train).items())


def test_black_and_white_masks_in_colors_are_0_and_1(root):
    expected = pairs(root, 3, most=2)
    for name, numbers in expected.items():
        Image.fromarray(numbers * np.uint8(255)).convert("RGB").save(root / f"masks/{name}.png")
    assert all(np.array_equal(found, expected[name]) for name, found in by_name(read(root).train).items())


PALETTE = [[0, 0, 0], [128, 0, 64], [224, 224, 192]]


def colored(root, count=3):
    """Masks in colors: their class numbers, with those of the last color as void."""
    expected = pairs(root, count)
    for name, numbers in expected.items():
        Image.fromarray(np.uint8(PALETTE)[numbers]).save(root / f"masks/{name}.png")
    return expected


def test_a_palette_tells_the_classes_of_colors(root):
    expected = colored(root)
    found = read(root, palette=PALETTE)
    assert all(np.array_equal(numbers, expected[name]) for name, numbers in by_name(found.train).items())
    assert found.classes == ("0", "1", "2")
    turned = read(root, palette=PALETTE[::-1])
    assert all(np.array_equal(numbers, 2 - expected[name]) for name, numbers in by_name(turned.train).items())
    enlarged = by_name(read(root, palette=PALETTE, image_size=[12, 8]).train)
    assert all(np.array_equal(numbers, expected[name].repeat(2, 0).repeat(2, 1)) for name, numbers in enlarged.items())


@pytest.mark.parametrize("antialias", [True, False])
def test_what_a_mask_is_padded_with_is_void(root, antialias):
    pairs(root, 2)
    padded = {"image_size": [6, 8], "pad_to_aspect_ratio": True, "antialias": antialias}
    for void in (None, 255):
        data = DataSection(dataset=str(root), targets="masks", **padded)
        numbers = by_name(load(data, root.parent, void=void).train)["01"]
        assert (numbers[:, [0, 1, 6, 7]] == (void or 0)).all()
        assert numbers[:, 2:6].max() < 3


def test_check_suggests_the_palette_of_all_masks(root):
    pairs(root, 3)
    for name, colors in (("00", PALETTE[:2]), ("01", PALETTE[1:]), ("02", PALETTE[:1])):
        Image.fromarray(np.resize(np.uint8(colors), (6, 4, 3))).save(root / f"masks/{name}.png")
    done = cnncli(root.parent, "datasets", "check", "photos", "--masks")
    assert done.returncode == 1
    assert f"palette: {PALETTE}" in " ".join(done.stdout.split())
    assert (
        json.loads(cnncli(root.parent, "datasets", "check", "photos", "--masks", "--json").stdout)["palette"] == PALETTE
    )


def test_colors_without_a_palette_and_beside_one_are_named(root):
    colored(root)
    with pytest.raises(
        CnncliError, match=re.escape(f"if colors are classes, list them under `data`, as `palette: {PALETTE}`")
    ):
        read(root)
    with pytest.raises(CnncliError, match=r"must have the colors of `palette`; the pixel in row \d, column \d has \["):
        read(root, palette=PALETTE[:2])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"palette": PALETTE}, "palette requires `targets: masks`"),
        ({"palette": [*PALETTE, PALETTE[0]], "targets": "masks"}, "palette must have each color once"),
        (
            {"palette": [[0, 0, 256], [1, 1, 1]], "targets": "masks"},
            r"palette\.0\.2 must be a list .* each an integer from 0 to 255",
        ),
    ],
)
def test_a_palette_has_each_color_once_and_is_of_masks(arguments, said):
    with pytest.raises(ValidationError, match=said):
        DataSection(dataset="photos", **arguments)


def test_a_mask_that_is_transparent_is_no_grey_one(root):
    pairs(root, 2)
    Image.fromarray(np.zeros((6, 4, 4), np.uint8)).save(root / "masks/01.png")
    with pytest.raises(CnncliError, match=r"01\.png: a mask must have one class number .* received RGBA"):
        read(root)


def test_a_folder_without_the_two_folders_is_no_source_of_masks(root):
    picture(root / "cats/1.png")
    with pytest.raises(CnncliError, match="there must be the folders images and masks"):
        read(root)


def test_a_cached_mask_is_read_again_where_its_image_changes(root):
    made = pairs(root, 2)
    read(root)
    assert np.array_equal(by_name(read(root).train)["01"], made["01"])
    picture(root / "images/01.jpg", size=(7, 4))
    with pytest.raises(CnncliError, match=r"01\.png: a mask must be as large as its image, 7 × 4"):
        read(root, image_size=[6, 4])


SPEC = """\
data: {dataset: photos, targets: masks, validation_split: 0.25, augment: [RandomFlip]}
model:
  layers:
    - Conv2D: {filters: 3, kernel_size: 3, padding: same, activation: softmax}
compile: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 1, batch_size: 4}
"""


def test_names_are_paired_whichever_form_their_accents_have(root):
    picture(root / "images/cafe\u0301.jpg")
    mask(root / "masks/caf\u00e9.png", np.ones((6, 4)))
    assert by_name(read(root).train)["cafe\u0301"].min() == 1


def test_a_class_number_too_many_is_told_of_its_own_split_and_mask(root):
    for name in ("train", "val", "test"):
        pairs(root, 3, folder=name, most=2)
    mask(root / "test/masks/02.png", np.full((6, 4), 5))
    (root.parent / "own.yaml").write_text(SPEC.replace(", validation_split: 0.25", ""))
    done = cnncli(root.parent, "train", "own.yaml")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        f"error: {root}: the masks of test must hold class numbers below 3, the number of classes of the model's "
        "outputs; test/masks/02.png has 5",
    )


def test_a_folder_is_checked_trained_on_and_evaluated(root):
    pairs(root, 8)
    (root.parent / "own.yaml").write_text(SPEC)
    for arguments in (("check", "own.yaml"), ("train", "own.yaml", "--output", "run"), ("evaluate", "run")):
        done = cnncli(root.parent, *arguments)
        assert done.returncode == 0, done.stderr
    assert "pixels" in done.stdout
    few = cnncli(root.parent, "train", "own.yaml", "--set", "model.layers.conv2d.filters=2")
    assert few.returncode == 1
    assert "photos: the masks of train must hold class numbers below 2" in few.stderr
    assert re.search(r"; masks/\d\d\.png has 2$", few.stderr.splitlines()[-1])
    good = cnncli(root.parent, "datasets", "check", "photos", "--masks")
    assert (good.returncode, good.stdout.splitlines()[0]) == (0, "photos: 8 images with masks")
