import mmap
import os

import numpy as np
import pytest

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.datasets.sources.memmap import Mapped, load
from cnncli.errors import ChangedDataError
from cnncli.layers.losses import CategoricalCrossentropy, MeanSquaredError

SHAPE = (40, 30, 21, 3)


class Watched:
    """Stands for the map of a file, and keeps what it is asked for."""

    def __init__(self, mapping):
        self.mapping, self.asked = mapping, []

    def madvise(self, advice, start=0, length=0):
        self.asked.append((advice, start, length))
        self.mapping.madvise(advice, start, length)


def file_of(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    np.save(tmp_path / "images.npy", images)
    return tmp_path / "images.npy", images


def test_the_bytes_of_rows_that_come_next_are_asked_for_in_whole_pages(tmp_path):
    path, images = file_of(tmp_path)
    for first in (0, 5):  # a split may be a part of the file's rows
        mapped = Mapped(np.load(path, mmap_mode="r")[first:])
        mapped.mapping = watched = Watched(mapped.mapping)
        mapped.expect(np.array([30, 2]))
        whole = path.read_bytes()
        for row, (advice, start, length) in zip((30, 2), watched.asked, strict=True):
            assert (advice, start % mmap.PAGESIZE) == (mmap.MADV_WILLNEED, 0)
            assert images[first + row].tobytes() in whole[start : start + length]
            assert length <= images[0].nbytes + mmap.PAGESIZE


def test_what_is_expected_changes_nothing_of_what_comes(tmp_path):
    path, images = file_of(tmp_path)
    for x in (np.load(path, mmap_mode="r"), images):
        inputs, targets = np.zeros((4, *SHAPE[1:]), np.float32), np.zeros((4, 2), np.float32)
        split = Split(x, np.zeros(len(x), np.int64), "", "x_train", rows=np.arange(40)[::-1])
        feed = Feed(split, 1.0, CategoricalCrossentropy(), inputs, {"output": targets})
        feed.expect(np.array([3, 1, 39]))
        feed.expect(slice(0))
        feed.fill(np.array([3, 1, 39]))
        assert np.array_equal(inputs[:3], images[[36, 38, 0]])


def overwrite(path):
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")


def overwrite_and_set_the_time_back(path):
    """As cp -p and rsync --inplace -t leave a file."""
    before = path.stat()
    overwrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = [
    overwrite,
    overwrite_and_set_the_time_back,
    lambda path: os.truncate(path, path.stat().st_size - 1),
    lambda path: os.utime(path, (1, 1)),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_written_to_is_noticed_before_anything_more_is_read(tmp_path, change):
    path, _ = file_of(tmp_path)
    x = load(path)[3:]
    inputs, targets = np.zeros((4, *SHAPE[1:]), np.float32), np.zeros((4, 2), np.float32)
    split = Split(x, np.zeros(len(x), np.int64), "", "x_train")
    feed = Feed(split, 1.0, CategoricalCrossentropy(), inputs, {"output": targets})
    feed.fill(slice(4))
    change(path)
    with pytest.raises(ChangedDataError, match=r"images\.npy was changed by another program while it was being read$"):
        feed.fill(slice(4))


def feed_with_labels(tmp_path, shape):
    """A feed whose targets, (N, *shape), stay in their file."""
    np.save(tmp_path / "labels.npy", np.ones((40, *shape), np.float32))
    y = np.ascontiguousarray(load(tmp_path / "labels.npy").reshape(40, *shape))
    inputs, targets = np.zeros((4, *SHAPE[1:]), np.float32), np.zeros((4, *shape), np.float32)
    split = Split(np.zeros(SHAPE, np.uint8), y, "", "x_train")
    return Feed(split, 1.0, MeanSquaredError(), inputs, {"output": targets}), tmp_path / "labels.npy"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("shape", [(5,), (30, 21, 2)])
def test_a_file_of_labels_that_is_written_to_is_noticed_too(tmp_path, change, shape):
    feed, path = feed_with_labels(tmp_path, shape)
    feed.fill(slice(4))
    change(path)
    with pytest.raises(ChangedDataError, match=r"labels\.npy was changed"):
        feed.fill(slice(4))


def test_a_batch_is_not_handed_out_where_its_file_was_written_to_while_it_was_read(tmp_path):
    feed, path = feed_with_labels(tmp_path, (5,))
    feed.fill(slice(4))
    program = feed.programs[4]

    class Slow:
        def run(self):
            overwrite(path)
            program.run()

    feed.programs[4] = Slow()
    with pytest.raises(ChangedDataError):
        feed.fill(slice(4))


@pytest.mark.parametrize(
    "change", [os.unlink, lambda path: (path.with_name("x").touch(), path.with_name("x").replace(path))]
)
def test_a_file_that_is_removed_or_replaced_is_read_on(tmp_path, change):
    path, images = file_of(tmp_path)
    reading = Mapped(x := load(path))
    change(path)
    reading.check()
    assert np.array_equal(x, images)
