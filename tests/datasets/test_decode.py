from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.images.decode import MASK, Form, decode
from cnncli.datasets.sources.image_files import UnusableError, opened, size_of
from cnncli.datasets.sources.image_names import READ
from tests.datasets.photos import SUFFIXES, picture

FIXTURES = Path(__file__).parent.parent / "fixtures"
NUMBERS = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
"""[[0, 40, 80], [120, 160, 200]]"""
GREY = Form(2, 3, "grayscale")


def saved(path, pixels, mode=None, **options):
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_is_read(tmp_path, suffix):
    options = {"lossless": True} if suffix == ".webp" else {"quality": 100} if suffix == ".jpg" else {}
    made = decode(picture(tmp_path / f"x{suffix}", colour=(200, 200, 200), **options), Form(6, 4))
    assert (made.dtype, made.shape) == (np.uint8, (6, 4, 3))
    assert (np.abs(made.astype(int) - 200) <= 1).all()


def test_a_gif_gives_its_first_frame(tmp_path):
    frames = [Image.new("L", (3, 2), level) for level in (50, 150)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert (decode(tmp_path / "x.gif", GREY) == 50).all()


TURNED = {
    1: [[0, 40, 80], [120, 160, 200]],
    2: [[80, 40, 0], [200, 160, 120]],
    3: [[200, 160, 120], [80, 40, 0]],
    4: [[120, 160, 200], [0, 40, 80]],
    5: [[0, 120], [40, 160], [80, 200]],
    6: [[120, 0], [160, 40], [200, 80]],
    7: [[200, 80], [160, 40], [120, 0]],
    8: [[80, 200], [40, 160], [0, 120]],
}
"""What the EXIF standard says of NUMBERS by orientation: where the stored row 0 and column 0 are seen."""


@pytest.mark.parametrize("orientation", TURNED)
def test_an_image_is_turned_as_exif_says_and_measured_so(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "x.png", NUMBERS, exif=exif)
    expected = np.array(TURNED[orientation])
    assert size_of(path) == expected.shape
    assert np.array_equal(decode(path, Form(*expected.shape, "grayscale"))[..., 0], expected)


def test_cmyk_becomes_rgb_by_its_definition(tmp_path):
    c, m, y, k = 51, 102, 0, 25
    Image.new("CMYK", (8, 8), (c, m, y, k)).save(tmp_path / "x.jpg", quality=100)
    expected = [(255 - ink) * (255 - k) / 255 for ink in (c, m, y)]
    assert np.abs(decode(tmp_path / "x.jpg", Form(8, 8)) - expected).max() <= 2


def test_sixteen_bits_are_scaled_by_255_over_65535(tmp_path):
    path = saved(tmp_path / "x.png", np.array([[0, 128, 129], [257, 32768, 65535]], np.uint16))
    # v · 255 / 65535 = v / 257: 0, 0.498, 0.502, 1, 127.502, 255
    assert decode(path, GREY)[..., 0].tolist() == [[0, 0, 1], [1, 128, 255]]
    assert np.array_equal(decode(path, Form(2, 3)), decode(path, GREY).repeat(3, axis=2))


def test_palettes_alpha_and_single_bits_become_levels(tmp_path):
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    form = Form(1, 3)
    assert np.array_equal(decode(saved(tmp_path / "p.png", colours, "P"), form)[0], colours[0])
    clear = np.concatenate([colours, np.zeros((1, 3, 1), np.uint8)], axis=2)
    assert np.array_equal(decode(saved(tmp_path / "a.png", clear), form)[0], colours[0])
    bits = saved(tmp_path / "b.png", np.array([[True, False, True]]))
    assert decode(bits, Form(1, 3, "grayscale")).ravel().tolist() == [255, 0, 255]
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B
    assert decode(tmp_path / "p.png", Form(1, 3, "grayscale")).ravel().tolist() == [76, 150, 29]


def test_images_are_resized_and_nearest_takes_what_is_there(tmp_path):
    path = saved(tmp_path / "x.png", NUMBERS)
    made = decode(path, Form(4, 6, "grayscale", interpolation="nearest"))[..., 0]
    assert np.array_equal(made, NUMBERS.repeat(2, axis=0).repeat(2, axis=1))
    means = decode(path, Form(1, 3, "grayscale", interpolation="area"))[..., 0]
    assert means.tolist() == [[60, 100, 140]]


def test_cropping_keeps_the_middle_and_padding_adds_black_on_both_sides(tmp_path):
    wide = saved(tmp_path / "x.png", np.array([[10, 20, 30, 40]] * 2, np.uint8))
    cut = decode(wide, Form(2, 2, "grayscale", crop=True))[..., 0]
    assert cut.tolist() == [[20, 30], [20, 30]]
    padded = decode(wide, Form(4, 4, "grayscale", pad=True, interpolation="nearest"))[..., 0]
    assert padded.tolist() == [[0] * 4, [10, 20, 30, 40], [10, 20, 30, 40], [0] * 4]
    high = saved(tmp_path / "y.png", np.array([[10, 20, 30, 40]] * 2, np.uint8).T.copy())
    assert decode(high, Form(2, 2, "grayscale", crop=True))[..., 0].tolist() == [[20, 20], [30, 30]]


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "area", "lanczos3"])
def test_without_antialiasing_images_are_keras_image_dataset_from_directorys(tmp_path, interpolation, fit):
    form = Form(12, 15, crop=fit == "crop", pad=fit == "pad", interpolation=interpolation, antialias=False)
    with np.load(FIXTURES / "resizing.npz") as keras:
        expected = keras[f"{interpolation}_{fit}"]
        made = [decode(saved(tmp_path / "x.png", keras[f"image_{number}"]), form) for number in range(len(expected))]
    # Keras' are floats; halves are rounded to even ones, and only another order of sums makes one of them another.
    apart = np.abs(np.stack(made) - expected.clip(0, 255))
    assert apart.max() <= (0.5 if interpolation in ("nearest", "bilinear") else 0.5001)
    assert np.mean(np.stack(made) != np.rint(expected).clip(0, 255)) <= 0.0005


def test_smoothing_is_the_default_and_without_it_pixels_between_the_centres_do_not_count(tmp_path):
    stripes = np.tile(np.array([0, 0, 255, 255], np.uint8), (4, 4))
    path = saved(tmp_path / "x.png", stripes)
    # Centres of 4 pixels each lie between the second and the third of them.
    assert set(decode(path, Form(1, 4, "grayscale", antialias=False)).ravel()) == {128}
    assert set(decode(path, Form(1, 2, "grayscale", antialias=False)).ravel()) == {128}
    assert set(decode(path, Form(1, 8, "grayscale", antialias=False)).ravel()) == {0, 255}
    assert set(decode(path, Form(1, 8, "grayscale")).ravel()) & {0, 255} == set()


def test_a_mask_is_resized_as_its_image_is(tmp_path):
    path = saved(tmp_path / "x.png", np.arange(16, dtype=np.uint8).reshape(4, 4))
    assert decode(path, Form(2, 2, MASK, interpolation="nearest", antialias=False))[..., 0].tolist() == [
        [5, 7],
        [13, 15],
    ]


def test_without_a_size_of_its_own_an_image_of_another_size_is_refused(tmp_path):
    with pytest.raises(UnusableError, match=r"all images must have the size of the first, 2 × 3 .*; received 6 × 4$"):
        decode(picture(tmp_path / "x.png"), Form(2, 3, resized=False))


def broken(path, kind):
    """An image file spoilt in one way."""
    content = picture(path, size=(40, 40)).read_bytes()
    if kind == "short":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "header":
        path.write_bytes(content[:20])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("I am no image")
    elif kind == "svg":
        path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    elif kind == "tga":
        Image.new("L", (4, 4)).save(path, format="TGA")
    elif kind == "gone":
        path.unlink()
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("short", "can't be read: |must be PNG"),
        ("header", "can't be read: |must be PNG"),
        ("empty", "an image must not be empty; the file has 0 bytes"),
        ("text", f"an image must be {READ}; its content is not a supported image"),
        ("svg", f"an image must be {READ}; its content is not a supported image"),
        ("tga", f"an image must be {READ}; its content is not a supported image"),
        ("gone", "can't be read: No such file"),
        ("folder", "can't be read: Is a directory"),
    ],
)
def test_a_file_that_can_not_be_used_says_why(tmp_path, suffix, kind, message):
    with pytest.raises(UnusableError, match=message):
        decode(broken(tmp_path / f"x{suffix}", kind), Form(4, 4))


@pytest.mark.parametrize(
    ("size", "said"), [((9500, 9500), "it has 90,250,000"), ((30000, 40000), "it has over twice as many")]
)
def test_a_gigapixel_image_is_refused_before_it_is_decoded(tmp_path, size, said):
    Image.new("1", size[::-1]).save(tmp_path / "x.png")
    with (
        pytest.raises(UnusableError, match=f"^an image must have at most 89,478,485 pixels; {said}$"),
        opened(tmp_path / "x.png"),
    ):
        pass
