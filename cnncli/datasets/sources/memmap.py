"""Memory-mapped arrays: how much of them stays in memory, prefetching, and detection of changes.

Another program may write to the file meanwhile. Cut short, reading behind its end would kill this process (SIGBUS), and
overwritten it would be other data under the digest of the old. So its size and times are looked at before every
reading and after it. That of the last change (ctime) can't be set back; it also changes with permissions, which then
count as a change. What remains is that a file may be cut short during a reading, which takes microseconds.
"""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from cnncli.errors import ChangedDataError
from cnncli.system.files import open_regular

Array = np.ndarray[Any, Any]
MOST_MAPPED = 192 << 20
"""Bytes of a mapped file that stay in this process' memory; the system keeps what it has room for in its own."""
AROUND = 64 << 10
"""Bytes that the system maps around a place that is read (Linux' fault_around_bytes)."""


class _File(NamedTuple):
    """A file as it was when it was opened."""

    path: Path
    place: tuple[int, ...]
    state: tuple[int, ...]


_FILES: "WeakKeyDictionary[mmap.mmap, _File]" = WeakKeyDictionary()


def load(path: Path) -> Array:
    """The array of a `.npy` file, mapped and read-only. Raises what `numpy.load` does."""
    return _remembered(path, lambda: np.load(path, mmap_mode="r", allow_pickle=False))


def within(path: Path, dtype: "np.dtype[Any]", shape: tuple[int, ...], offset: int) -> Array:
    """An array that begins at a byte of a file, mapped and read-only. Raises ValueError where the file is shorter."""
    return _remembered(path, lambda: np.memmap(path, dtype, "r", offset, shape))


def _remembered(path: Path, mapped: Callable[[], Array]) -> Array:
    with open_regular(path):  # NumPy maps by name alone
        place, state = _look(path)
        array = mapped()
    mapping = getattr(array, "_mmap", None)
    if mapping is not None:
        _FILES[mapping] = _File(path.absolute(), place, state)
    return array


def _look(path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which file is at a path, and what changes when it is written to."""
    status = path.stat()
    return (status.st_dev, status.st_ino), (status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _mapping(x: Array) -> mmap.mmap | None:
    """The map that an array is a part of, also where it is a view that does not know of it."""
    base: Any = x
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    return base


def is_mapped(x: Array) -> bool:
    """Whether an array is in a mapped file."""
    return _mapping(x) is not None


class Mapped:
    """Rows of `x`, any (N, …), contiguous, which may be in a mapped file; where it is not there is nothing to do."""

    def __init__(self, x: Array) -> None:
        self.size, self.whole = x[:1].nbytes, x.nbytes
        self.mapping = _mapping(x)
        if self.mapping is not None:
            self.begin = x.ctypes.data - np.frombuffer(self.mapping, np.uint8).ctypes.data
        self.mapped = 0
        self.file = None if self.mapping is None else _FILES.get(self.mapping)

    def check(self) -> None:
        """Raise ChangedDataError where the file was written to since it was opened.

        One that was replaced or removed is still there for whoever has it open.
        """
        if self.file is None:
            return
        try:
            place, state = _look(self.file.path)
        except OSError:
            return
        if place == self.file.place and state != self.file.state:
            raise ChangedDataError(f"{self.file.path} was changed by another program while it was being read")

    def used(self, count: int) -> None:
        """Count rows that have been read, and unmap all where that may have become too much."""
        self.mapped += count * (self.size + AROUND)
        if self.mapping is not None and self.mapped > MOST_MAPPED < self.whole:
            self.mapping.madvise(mmap.MADV_DONTNEED)
            self.mapped = 0

    def expect(self, rows: Array) -> None:
        """Let the system read rows, whole numbers (n,), from the disk while something else is done."""
        if self.mapping is None:
            return
        for row in rows.tolist():
            place = self.begin + row * self.size
            page = place - place % mmap.PAGESIZE
            self.mapping.madvise(mmap.MADV_WILLNEED, page, place + self.size - page)
