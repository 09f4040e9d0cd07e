import gzip
import io

import numpy as np
import pytest

from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources import download, formats
from cnncli.datasets.sources.catalogue import KNOWN
from cnncli.errors import CnncliError
from tests.datasets import mirror as mirrors


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path))
    with mirrors.serving() as served:
        yield served


def read(known):
    download.fetch(known, offline=False)
    return formats.read(known, download.paths(known))


def failure(known):
    with pytest.raises(CnncliError) as caught:
        read(known)
    return str(caught.value).replace(f"{download.folder(known)}/", "")


def test_idx_pairs_become_images_and_class_numbers(mirror):
    known, arrays = mirrors.digits(mirror, "good")
    for split, (x, y) in read(known).items():
        assert (x.dtype, y.dtype, x.shape[1:]) == (np.uint8, np.int64, (8, 8, 1))
        assert np.array_equal(x[..., 0], arrays[split][0])
        assert np.array_equal(y, arrays[split][1])


def test_images_that_lie_on_their_side_in_a_zip_file_are_turned_upright(mirror):
    _, arrays = mirrors.digits(mirror, "good")
    for split, (x, y) in read(mirrors.zipped(mirror, arrays)).items():
        assert np.array_equal(x[..., 0], arrays[split][0])
        assert x.flags.c_contiguous
        assert np.array_equal(y, arrays[split][1])


def records(*labels, seed):
    """Records with these label bytes before planes of random bytes, and the images (n, 32, 32, 3), pixel by pixel."""
    random, content, images = np.random.RandomState(seed), b"", []
    for numbers in labels:
        red, green, blue = planes = random.randint(0, 256, (3, 32, 32)).astype(np.uint8)
        content += bytes(numbers) + b"".join(plane.tobytes() for plane in planes)
        images.append([[(red[i, j], green[i, j], blue[i, j]) for j in range(32)] for i in range(32)])
    return content, np.array(images)


@pytest.mark.parametrize(("before", "label_bytes"), [((), 1), ((19,), 2)])
def test_planes_of_red_green_and_blue_become_pixels_and_the_last_label_counts(mirror, before, label_bytes):
    (one, two, three), images = zip(
        *(records(*((*before, label) for label in labels), seed=i) for i, labels in enumerate([(0, 2), (1, 1), (2,)])),
        strict=True,
    )
    parts = {"train": {"c/data_1.bin": one, "c/data_2.bin": two}, "test": {"c/test.bin": three}}
    known = mirrors.photographs(mirror, parts, label_bytes=label_bytes, odd=[("../../outside", b"evil")])
    found = read(known)
    assert found["train"][1].tolist() == [0, 2, 1, 1]
    assert found["test"][1].tolist() == [2]
    assert np.array_equal(found["train"][0], np.concatenate(images[:2]))
    assert np.array_equal(found["test"][0], images[2])
    assert found["train"][0].flags.c_contiguous
    assert sorted(path.name for path in download.folder(known).iterdir()) == ["cifar.tar.gz"]


GOOD = {"train": {"a.bin": records((0,), (1,), (1,), (2,), seed=0)[0]}, "test": {"b.bin": records((0,), seed=1)[0]}}
ODD = [
    ({"left_out": ["b.bin"]}, GOOD, "cifar.tar.gz: can't be read: it has no b.bin; delete it to download it again"),
    ({}, GOOD | {"test": {"b.bin": b"\x00" * 3072}}, "it must hold 3,073 bytes; it holds fewer"),
    ({}, GOOD | {"test": {"b.bin": b"\x00" * 30730}}, "it must hold 3,073 bytes; it holds more"),
    ({}, GOOD | {"test": {"b.bin": b"\x03" * 3073}}, "cifar10: y_test must hold numbers of 3 classes; it has 3"),
]


@pytest.mark.parametrize(("options", "parts", "expected"), ODD)
def test_an_archive_that_is_not_what_it_should_be_is_told(mirror, options, parts, expected):
    assert expected in failure(mirrors.photographs(mirror, parts, label_bytes=1, **options))


def test_a_file_that_is_no_archive_is_told(mirror):
    known, _ = mirrors.digits(mirror, "good")
    download.fetch(known, offline=False)
    path = download.paths(known)["train-images.gz"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CnncliError, match=r"train-images\.gz: can't be read: Compressed file ended"):
        formats.read(known, download.paths(known))


def test_an_idx_file_of_another_shape_or_length_is_refused():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = mirrors.idx_bytes(array)
    assert np.array_equal(formats.idx(io.BytesIO(content), (3, 4)), array)
    with pytest.raises(ValueError, match=r"no idx file of bytes of shape \(4, 3\)"):
        formats.idx(io.BytesIO(content), (4, 3))
    with pytest.raises(ValueError, match="it must hold 12 bytes; it holds fewer"):
        formats.idx(io.BytesIO(content[:-1]), (3, 4))
    bomb = io.BytesIO(gzip.compress(content + bytes(1 << 20)))
    with gzip.open(bomb) as file, pytest.raises(ValueError, match="it must hold 12 bytes; it holds more"):
        formats.idx(file, (3, 4))


def test_a_downloaded_dataset_is_loaded_with_its_names_and_splits(mirror, monkeypatch, tmp_path):
    known, arrays = mirrors.digits(mirror, "good")
    monkeypatch.setitem(KNOWN, "mnist", known)
    data = DataSection(dataset="mnist", validation_split=0.25)
    with pytest.raises(
        CnncliError, match=r"^mnist: has not been downloaded yet; run `cnncli datasets download mnist`$"
    ):
        load(data, tmp_path)
    download.fetch(known, offline=False)
    asked = len(mirror.asked)
    made = load(data, tmp_path)
    assert (made.source, made.classes) == ("mnist", ("stands", "lies"))
    assert {name: len(split) for name, split in made.splits.items()} == {"train": 30, "validation": 10, "test": 10}
    assert np.array_equal(made.validation.x[..., 0], arrays["train"][0][30:])
    assert len(mirror.asked) == asked
    alone = load(DataSection(dataset="mnist", targets="input"), tmp_path)
    assert (alone.train.y, alone.classes) == (None, ())
