import gzip
import struct

import numpy as np
import pytest

from cnncli.datasets.describe import describe
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError

IMAGES = np.arange(5 * 3 * 2).reshape(5, 3, 2).astype(np.uint8)
LABELS = np.array([2, 0, 1, 0, 2], np.uint8)
NAMES = ("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte")


def idx(array, kind=8):
    """As http://yann.lecun.com/exdb/mnist describes it."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def save(folder, split, images=IMAGES, labels=LABELS, names=NAMES, ending=""):
    folder.mkdir(exist_ok=True)
    for name, array in zip(names, (images, labels), strict=True):
        content = array if isinstance(array, bytes) else idx(array)
        (folder / (name.format(split) + ending)).write_bytes(gzip.compress(content) if ending else content)


def message(folder, call=load, dataset="own"):
    with pytest.raises(CnncliError) as caught:
        call(DataSection(dataset=dataset), folder)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("names", [NAMES, ("{}-images.idx3-ubyte", "{}-labels.idx1-ubyte")])
@pytest.mark.parametrize("test", ["t10k", "test"])
def test_mnists_files_are_read_as_they_lie(tmp_path, ending, names, test):
    save(tmp_path / "own", "train", names=names, ending=ending)
    save(tmp_path / "own", test, IMAGES[:2] + 1, LABELS[:2], names, ending)
    for dataset in ("own", f"own/{names[1].format(test)}{ending}"):
        data = DataSection(dataset=dataset, validation_split=0.4)
        found = describe(data, tmp_path)
        assert (found.input_shape, found.dtype) == ((3, 2, 1), "uint8")
        assert found.samples == {"train": 3, "validation": 2, "test": 2}
        made = load(data, tmp_path)
        assert np.array_equal(made.train.x[..., 0], IMAGES[:3])
        assert np.array_equal(made.test.x[..., 0], IMAGES[:2] + 1)
        assert made.validation.y.tolist() == [0, 2]


def test_a_common_beginning_tells_sets_in_one_folder_apart(tmp_path):
    save(tmp_path / "own", "emnist-letters-train")
    save(tmp_path / "own", "emnist-digits-train", IMAGES[:4], LABELS[:4])
    named = load(DataSection(dataset="own/emnist-letters-train-images-idx3-ubyte"), tmp_path)
    assert len(named.train) == 5
    assert message(tmp_path) == (
        f"{tmp_path}/own contains several datasets: specify emnist-digits-train-images-idx3-ubyte or "
        "emnist-letters-train-images-idx3-ubyte instead of the folder"
    ).replace(f"{tmp_path}/", "")


def test_packed_and_unpacked_side_by_side_are_refused(tmp_path):
    save(tmp_path / "own", "train")
    save(tmp_path / "own", "train", ending=".gz")
    assert message(tmp_path) == (
        "own: train-images-idx3-ubyte and train-images-idx3-ubyte.gz are both x_train; keep only one"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "must hold an array; the file has 0 bytes"),
        (b"\x00\x00\x08", "is not an idx file: it must begin with 0, 0, a type and the number of axes"),
        (b"GIF89a" * 9, "is not an idx file: it must begin with 0, 0, a type and the number of axes"),
        (idx(IMAGES, kind=13), "must hold unsigned bytes, idx's type 0x08; it holds type 0x0D"),
        (idx(IMAGES)[:-1], "is damaged: shape (5, 3, 2) of dtype '|u1' takes 46 bytes, the file holds 45"),
        (idx(LABELS), "must have shape (N, H, W) or (N, H, W, C); received (5,)"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(tmp_path, content, expected):
    save(tmp_path / "own", "train", images=content)
    text = message(tmp_path, call=describe).replace(":", "")
    assert text == f"own/train-images-idx3-ubyte {expected}".replace(":", "")


def test_images_without_labels_say_which_file_is_missing(tmp_path):
    save(tmp_path / "own", "train")
    (tmp_path / "own/train-labels-idx1-ubyte").unlink()
    assert message(tmp_path) == (
        "own: train-images-idx3-ubyte requires train-labels-idx1-ubyte; found train-images-idx3-ubyte"
    )


def test_a_packed_file_that_ends_early_is_told_when_it_is_read(tmp_path):
    save(tmp_path / "own", "train", ending=".gz")
    path = tmp_path / "own/train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(IMAGES)[:-3]))
    assert message(tmp_path) == ("own/train-images-idx3-ubyte.gz can't be read: it must hold 30 bytes; it holds fewer")
    path.write_bytes(path.read_bytes()[:-12])
    assert message(tmp_path).startswith("own/train-images-idx3-ubyte.gz can't be read: Compressed file ended")
