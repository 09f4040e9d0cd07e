"""Image formats: the pixels that files of each must give, and what is said of files that give none."""

import io
import struct
from pathlib import PurePath

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, features

from cnncli.datasets.images.decode import MASK, Form, decode
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources import image_files
from cnncli.datasets.sources.image_files import UnusableError, size_of
from cnncli.datasets.sources.image_names import ENDINGS, FORMATS, is_picture, unread
from tests.cli.test_train import cnncli
from tests.datasets.test_decode import NUMBERS, TURNED
from tests.datasets.test_layouts import drawing

GREY, COLORED = Form(2, 3, "grayscale"), Form(2, 3)
RGB = np.array([[[1, 2, 3], [40, 50, 60], [255, 0, 7]], [[9, 8, 7], [100, 150, 200], [0, 0, 255]]], np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


def written(path, content):
    path.write_bytes(content)
    return path


def refusal(path, form=GREY):
    with pytest.raises(UnusableError) as caught:
        decode(path, form)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P1\n# a comment\n3 2\n0 1 0\n1 0 1\n", [[255, 0, 255], [0, 255, 0]]),  # 1 is black
        (b"P4\n3 2\n" + bytes([0b01000000, 0b10100000]), [[255, 0, 255], [0, 255, 0]]),
        (b"P2\n3 2\n255\n0 40 80\n120 160 200\n", NUMBERS),
        (b"P5\n3 2\n255\n" + NUMBERS.tobytes(), NUMBERS),
        (b"P2 3 2 100 0 20 40 60 80 100", [[0, 51, 102], [153, 204, 255]]),  # v · 255 / 100
        (b"P5 3 2 100 " + bytes([0, 20, 40, 60, 80, 100]), [[0, 51, 102], [153, 204, 255]]),
        # 16 bits, the high byte first: v · 255 / 65535 = v / 257
        (b"P5 3 2 65535 " + struct.pack(">6H", 0, 257, 514, 25700, 51400, 65535), [[0, 1, 2], [100, 200, 255]]),
        (b"P2 3 2 65535 0 257 514 25700 51400 65535", [[0, 1, 2], [100, 200, 255]]),
        (b"P5 3 2 4095 " + struct.pack(">6H", 0, 819, 1638, 2457, 3276, 4095), [[0, 51, 102], [153, 204, 255]]),
        (b"P3 3 2 255 " + b" ".join(b"%d" % value for value in RGB.ravel().tolist()), RGB),
        (b"P6 3 2 255 " + RGB.tobytes(), RGB),
        (b"P6 3 2 65535 " + (RGB.astype(">u2") * 257).tobytes(), RGB),
    ],
)
@pytest.mark.parametrize("ending", FORMATS["PPM"].endings)
def test_netpbm_files_give_the_pixels_of_their_bytes(tmp_path, content, expected, ending):
    path = written(tmp_path / f"x{ending}", content)
    expected = np.array(expected)
    made = decode(path, GREY if expected.ndim == 2 else COLORED)
    assert np.array_equal(made.squeeze(), expected)
    assert size_of(path) == (2, 3)


@pytest.mark.parametrize("compression", ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd", "lzma"])
@pytest.mark.parametrize("pixels", [NUMBERS, RGB, np.dstack([RGB, NUMBERS])], ids=["gray", "rgb", "rgba"])
@pytest.mark.parametrize("big", [False, True], ids=["classic", "BigTIFF"])
def test_tiff_files_give_the_pixels_that_were_written(tmp_path, compression, pixels, big):
    path = tmp_path / "x.tif"
    Image.fromarray(pixels).save(path, compression=compression, big_tiff=big)
    form = GREY if pixels.ndim == 2 else COLORED
    assert np.array_equal(decode(path, form).squeeze(), pixels if pixels.ndim == 2 else pixels[..., :3])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_sixteen_bits_of_tiff_are_scaled_as_those_of_png(tmp_path, order, compression):
    levels = np.array([[0, 128, 129], [257, 32768, 65535]], f"{order}u2")
    Image.fromarray(levels).save(tmp_path / "x.tif", compression=compression)
    assert decode(tmp_path / "x.tif", GREY)[..., 0].tolist() == [[0, 0, 1], [1, 128, 255]]
    shallow = Form(2, 3, "grayscale", bit_depth=12)
    assert "with bit_depth 12 values must be at most 4,095; it has 65,535" in refusal(tmp_path / "x.tif", shallow)


def test_floats_are_levels_from_0_to_1_or_refused(tmp_path):
    Image.fromarray(np.array([[0, 0.2, 0.4], [0.6, 0.8, 1]], np.float32)).save(tmp_path / "x.tif")
    assert decode(tmp_path / "x.tif", GREY)[..., 0].tolist() == [[0, 51, 102], [153, 204, 255]]
    rule = "floating-point values must be from 0 (black) to 1 (white); it has"
    for values, said in (([0, 8123.5], "0 to 8123.5"), ([-1, 1], "-1 to 1"), ([0, np.nan], "nan to nan")):
        Image.fromarray(np.array([values], np.float32)).save(tmp_path / "x.tif")
        assert refusal(tmp_path / "x.tif", Form(1, 2)) == f"{rule} {said}"


def test_integers_beyond_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.array([[-5, 70000]], np.int32)).save(tmp_path / "x.tif")
    assert refusal(tmp_path / "x.tif", Form(1, 2)) == "integers must be from 0 to 65,535; it has -5 to 70,000"


def test_tiff_in_cmyk_and_jpeg_becomes_rgb(tmp_path):
    c, m, y, k = 51, 102, 0, 25
    expected = [(255 - ink) * (255 - k) / 255 for ink in (c, m, y)]
    for options in ({}, {"compression": "jpeg", "quality": 100}):
        Image.new("CMYK", (16, 16), (c, m, y, k)).save(tmp_path / "x.tif", **options)
        assert np.abs(decode(tmp_path / "x.tif", Form(16, 16)) - expected).max() <= 3
    Image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / "y.tif", compression="jpeg", quality=100)
    assert np.abs(decode(tmp_path / "y.tif", Form(16, 16)) - [200.0, 100, 50]).max() <= 3
    assert "must not be compressed as JPEG" in refusal(tmp_path / "y.tif", Form(16, 16, MASK))


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_a_tiff_is_turned_as_its_tag_says_and_measured_so(tmp_path, orientation, compression):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274] = orientation
    Image.fromarray(NUMBERS).save(tmp_path / "x.tif", tiffinfo=tags, compression=compression)
    expected = np.array(TURNED[orientation])
    assert size_of(tmp_path / "x.tif") == expected.shape
    assert np.array_equal(decode(tmp_path / "x.tif", Form(*expected.shape, "grayscale"))[..., 0], expected)


@pytest.mark.parametrize(("kind", "ending"), [(kind, end) for kind, each in FORMATS.items() for end in each.endings])
def test_every_ending_of_the_table_is_read_whatever_the_case(tmp_path, kind, ending):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    form = Form(16, 16)
    pixels = drawing(0, np.random.default_rng(0), 16)
    options = {
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
        "JPEG": {"quality": 100, "subsampling": 0},
    }
    path = tmp_path / f"x{ending.upper()}"
    Image.fromarray(pixels).save(path, kind, **options.get(kind, {}))
    assert is_picture(path.name)
    assert unread(path.name) == ""
    allowed = {"JPEG": 4, "GIF": 40, "AVIF": 16}.get(kind, 0)
    assert np.abs(decode(path, form).astype(int) - pixels).max() <= allowed


def test_content_decides_and_not_the_ending(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "x.jpg", "PNG")
    Image.fromarray(RGB).save(tmp_path / "x.png", "TIFF")
    for name in ("x.jpg", "x.png"):
        assert np.array_equal(decode(tmp_path / name, COLORED), RGB)


def test_heic_and_avif_that_pillow_lacks_are_answered_with_the_way_out(tmp_path, monkeypatch):
    assert unread("IMG_1.HEIC").endswith(
        "received .HEIC: convert HEIC to JPEG, for example with `magick mogrify -format jpg *.heic`"
    )
    named = written(tmp_path / "x.jpg", b"\0\0\0\x18ftypheic" + bytes(40))
    assert refusal(named).endswith("its content is not a supported image: " + unread("x.heic").split(": ", 1)[1])
    monkeypatch.setattr(image_files, "READERS", [name for name in FORMATS if name != "AVIF"])
    avif = written(tmp_path / "x.avif", b"\0\0\0\x18ftypavif" + bytes(40))
    assert refusal(avif).endswith(
        ": this Pillow can't read AVIF: pip install --upgrade pillow, or convert the files to PNG"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"P2 3 2 10 0 2 4 6 8 10",
        b"P5 3 2 10 " + bytes([0, 2, 4, 6, 8, 10]),
        b"P2 3 2 255 0 2 4 6 8 10",
        b"P5 3 2 65535 " + struct.pack(">6H", 0, 2, 4, 6, 8, 10),
        b"P5 3 2 300 " + struct.pack(">6H", 0, 2, 4, 6, 8, 10),
    ],
)
def test_masks_in_pgm_hold_the_numbers_in_the_file(tmp_path, content):
    path = written(tmp_path / "x.pgm", content)
    assert decode(path, Form(2, 3, MASK))[..., 0].tolist() == [[0, 2, 4], [6, 8, 10]]


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_masks_in_tiff_hold_the_numbers_in_the_file(tmp_path, compression):
    numbers = np.array([[0, 2, 4], [6, 8, 10]], np.uint8)
    Image.fromarray(numbers).save(tmp_path / "x.tif", compression=compression)
    Image.fromarray(numbers.astype(np.uint16)).save(tmp_path / "y.tif", compression=compression)
    Image.fromarray(numbers > 4).save(tmp_path / "z.tif", compression=compression)
    for name, expected in (("x", numbers), ("y", numbers), ("z", numbers > 4)):
        assert np.array_equal(decode(tmp_path / f"{name}.tif", Form(2, 3, MASK))[..., 0], expected)


def test_masks_may_be_tiff_or_pgm_beside_images_in_tiff(tmp_path):
    generator = np.random.default_rng(0)
    numbers = generator.integers(0, 3, (4, 6, 6)).astype(np.uint8)
    for folder in ("images", "masks"):
        (tmp_path / "own" / folder).mkdir(parents=True)
    for number, mask in enumerate(numbers):
        Image.fromarray(drawing(0, generator, 6)).save(tmp_path / f"own/images/{number}.tif", compression="tiff_lzw")
        Image.fromarray(mask).save(tmp_path / f"own/masks/{number}.{('tiff', 'pgm')[number % 2]}")
    made = load(DataSection(dataset="own", targets="masks"), tmp_path)
    assert np.array_equal(made.train.y, numbers)
    done = cnncli(tmp_path, "datasets", "check", "own")
    assert done.returncode == 0, done.stdout


def test_a_fourth_channel_that_is_not_read_is_told(tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 4)).astype(np.uint8)
            image = Image.frombytes("RGBX", (8, 8), pixels.tobytes())
            image.save(tmp_path / f"own/{name}/{number}.tif", tiffinfo={338: 0})
    told = cnncli(tmp_path, "datasets", "check", "own").stdout
    assert "6 images are of 4 channels; set `color_mode: all` under `data` to read all of them: cats/0.tif" in told


def tiff(*entries, order="<", after=0):
    """A TIFF file of nothing but tags: (number, type, count, value)."""
    content = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(entries))
    for number, kind, count, value in entries:
        packed = struct.pack(f"{order}HHI", number, kind, count)
        content += packed + (struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value))
    return content + struct.pack(f"{order}I", after)


def gray_tiff(width, height, **options):
    tags = {256: width, 257: height, 273: 8, 278: height, 279: width * height % 2**32}
    entries = [(number, 4, 1, value) for number, value in tags.items()]
    entries += [(258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    return tiff(*sorted(entries), **options)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_hostile_tiff_files_end_in_a_sentence(tmp_path):
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "whole.tif", compression="tiff_lzw")
    whole = (tmp_path / "whole.tif").read_bytes()
    for size in range(0, len(whole) - 10, 7):  # the last bytes say that there are no more pages
        said = refusal(written(tmp_path / "x.tif", whole[:size]), Form(64, 64))
        assert said.startswith(("can't be read: ", "an image must "))
    for width, height in ((100_000, 100_000), (0, 5), (5, 0), (0xFFFFFFFF, 0xFFFFFFFF)):
        said = refusal(written(tmp_path / "x.tif", gray_tiff(width, height)), Form(5, 5))
        assert said.startswith(("can't be read: ", "an image must "))


def test_pages_that_lead_round_in_a_circle_do_not_matter(tmp_path):
    path = written(tmp_path / "x.tif", gray_tiff(2, 3, after=8))
    assert size_of(path) == (3, 2)
    assert decode(path, Form(3, 2, "grayscale")).shape == (3, 2, 1)


def test_of_thousands_of_pages_the_first_is_read_and_that_is_told(tmp_path):
    pages = [Image.fromarray(np.full((12, 12), number % 250, np.uint8)) for number in range(2_000)]
    held = io.BytesIO()
    pages[0].save(held, "TIFF", save_all=True, append_images=pages[1:])
    for name in ("cats", "dogs"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(drawing(0, np.random.default_rng(number))).save(tmp_path / f"own/{name}/{number}.tiff")
    (tmp_path / "own/cats/pages.tif").write_bytes(held.getvalue())
    assert (decode(tmp_path / "own/cats/pages.tif", Form(12, 12)) == 0).all()
    done = cnncli(tmp_path, "datasets", "check", "own")
    assert "1 image is the first of several pages; the others are not read: cats/pages.tif" in done.stdout
    done = cnncli(tmp_path, "init", "--data", "own", "-o", "new.yaml")
    assert "1 image is the first of several pages; the others are not read: cats/pages.tif" in done.stdout


def test_a_folder_of_ppm_files_as_of_traffic_signs_is_read_and_predicted(tmp_path):
    from tests.datasets.test_layouts import CLASSES, trained

    generator = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i in range(30):
            Image.fromarray(drawing(number, generator)).save(tmp_path / f"own/{name}/{i:03}.ppm")
    trained(tmp_path, "own", "test_split: 0.2")
    done = cnncli(tmp_path, "predict", "run", "own/disk/000.ppm")
    assert done.returncode == 0, done.stderr
    assert "disk" in done.stdout


@pytest.mark.parametrize("place", ["own/{}", "own", "own/train/{}"])
def test_one_sentence_stands_for_a_folder_of_heic_files(tmp_path, place):
    for number in range(15):
        file = tmp_path / place.format("ab"[number % 2]) / f"{number:02}.heic"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    (tmp_path / "spec.yaml").write_text("{data: {dataset: own, image_size: [8, 8]}, model: {layers: [Flatten]}}")
    first = min((tmp_path / "own").rglob("*.heic")).relative_to(tmp_path / "own").as_posix()
    said = f"  all 15 files, such as {first}: {unread('x.heic')}\n"
    for command in ("init --data own", "datasets check own", "check spec.yaml", "train spec.yaml"):
        done = cnncli(tmp_path, *command.split())
        printed = done.stdout + done.stderr
        assert done.returncode
        assert said in printed
        assert printed.count(".heic") == said.count(".heic")
        assert "must be a folder" not in printed
        assert "at least one" not in printed


def test_endings_are_those_of_the_table():
    assert len(set(ENDINGS)) == len(ENDINGS)
    assert all(ending == ending.lower() and PurePath(f"x{ending}").suffix == ending for ending in ENDINGS)
