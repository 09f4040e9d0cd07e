import numpy as np
import pytest

from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources import array_files
from cnncli.errors import CnncliError


def dataset(folder, *, options=None, **arrays):
    np.savez_compressed(folder / "own.npz", **arrays)
    return load(DataSection(dataset="own.npz", **(options or {})), folder)


def numbered(count, dtype=np.uint8):
    """Images whose every pixel is the row's number."""
    return np.broadcast_to(np.arange(count, dtype=dtype)[:, None, None], (count, 2, 3)).copy()


def test_the_validation_split_is_the_last_rows_of_the_unshuffled_data(tmp_path):
    made = dataset(tmp_path, x_train=numbered(10), y_train=np.arange(10) % 3, options={"validation_split": 0.25})
    assert made.train.x[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert made.validation.x[:, 0, 0, 0].tolist() == [7, 8, 9]
    assert made.validation.y.tolist() == [1, 2, 0]
    assert (made.validation.key, made.validation.start) == ("x_train", 7)
    assert made.test is None


def test_own_validation_and_test_images_are_taken_as_they_are(tmp_path):
    made = dataset(
        tmp_path,
        **{f"x_{name}": numbered(count) for name, count in (("train", 4), ("val", 3), ("test", 2))},
        **{f"y_{name}": np.arange(count, dtype=np.uint8) for name, count in (("train", 4), ("val", 3), ("test", 2))},
    )
    assert {name: len(split) for name, split in made.splits.items()} == {"train": 4, "validation": 3, "test": 2}
    assert made.train.x.shape == (4, 2, 3, 1)


def test_labels_become_numbers_or_dense_rows(tmp_path):
    images = numbered(4)
    assert dataset(tmp_path, x_train=images, y_train=np.array([[1], [0], [2], [1]])).train.y.tolist() == [1, 0, 2, 1]
    rows = dataset(tmp_path, x_train=images, y_train=np.eye(3, dtype=np.int8)[[1, 0, 2, 1]])
    assert rows.train.y.dtype == np.float32
    assert rows.classes == ("0", "1", "2")
    values = dataset(tmp_path, x_train=images, y_train=np.array([0.5, 1, 2, 3]))
    assert values.train.y.tolist() == [[0.5], [1], [2], [3]]
    assert values.classes == ()


def test_classes_are_counted_over_all_splits(tmp_path):
    made = dataset(tmp_path, x_train=numbered(3), y_train=[0, 1, 3], x_test=numbered(2), y_test=[1, 0])
    assert made.classes == ("0", "1", "2", "3")


def test_the_digest_follows_every_array_and_no_option(tmp_path):
    images, labels = numbered(4), np.array([1, 0, 0, 1])
    first = dataset(tmp_path, x_train=images, y_train=labels).digest
    assert dataset(tmp_path, x_train=images, y_train=labels, options={"validation_split": 0.5}).digest == first
    images[3, 1, 2] += 1
    assert dataset(tmp_path, x_train=images, y_train=labels).digest != first


def test_big_endian_and_fortran_arrays_mean_the_same_data(tmp_path):
    images, labels = numbered(4, np.float32), np.array([0, 1, 2, 1])
    odd = dataset(tmp_path, x_train=np.asfortranarray(images), y_train=labels.astype(">i8"))
    plain = dataset(tmp_path, x_train=images, y_train=labels)
    assert odd.digest == plain.digest
    assert np.array_equal(odd.train.x, plain.train.x)
    assert odd.train.x.flags.c_contiguous


def test_the_input_as_target_has_no_labels(tmp_path):
    made = dataset(tmp_path, x_train=numbered(4), options={"targets": "input"})
    assert made.train.y is None
    assert made.classes == ()


BROKEN = np.zeros((4, 2, 3), np.float32)
BROKEN[2, 1, 1] = np.nan
HUGE = np.zeros((4, 2, 3))
HUGE[1, 0, 0] = 1e300
GOOD = np.array([0, 1, 0, 1])
MISTAKES = [
    ({"x_train": BROKEN, "y_train": GOOD}, "own.npz: x_train must hold finite float32 numbers; row 2 has nan"),
    ({"x_train": HUGE, "y_train": GOOD}, "own.npz: x_train must hold finite float32 numbers; row 1 has inf"),
    (
        {"x_train": numbered(4), "y_train": np.array([0, 1, -1, 2])},
        "own.npz: y_train must hold class numbers ≥ 0; row 2 has -1",
    ),
    (
        {"x_train": numbered(4), "y_train": np.array([3, 3, 3, 3])},
        "own.npz: y_train must hold at least two classes; every row has 3",
    ),
    (
        {"x_train": numbered(4), "y_train": np.array([0, 1, np.inf, 2])},
        "own.npz: y_train must hold finite float32 numbers; row 2 has inf",
    ),
]


def test_labels_are_checked_before_images_are_read(tmp_path):
    with pytest.raises(CnncliError, match="y_train must hold at least two classes"):
        dataset(tmp_path, x_train=BROKEN, y_train=np.zeros(4, int))


def test_arrays_larger_than_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    # 4 images of 6 pixels: 192 bytes as float64; in float32 they would take 96; 4 labels of 8 bytes
    monkeypatch.setattr(array_files, "limit", lambda: 223)
    with pytest.raises(CnncliError) as caught:
        dataset(tmp_path, x_train=HUGE, y_train=GOOD)
    assert str(caught.value) == (
        f"{tmp_path}/own.npz: its arrays need 0.0 MB of memory, but this process may use only 0.0 MB; save them as "
        ".npy files (x_train.npy, …) to read them on demand"
    )
    monkeypatch.setattr(array_files, "limit", lambda: 224)
    with pytest.raises(CnncliError, match="row 1 has inf"):
        dataset(tmp_path, x_train=HUGE, y_train=GOOD)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_is_tested_but_not_trained_on_is_named(tmp_path, split):
    with pytest.raises(CnncliError) as caught:
        dataset(tmp_path, x_train=numbered(3), y_train=[0, 1, 3], **{f"x_{split}": numbered(2), f"y_{split}": [1, 2]})
    assert str(caught.value) == (
        f"{tmp_path}/own.npz: y_{split} must hold only classes that are in the training data; row 1 has 2; if the "
        "labels are not classes, save them as floating point"
    )


def test_a_class_may_be_missing_from_the_arrays_for_the_test(tmp_path):
    made = dataset(tmp_path, x_train=numbered(3), y_train=[0, 1, 3], x_test=numbered(1), y_test=[1])
    assert made.test.y.tolist() == [1]


@pytest.mark.parametrize(("arrays", "expected"), MISTAKES)
def test_values_that_break_a_rule_are_named_with_their_row(tmp_path, arrays, expected):
    with pytest.raises(CnncliError) as caught:
        dataset(tmp_path, **arrays)
    assert str(caught.value) == f"{tmp_path}/{expected}"


def test_a_damaged_archive_says_which_array_can_not_be_read(tmp_path):
    noise = np.random.RandomState(0).randint(0, 255, (50, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "own.npz", x_train=noise, y_train=np.zeros(50, int))
    content = bytearray((tmp_path / "own.npz").read_bytes())
    content[1000] ^= 1
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(CnncliError, match=r"own\.npz: x_train can't be read: Bad CRC-32"):
        load(DataSection(dataset="own.npz"), tmp_path)
