"""One copy of the data in memory for all processes on a machine, which one of them reads."""

import mmap
import os
import pickle
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from cnncli.datasets.dataset import Dataset
from cnncli.datasets.sources import memmap
from cnncli.training.distributed.group import Group

LINE = 64
"""Arrays begin at multiples of so many bytes."""


def read_once(group: Group, read: Callable[[], Dataset]) -> Dataset:
    """The dataset that `read` returns, in every process of the group.

    The first process reads it before all others, which find on a shared file system what it has downloaded or decoded.
    Then one on each machine does, and the others there share its arrays, which are read-only. Mapped files are mapped
    by each, since the system shares them.
    """
    found = group.first_does(read, lambda: None)
    here = group.machine
    if here.size == 1:
        return found or read()
    found = here.first_does(lambda: found or read(), lambda: None)
    offer = here.from_first(_offered(found) if here.first else None)
    taken = found if offer is None else _taken(offer)
    here.gather(None)  # the file is closed when all have opened it
    if offer is not None and here.first:
        os.close(offer.file)
    return taken or found or read()


class _Offer(NamedTuple):
    """Arrays in a file in memory that is file `file` of process `process`: where each begins, and where they end;
    `rest`: the dataset without them, pickled.
    """

    process: int
    file: int
    bounds: Sequence[int]
    rest: bytes
    sizes: Sequence[int]


def _offered(found: Dataset) -> _Offer | None:
    """A dataset for the other processes on the machine; None if each must read its own."""
    arrays = [array for split in found.splits.values() for array in (split.x, split.y) if array is not None]
    if any(map(memmap.is_mapped, arrays)) or not hasattr(os, "memfd_create"):
        return None
    buffers: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(found, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    bounds = list(accumulate((-(-part.nbytes // LINE) * LINE for part in raw), initial=0))
    try:
        file = os.memfd_create("cnncli")
        for part, begin in zip(raw, bounds, strict=False):
            _write(file, part, begin)
        os.truncate(file, bounds[-1])
    except OSError:  # there is no room for a second copy
        return None
    return _Offer(os.getpid(), file, bounds, rest, [part.nbytes for part in raw])


def _write(file: int, part: memoryview, begin: int) -> None:
    while part:
        written = os.pwrite(file, part, begin)
        part, begin = part[written:], begin + written


def _taken(offer: _Offer) -> Dataset | None:
    """The dataset of an offer; None if it can't be reached, such as by a process in another container."""
    try:
        with Path(f"/proc/{offer.process}/fd/{offer.file}").open("rb") as file:
            mapped = memoryview(mmap.mmap(file.fileno(), offer.bounds[-1], access=mmap.ACCESS_READ))
    except (OSError, ValueError):
        return None
    parts = [mapped[begin : begin + size] for begin, size in zip(offer.bounds, offer.sizes, strict=False)]
    dataset: Any = pickle.loads(offer.rest, buffers=parts)
    return dataset if isinstance(dataset, Dataset) else None
