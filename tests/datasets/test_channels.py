"""Images of more channels than three: files as they are, what is trained on them, and what is drawn of them."""

import numpy as np
import pytest
from PIL import Image

import cnncli as library
from cnncli.datasets.describe import describe
from cnncli.datasets.images.decode import AllChannels, decode
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.bands import Bands, bands_of
from cnncli.datasets.sources.image_files import UnusableError, size_of
from cnncli.errors import CnncliError
from tests.cli.test_train import cnncli
from tests.datasets.test_decode import TURNED
from tests.datasets.test_layouts import CLASSES, drawing

tifffile = pytest.importorskip("tifffile")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


def numbers(dtype, channels, size=(5, 4)):
    generator = np.random.default_rng(channels)
    if dtype == "float32":
        return generator.normal(0, 3, (*size, channels)).astype(np.float32)
    return generator.integers(0, np.iinfo(dtype).max, (*size, channels), endpoint=True).astype(dtype)


def written(path, pixels, **options):
    many = pixels.ndim == 3 and pixels.shape[-1] > 1
    layout = {"planarconfig": "contig"} if many else {}
    tifffile.imwrite(path, pixels, photometric="minisblack", **{**layout, **options})
    return path


def read(path, *shape, **options):
    return decode(path, AllChannels(*shape[:2], "all", channels=shape[2], **options))


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 13])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"bigtiff": True}])
def test_all_channels_of_a_tiff_are_those_that_were_written(tmp_path, channels, dtype, options):
    pixels = numbers(dtype, channels)
    path = written(tmp_path / "x.tif", pixels, **options)
    held = bands_of(path)
    assert held[:3] == ((5, 4), channels, "uint8" if dtype == "uint8" else "float32")
    made = read(path, 5, 4, channels)
    assert made.dtype == held.dtype
    assert np.array_equal(made, pixels)


def test_planes_one_after_another_are_channels(tmp_path):
    pixels = numbers("uint16", 6)
    tifffile.imwrite(tmp_path / "x.tif", np.moveaxis(pixels, -1, 0), photometric="minisblack", planarconfig="separate")
    assert np.array_equal(read(tmp_path / "x.tif", 5, 4, 6), pixels)


def test_files_that_pillow_reads_keep_their_channels_too(tmp_path):
    for mode, channels in (("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("CMYK", 4)):
        pixels = numbers("uint8", channels)
        path = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        Image.frombytes(mode, (4, 5), pixels.tobytes()).save(path)
        assert bands_of(path) == Bands((5, 4), channels, "uint8")
        assert np.array_equal(read(path, 5, 4, channels), pixels)
    Image.fromarray(numbers("uint16", 1)[..., 0]).save(tmp_path / "deep.png")
    assert np.array_equal(read(tmp_path / "deep.png", 5, 4, 1), numbers("uint16", 1))


@pytest.mark.parametrize("orientation", TURNED)
def test_many_channels_are_turned_as_their_tag_says(tmp_path, orientation):
    stored = np.array(TURNED[1], np.uint8)[..., None] + np.arange(5, dtype=np.uint8)
    path = written(tmp_path / "x.tif", stored, extratags=[(274, 3, 1, orientation, True)])
    expected = np.array(TURNED[orientation])[..., None] + np.arange(5)
    assert size_of(path) == expected.shape[:2]
    assert np.array_equal(read(path, *expected.shape), expected)


@pytest.mark.parametrize("options", [{}, {"crop": True}, {"pad": True}, {"antialias": False}])
def test_each_channel_is_resized_like_a_gray_image(tmp_path, options):
    pixels = numbers("uint8", 5, (12, 9))
    made = read(written(tmp_path / "x.tif", pixels), 6, 6, 5, **options)
    from cnncli.datasets.images.decode import Form

    for channel in range(5):
        Image.fromarray(pixels[..., channel]).save(tmp_path / "gray.png")
        gray = decode(tmp_path / "gray.png", Form(6, 6, "grayscale", **options))
        assert np.array_equal(made[..., channel], gray[..., 0])
    levels = pixels.astype(np.float32) * 40
    floats = read(written(tmp_path / "y.tif", levels), 6, 6, 5, **options)
    assert np.abs(floats / 40 - made).max() <= 1.01  # those of 8 bits are rounded twice


def test_other_color_modes_say_how_many_channels_are_read_and_by_what(tmp_path):
    path = written(tmp_path / "x.tif", numbers("uint8", 5))
    from cnncli.datasets.images.decode import Form

    with pytest.raises(UnusableError, match="it has 5 channels, which `color_mode: all` under `data` reads"):
        decode(path, Form(5, 4))


def test_files_of_other_channels_or_types_are_refused(tmp_path):
    path = written(tmp_path / "x.tif", numbers("uint16", 5))
    with pytest.raises(UnusableError, match="must have the channels of the first, 6 of uint8; received 5 of float32"):
        read(path, 5, 4, 6, kind="uint8")
    bad = numbers("float32", 5)
    bad[0, 0, 0] = np.nan
    with pytest.raises(UnusableError, match="finite"):
        read(written(tmp_path / "y.tif", bad), 5, 4, 5)
    content = path.read_bytes()
    for size in range(0, len(content) - 10, 29):
        (tmp_path / "z.tif").write_bytes(content[:size])
        with pytest.raises(UnusableError):
            read(tmp_path / "z.tif", 5, 4, 5)


SPEC = """\
data: {{dataset: own, color_mode: all, test_split: 0.2, {data}}}
model:
  layers:
    - Conv2D: {{filters: 8, kernel_size: 3, activation: relu}}
    - GlobalMaxPooling2D
    - Dense: {{units: 2, activation: softmax}}
compile: {{optimizer: {{Adam: {{learning_rate: 0.02}}}}, loss: categorical_crossentropy, metrics: [accuracy]}}
fit: {{epochs: 12, batch_size: 8}}
"""


def scenes(root, count=30, channels=5, dtype="uint16"):
    """A folder per class of drawings that only the last two channels show, at the scale of reflectances."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = generator.integers(0, 10_000, (12, 12, channels))
            pixels[..., -2:] = drawing(number, generator).astype(int)[..., :2] * 3 + 200
            if dtype == "uint8":
                pixels //= 40
            written(root / name / f"{i:03}.tif", pixels.astype(dtype))


def test_a_folder_of_five_channels_trains_evaluates_and_predicts(tmp_path):
    scenes(tmp_path / "own")
    (tmp_path / "own.yaml").write_text(SPEC.format(data="normalize: train"))
    known = describe(DataSection(dataset="own", color_mode="all"), tmp_path)
    assert (known.input_shape, known.dtype) == ((12, 12, 5), "float32")
    run = library.train(tmp_path / "own.yaml", output=tmp_path / "run")
    assert run.test["accuracy"] >= 0.9
    model = library.load(tmp_path / "run")
    assert model.evaluate().figures == run.test
    found = model.predict(tmp_path / "own")
    assert len(found) == 60
    right = [label == name.rsplit("/", 2)[-2] for name, label in zip(found.names, found.labels, strict=True)]
    assert np.mean(right) >= 0.9
    again = library.train(tmp_path / "own.yaml", output=tmp_path / "again")  # from the cache
    assert again.digest == run.digest
    assert model.evaluate(tmp_path / "own").figures["accuracy"] >= 0.9


def test_init_writes_a_spec_that_trains_on_all_channels(tmp_path):
    scenes(tmp_path / "own")
    done = cnncli(tmp_path, "init", "--data", "own", "-o", "new.yaml")
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "new.yaml").read_text()
    assert "color_mode: all" in written
    assert "normalize: train" in written
    assert "# Input: 12 × 12 × 5." in written
    done = cnncli(tmp_path, "train", "new.yaml", "--epochs", "2", "--output", "run")
    assert done.returncode == 0, done.stderr


def test_they_are_checked_drawn_and_explained(tmp_path):
    scenes(tmp_path / "own", count=6)
    (tmp_path / "own.yaml").write_text(SPEC.format(data="normalize: train"))
    done = cnncli(tmp_path, "datasets", "check", "own", "-o", "sheet.png")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 images are of 5 channels; set `color_mode: all` under `data` to read all of them" in done.stdout
    assert (tmp_path / "sheet.png").exists()
    assert "set `" not in cnncli(tmp_path, "datasets", "check", "own.yaml").stdout
    done = cnncli(tmp_path, "train", "own.yaml", "--epochs", "1", "--output", "run")
    assert done.returncode == 0, done.stderr
    for command in (
        ("datasets", "preview", "own.yaml", "-o", "preview.png"),
        ("predict", "run", "own/disk/000.tif"),
        ("explain", "run", "own/disk/000.tif", "-o", "why.png"),
        ("report", "run", "-o", "page.html"),
    ):
        done = cnncli(tmp_path, *command)
        assert done.returncode == 0, (command, done.stderr)


def test_without_tifffile_one_line_says_what_to_install(tmp_path, monkeypatch):
    scenes(tmp_path / "own", count=6)
    monkeypatch.setattr("cnncli.extras.find_spec", lambda name: None)
    with pytest.raises(CnncliError, match=r"an image of 5 channels needs tifffile: pip install 'cnncli\[tiff\]'"):
        describe(DataSection(dataset="own", color_mode="all"), tmp_path)


def test_what_contradicts_all_channels_is_said():
    from cnncli.layers.declarations.validation_errors import ValidationError

    for keys in ({"alpha": "white"}, {"bit_depth": 12}):
        with pytest.raises(ValidationError, match="must be omitted with `color_mode: all`"):
            DataSection(dataset="own", color_mode="all", **keys)
