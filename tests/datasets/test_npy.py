import hashlib

import numpy as np
import pytest

from cnncli.datasets.batches import Feed
from cnncli.datasets.describe import describe
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources import array_files
from cnncli.errors import CnncliError
from cnncli.layers.losses import CategoricalCrossentropy

LABELS = np.array([0, 1, 2, 1, 0, 2])


def pixels(dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3)).astype(dtype)


def save(folder, **arrays):
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def loaded(folder, dataset="own", **options):
    return load(DataSection(dataset=dataset, **options), folder)


def message(folder, call=load, dataset="own"):
    with pytest.raises(CnncliError) as caught:
        call(DataSection(dataset=dataset), folder)
    return str(caught.value).replace(f"{folder}/own/", "").replace(str(folder), "")


@pytest.mark.parametrize("dataset", ["own", "own/x_train.npy", "own/y_test.npy"])
def test_a_folder_or_any_of_its_files_is_all_of_them(tmp_path, dataset):
    x = pixels()
    save(tmp_path / "own", x_train=x, y_train=LABELS, x_test=x[:2], y_test=LABELS[:2])
    found = describe(DataSection(dataset=dataset, validation_split=0.5), tmp_path)
    assert (found.input_shape, found.dtype, found.source) == ((4, 5, 3), "uint8", str(tmp_path / dataset))
    assert found.samples == {"train": 3, "validation": 3, "test": 2}
    made = loaded(tmp_path, dataset, validation_split=0.5)
    assert np.array_equal(made.train.x, x[:3])
    assert np.array_equal(made.validation.x, x[3:])
    assert made.validation.y.tolist() == LABELS[3:].tolist()
    assert made.classes == ("0", "1", "2")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_the_kernels_read_stays_in_the_file(tmp_path, dtype):
    save(tmp_path / "own", x_train=pixels(dtype), y_train=LABELS)
    made = loaded(tmp_path, validation_split=0.5)
    for split in made.splits.values():
        assert isinstance(split.x, np.memmap)
        assert split.x._mmap is not None
    inputs, targets = np.zeros((2, 4, 5, 3), np.float32), np.zeros((2, 3), np.float32)
    feed = Feed(made.validation, 1.0, CategoricalCrossentropy(), inputs, {"output": targets})
    feed.expect(np.array([2, 0]))
    feed.fill(np.array([2, 0]))
    assert np.array_equal(inputs, pixels(dtype)[[5, 3]])
    assert feed.mapped.mapping is made.validation.x._mmap


@pytest.mark.parametrize("dtype", ["<f8", "<f2", ">f4", ">f8"])
def test_other_floats_become_float32_in_portions(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(array_files, "PORTION", 1000)
    x = pixels(dtype) / np.array(7, dtype)
    save(tmp_path / "own", x_train=x, y_train=LABELS)
    made = loaded(tmp_path).train.x
    assert (made.dtype, made.flags.c_contiguous) == (np.float32, True)
    assert np.array_equal(made, x.astype(np.float32))


def test_fortran_order_means_the_same(tmp_path):
    save(tmp_path / "own", x_train=np.asfortranarray(pixels()), y_train=LABELS)
    made = loaded(tmp_path).train.x
    assert made.flags.c_contiguous
    assert np.array_equal(made, pixels())


def test_a_copy_that_is_larger_than_memory_says_how_to_do_without(tmp_path, monkeypatch):
    save(tmp_path / "own", x_train=pixels(np.float64), y_train=LABELS)
    monkeypatch.setattr(array_files, "limit", lambda: 100)
    assert message(tmp_path) == (
        "x_train.npy must be uint8 or float32 in C order and native byte order to be read from disk; "
        "converted to float32 it needs 1,440 bytes of memory, but only 100 are available"
    )


def test_the_digest_is_of_all_that_the_files_hold_whatever_the_portions(tmp_path, monkeypatch):
    x, y = pixels(), LABELS
    save(tmp_path / "own", x_train=x, y_train=y)
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y)
    state = hashlib.sha256()
    for name, array in (("x_train", x), ("y_train", y)):
        state.update(repr((name, array.dtype.name, array.shape)).encode() + array.tobytes())
    expected = f"sha256:{state.hexdigest()}"
    assert loaded(tmp_path).digest == loaded(tmp_path, "own.npz").digest == expected
    monkeypatch.setattr(array_files, "PORTION", 1)
    assert loaded(tmp_path).digest == expected
    x[5, 3, 4, 2] ^= 1
    save(tmp_path / "own", x_train=x)
    assert loaded(tmp_path).digest != expected


def test_a_value_that_is_not_finite_is_named_with_its_row_in_any_portion(tmp_path, monkeypatch):
    monkeypatch.setattr(array_files, "PORTION", 500)
    x = pixels(np.float32)
    x[4, 1, 2, 0] = np.nan
    save(tmp_path / "own", x_train=x, y_train=LABELS)
    assert message(tmp_path) == "x_train.npy must hold finite float32 numbers; row 4 has nan"


def test_images_in_several_splits_are_found_in_mapped_files(tmp_path):
    x = pixels()
    save(tmp_path / "own", x_train=x, y_train=LABELS, x_test=x[[3]], y_test=LABELS[[3]])
    assert loaded(tmp_path).in_several_splits == [["train x_train[3]", "test x_test[0]"]]


MISTAKES = [
    ({"x_train": pixels()}, "x_train.npy requires y_train.npy; found x_train.npy"),
    ({"y_train": LABELS}, "y_train.npy requires x_train.npy; found y_train.npy"),
    (
        {"x_train": pixels(), "y_train": LABELS[:5]},
        ": x_train.npy and y_train.npy must have the same number of rows; received 6 and 5",
    ),
    (
        {"x_train": pixels(bool), "y_train": LABELS},
        "x_train.npy must be whole numbers or floating point; received bool",
    ),
    (
        {"x_train": pixels(), "y_train": LABELS - 1},
        "y_train.npy must hold class numbers ≥ 0; row 0 has -1",
    ),
    (
        {"x_train": np.array([{}] * 6, object), "y_train": LABELS},
        "x_train.npy must hold numbers; it holds Python objects, which are never loaded",
    ),
]


def test_a_file_of_another_name_is_not_passed_over(tmp_path):
    save(tmp_path / "own", x_train=pixels(), y_train=LABELS, x_more=pixels(), y_more=LABELS)
    assert message(tmp_path).endswith(
        "arrays must be named x_train, y_train, x_val, y_val, x_test, y_test; received 'x_more'"
    )


@pytest.mark.parametrize(("arrays", "expected"), MISTAKES)
def test_files_that_break_a_rule_say_which(tmp_path, arrays, expected):
    save(tmp_path / "own", **arrays)
    assert message(tmp_path).endswith(expected)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda content: b"", "x_train.npy: must hold an array; the file has 0 bytes"),
        (lambda content: content[:9], "x_train.npy: ends within its header"),
        (lambda content: b"no array at all", "x_train.npy is not a NumPy array"),
        (
            lambda content: content[:-7],
            "x_train.npy is damaged: shape (6, 4, 5, 3) of dtype '|u1' takes 488 bytes, the file holds 481",
        ),
    ],
)
def test_a_damaged_file_is_told_by_its_header_alone(tmp_path, damage, expected):
    path = save(tmp_path / "own", x_train=pixels(), y_train=LABELS) / "x_train.npy"
    path.write_bytes(damage(path.read_bytes()))
    assert message(tmp_path, call=describe) == expected
