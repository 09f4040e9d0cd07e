"""An array of a file that is mapped into memory: what of it is kept there, and what is fetched before it is needed."""

import mmap
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MOST_MAPPED = 192 << 20
"""Bytes of a mapped file that stay in this process' memory; the system keeps what it has room for in its own."""
AROUND = 64 << 10
"""Bytes that the system maps around a place that is read (Linux' fault_around_bytes)."""


class Mapped:
    """Rows of `x`, any (N, …), contiguous, which may be in a mapped file; where it is not there is nothing to do."""

    def __init__(self, x: Array) -> None:
        self.size, self.whole = x[:1].nbytes, x.nbytes
        self.mapping: mmap.mmap | None = getattr(x, "_mmap", None)
        if self.mapping is not None:
            self.begin = x.ctypes.data - np.frombuffer(self.mapping, np.uint8).ctypes.data
        self.mapped = 0

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
