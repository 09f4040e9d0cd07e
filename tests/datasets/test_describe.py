import struct
import zipfile

import numpy as np
import pytest

from cnncli.datasets.describe import EMBEDDED, describe, find, image_shape
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.archive import headers, splits
from cnncli.errors import CnncliError


def archive(folder, **arrays):
    path = folder / "own.npz"
    np.savez(path, **arrays)
    return path


def images(count, *shape, dtype=np.uint8):
    return np.zeros((count, *(shape or (4, 5))), dtype)


def message(folder, **options):
    with pytest.raises(CnncliError) as caught:
        describe(DataSection(**{"dataset": "own.npz"} | options), folder)
    return str(caught.value).replace(f"{folder}/", "")


def test_the_embedded_digits_are_what_is_written_down_of_them(tmp_path):
    source = find(DataSection(dataset="mnist5k"), tmp_path)
    found = splits(source.file, headers(source), labelled=True)
    known = EMBEDDED["mnist5k"]
    assert {name: split.count for name, split in found.items()} == known.samples
    assert {image_shape(split.x.shape) for split in found.values()} == {known.input_shape}
    with np.load(source.file) as arrays:
        assert len(np.unique(arrays["y_train"])) == known.classes


def test_an_archive_is_described_from_its_headers(tmp_path):
    archive(tmp_path, x_train=images(8, 4, 5, 3), y_train=np.zeros(8, int), x_test=images(2, 4, 5, 3), y_test=[0, 1])
    found = describe(DataSection(dataset="own.npz"), tmp_path)
    assert (found.source, found.input_shape, found.dtype) == (str(tmp_path / "own.npz"), (4, 5, 3), "uint8")
    assert found.samples == {"train": 8, "test": 2}
    assert found.classes is None


def test_grey_images_get_a_channel_axis_and_an_autoencoder_needs_no_labels(tmp_path):
    archive(tmp_path, x_train=images(8, dtype=np.float32))
    found = describe(DataSection(dataset="own.npz", targets="input"), tmp_path)
    assert (found.input_shape, found.dtype, found.classes) == ((4, 5, 1), "float32", None)


@pytest.mark.parametrize(("split", "samples"), [(0.1, (9, 1)), (0.25, (7, 3)), (0.95, None), (0.001, (9, 1))])
def test_a_validation_split_takes_what_keras_takes(tmp_path, split, samples):
    archive(tmp_path, x_train=images(10), y_train=np.zeros(10, int))
    if samples is None:
        assert "at least one of 10 images for training and for validation; received 0.95" in message(
            tmp_path, validation_split=split
        )
        return
    found = describe(DataSection(dataset="own.npz", validation_split=split), tmp_path)
    assert tuple(found.samples.values()) == samples


LABELS = np.zeros(8, int)
MISTAKES = [
    ({}, "own.npz: must hold x_train and y_train; found no array"),
    ({"photos": images(8)}, "own.npz: must hold x_train and y_train; found photos"),
    ({"images": images(8)}, "own.npz: images requires y_train; found images"),
    ({"x_train": images(8)}, "own.npz: x_train requires y_train; found x_train"),
    ({"y_train": LABELS}, "own.npz: y_train requires x_train; found y_train"),
    (
        {"x_train": images(8), "y_train": LABELS, "x_more": images(8)},
        "own.npz: arrays must be named x_train, y_train, x_val, y_val, x_test, y_test; received 'x_more'",
    ),
    (
        {"x_train": images(8), "y_train": LABELS[:7]},
        "own.npz: x_train and y_train must have the same number of rows; received 8 and 7",
    ),
    (
        {"x_train": images(8, 4), "y_train": LABELS},
        "own.npz: x_train must have shape (N, H, W) or (N, H, W, C); received (8, 4)",
    ),
    (
        {"x_train": images(0), "y_train": LABELS[:0]},
        "own.npz: x_train must hold at least one non-empty image; received shape (0, 4, 5)",
    ),
    (
        {"x_train": images(8, dtype=bool), "y_train": LABELS},
        "own.npz: x_train must be whole numbers or floating point; received bool",
    ),
    (
        {"x_train": images(8), "y_train": LABELS, "x_test": images(8, 5, 4), "y_test": LABELS},
        "own.npz: images of all splits must have the same shape; x_train has (4, 5), x_test (5, 4)",
    ),
    (
        {"x_train": images(8), "y_train": np.array(["cat"] * 8)},
        "own.npz: y_train must hold numbers; it holds dtype '<U3', which is not supported",
    ),
]


@pytest.mark.parametrize(("arrays", "expected"), MISTAKES)
def test_an_archive_that_breaks_a_rule_says_which(tmp_path, arrays, expected):
    archive(tmp_path, **arrays)
    assert message(tmp_path) == expected


def test_objects_are_refused_before_they_are_unpickled(tmp_path):
    np.savez(tmp_path / "own.npz", x_train=np.array([{}, print], object), y_train=np.zeros(2, int))
    assert message(tmp_path) == "own.npz: x_train must hold numbers; it holds Python objects, which are never loaded"


def write_member(folder, header, content=b""):
    with zipfile.ZipFile(folder / "own.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x_train.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content)


def test_a_header_that_promises_more_than_the_archive_holds_is_refused(tmp_path):
    write_member(tmp_path, b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 28, 28)}\n", b"12")
    assert message(tmp_path).startswith("own.npz: x_train is damaged: shape (1000000000000, 28, 28)")


@pytest.mark.parametrize("header", [b"(" * 5000, b"__import__('os')", b"{'descr': '|u1'}", b"{'shape': 1, 'descr': 2}"])
def test_a_header_is_never_run_and_never_crashes_the_reader(tmp_path, header):
    write_member(tmp_path, header)
    assert message(tmp_path).startswith("own.npz: x_train")


def test_an_archive_of_more_than_the_limit_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("cnncli.datasets.sources.archive.LARGEST_ARCHIVE", 100)
    archive(tmp_path, x_train=images(8), y_train=LABELS)
    assert "an archive's arrays must take at most 100 bytes" in message(tmp_path)


def test_a_file_that_is_no_archive_says_so(tmp_path):
    (tmp_path / "own.npz").write_bytes(b"not a zip file")
    assert message(tmp_path) == "own.npz: is not a readable NumPy archive (.npz): File is not a zip file"


def test_names_and_files_that_are_not_there_suggest_what_is_near(tmp_path):
    archive(tmp_path, x_train=images(8), y_train=LABELS)
    assert message(tmp_path, dataset="mnist5") == "unknown dataset 'mnist5'; did you mean 'mnist5k'?"
    assert message(tmp_path, dataset="owm.npz") == f"no file 'owm.npz' in {tmp_path}; did you mean 'own.npz'?"
    assert message(tmp_path, dataset="weather") == (
        "unknown dataset 'weather'; available: mnist5k, mnist, fashion_mnist, kmnist, emnist, cifar10, cifar100, "
        "synthetic, folders of images, and files ending in .npz, .npy, .h5 or .csv"
    )
    (tmp_path / "photos").mkdir()
    assert message(tmp_path, dataset="photso/") == "unknown dataset 'photso/'; did you mean 'photos'?"


def test_what_is_downloaded_is_described_beforehand(tmp_path):
    found = describe(DataSection(dataset="cifar100", validation_split=0.1), tmp_path)
    assert (found.source, found.input_shape, found.classes, found.dtype) == ("cifar100", (32, 32, 3), 100, "uint8")
    assert found.samples == {"train": 45_000, "validation": 5_000, "test": 10_000}


def test_a_validation_split_beside_own_validation_images_is_an_error(tmp_path):
    archive(tmp_path, x_train=images(8), y_train=LABELS, x_val=images(8), y_val=LABELS)
    expected = "validation_split must be omitted because the data has its own x_val; received 0.5"
    assert message(tmp_path, validation_split=0.5) == expected
