"""What predictions are made of: files, folders and arrays, image by image."""

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.images import inputs
from cnncli.datasets.images.decode import Form
from cnncli.datasets.images.inputs import AHEAD, holds_images, images
from cnncli.datasets.sources.image_names import READ
from tests.datasets.photos import SUFFIXES, picture

SHAPE = (6, 4, 1)
GREY = Form(6, 4, "grayscale")
ROW = np.arange(24, dtype=np.uint8).reshape(SHAPE)


def read(*paths, form=GREY, shape=SHAPE, invert=False):
    return list(images(paths, form, shape, invert=invert))


def problem(path, **options):
    (image,) = read(path, **options)
    assert image.pixels is None
    return image.problem


def saved(path, array):
    np.save(path, array)
    return path


def test_a_folder_gives_every_image_below_in_the_order_of_names(tmp_path):
    for number, suffix in enumerate(SUFFIXES):
        picture(tmp_path / "p" / "deep" / f"{number}{suffix}", colour=(20 * number,) * 3)
    picture(tmp_path / "p" / "a.png")
    picture(tmp_path / "p" / ".hidden.png")
    (tmp_path / "p" / "labels.csv").write_text("file,label\n")
    (tmp_path / "p" / "circle").symlink_to(tmp_path / "p")
    found = read(tmp_path / "p")
    names = ["a.png", *(f"deep/{number}{suffix}" for number, suffix in enumerate(SUFFIXES))]
    assert [image.name for image in found] == [f"{tmp_path}/p/{name}" for name in names]
    for number, image in enumerate(found[1:]):
        assert image.pixels.shape == SHAPE
        assert image.pixels.dtype == np.uint8
        assert abs(int(image.pixels[3, 2, 0]) - 20 * number) <= 3  # some formats lose a little


def test_pictures_get_the_models_size_and_colours(tmp_path):
    file = picture(tmp_path / "big.png", size=(60, 50), colour=(200, 100, 0))
    assert read(file)[0].pixels.tolist() == np.full(SHAPE, 118).tolist()  # 0.299 · 200 + 0.587 · 100
    (image,) = read(file, form=Form(3, 2, "rgb"), shape=(3, 2, 3))
    assert image.pixels.tolist() == [[[200, 100, 0]] * 2] * 3
    assert problem(file, form=None, shape=(3, 2, 5)) == (
        "the model's input, 3 × 2 × 5, is not an image shape: it accepts only arrays (.npy)"
    )


@pytest.mark.parametrize(
    ("array", "names"),
    [
        (ROW, [""]),
        (ROW[..., 0], [""]),
        (np.stack([ROW, ROW]), ["[0]", "[1]"]),
        (np.stack([ROW, ROW, ROW])[..., 0], ["[0]", "[1]", "[2]"]),
        (np.asfortranarray(np.stack([ROW, ROW])), ["[0]", "[1]"]),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float16", ">f4", "float64"])
def test_an_array_is_one_image_or_several(tmp_path, array, names, dtype):
    file = saved(tmp_path / "a.npy", array.astype(dtype))
    found = read(file)
    assert [image.name for image in found] == [f"{file}{name}" for name in names]
    for image in found:
        assert image.pixels.dtype == ("uint8" if dtype == "uint8" else "float32")
        assert image.pixels.tolist() == ROW.tolist()


def test_arrays_that_can_not_be_used_say_why(tmp_path):
    def of(array):
        return problem(saved(tmp_path / "a.npy", array))

    shapes = "an array must be 6 × 4 × 1 or N × 6 × 4 × 1 to match the model's input; received "
    assert of(np.zeros((2, 5, 4))) == shapes + "2 × 5 × 4"
    assert of(np.zeros((0, 6, 4))) == shapes + "0 × 6 × 4"
    assert of(np.float32(1)) == shapes + "a single number"
    assert of(np.zeros((6, 4), np.int64)) == "an array must be uint8 or floating point; received int64"
    assert of(np.array([{}])).startswith("can't be read: ")
    assert of(np.full((6, 4), 1e300)) == "an image must hold finite float32 numbers; it has nan or inf"
    (tmp_path / "cut.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:150])
    assert problem(tmp_path / "cut.npy").startswith("can't be read: ")
    (tmp_path / "empty.npy").touch()
    assert problem(tmp_path / "empty.npy").startswith("can't be read: ")
    np.savez(tmp_path / "several.npz", a=ROW)
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    assert problem(tmp_path / "several.npy") == "a .npy file must hold one array; it is an archive of several"


def test_one_row_that_is_not_finite_leaves_the_others(tmp_path):
    array = np.zeros((3, 6, 4), np.float32)
    array[1, 2, 3] = np.nan
    found = read(saved(tmp_path / "a.npy", array))
    assert [image.pixels is None for image in found] == [False, True, False]


def test_light_is_made_dark(tmp_path):
    picture(tmp_path / "a.png", colour=(200, 200, 200))
    assert read(tmp_path / "a.png", invert=True)[0].pixels.tolist() == np.full(SHAPE, 55).tolist()
    floats = saved(tmp_path / "a.npy", np.full((6, 4), 0.25))
    assert read(floats, invert=True)[0].pixels.tolist() == np.full(SHAPE, 0.75).tolist()
    floats = saved(tmp_path / "a.npy", np.full((6, 4), 7.5))
    rule = "to be inverted, values must be uint8 or between 0 and 1; it has 7.5 to 7.5"
    assert problem(floats, invert=True) == rule


def test_no_more_is_read_than_a_portion_ahead(tmp_path, monkeypatch):
    for number in range(AHEAD + 10):
        picture(tmp_path / "p" / f"{number:03}.png")
    decoded, decode = [], inputs.decode
    monkeypatch.setattr(inputs, "decode", lambda path, form: decoded.append(path) or decode(path, form))
    found = images([tmp_path / "p"], GREY, SHAPE, invert=False)
    assert decoded == []
    next(found)
    found.close()
    assert len(decoded) <= AHEAD


def test_a_folder_that_vanishes_on_the_way_is_told_of(tmp_path):
    for number in range(AHEAD + 1):
        picture(tmp_path / "first" / f"{number}.png")
    (tmp_path / "second").mkdir()
    found = images([tmp_path], GREY, SHAPE, invert=False)
    next(found)
    (tmp_path / "second").rmdir()
    *rest, last = found
    assert [image.problem for image in rest] == [""] * AHEAD
    assert (last.name, last.problem) == (f"{tmp_path}/second", "can't be read: No such file or directory")


def test_names_that_can_not_be_printed_are_written_out(tmp_path):
    file = tmp_path / "a\nb.png"
    Image.fromarray(ROW[..., 0]).save(file)
    (image,) = read(tmp_path)
    assert image.name == f"'{tmp_path}/a\\nb.png'"
    assert image.pixels.tolist() == ROW.tolist()


def test_whether_a_folder_has_images(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "notes.txt").touch()
    assert not holds_images(tmp_path)
    picture(tmp_path / "deep" / "er" / "a.gif")
    assert holds_images(tmp_path)


@pytest.mark.parametrize("name", ["a.jxl", "b.EPS", "c.psd", "d.tga", "e.svg"])
def test_images_of_other_formats_are_named_and_other_files_are_not_looked_at(tmp_path, name):
    picture(tmp_path / "p" / "z.png")
    for other in (name, "notes.txt", "labels.csv", "README", ".DS_Store", ".hidden.tif", "weights.npy"):
        (tmp_path / "p" / other).touch()
    unread, usable = read(tmp_path / "p")
    assert unread.name == f"{tmp_path}/p/{name}"
    assert unread.problem == f"an image must be {READ}; received {name[1:]}"
    assert usable.pixels is not None
    assert holds_images(tmp_path / "p")
