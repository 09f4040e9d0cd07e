"""A batch in parts, of several processes or one: sums over all of its rows, within a program.

A program runs one part of the batch. A step of such a sum calls back into Python, where its numbers are exchanged for
those of all parts; without `share`, or with it for a batch of one part, nothing is added to a program.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnncli.kernels.jit.runtime import Step, Work

Float64 = np.ndarray[Any, np.dtype[np.float64]]
FIELDS = ("sums", "partials", "size", "own", "count", "weighted")


@dataclass
class Share:
    """The part of the current batch that a program runs. `total`: returns the sum of an array, float64 (k,), over all
    parts, the same bits in each process. `fraction`: the part of the batch's rows, 0 for none (a row that does not
    count is then run). `ready(k)` is called when the gradients of bucket k are complete. `joint`: whether each process
    has one part, and layers may use statistics of the whole batch. `error`: what went wrong in a step.
    """

    total: Callable[[Float64], Float64]
    ready: Callable[[int], None] = lambda bucket: None
    fraction: float = 1.0
    joint: bool = True
    error: BaseException | None = None

    @contextmanager
    def telling(self, total: Callable[[Float64], Float64]) -> Iterator[None]:
        """Context in which `total` gives the sums; at its end the error of a step is raised."""
        before, self.total = self.total, total
        try:
            yield
        finally:
            self.total, self.fraction = before, 1.0
        self.check()

    def check(self) -> None:
        """Raise the error of a step, after the program has run."""
        error, self.error = self.error, None
        if error is not None:
            raise error


_share: Share | None = None


def shared() -> bool:
    """Whether programs are planned for parts of batches that processes share, one in each."""
    return _share is not None and _share.joint


def share(found: Share | None) -> None:
    """Plan further programs for parts of batches, or with None for whole batches."""
    global _share  # noqa: PLW0603  # like the number of threads: one for all programs of a process
    _share = found


def summed(sums: int, partials: int, size: int, reader: Step, *, weighted: bool) -> list[Step]:
    """Replace partial sums by those over all processes: the first is the whole, and the others are 0.

    sums: address of float64 (partials, size); `reader`: the step that reads them, with a field `count` of the elements
    that were added up, which becomes the count of all. `weighted`: the sums are of gradients of this process' mean,
    which is only a `fraction` of the batch's.
    """
    if not shared():
        return []
    own, count = reader.parameters["count"][0], reader.parameters.dtype.fields["count"][1]
    place = reader.parameters.ctypes.data + count
    return [Step(_ADDRESS, np.array([sums, partials, size, own, place, weighted], np.int64), Work(1))]


def totaled(numbers: int, count: int) -> list[Step]:
    """Replace numbers of a part by their sums over all parts. numbers: address of float64 (count,)."""
    return [] if _share is None else [Step(TOTALED, np.array([numbers, count], np.int64), Work(1))]


def ready(number: int) -> list[Step]:
    """Tell that the gradients of a bucket are complete."""
    return [Step(_READY, np.array([number], np.int64), Work(1))]


def _tell_ready(parameters: int, start: int, stop: int, thread: int) -> None:
    _guarded(lambda found: found.ready(int(_numbers(ctypes.c_int64, parameters, 1)[0])))


def _exchange(parameters: int, start: int, stop: int, thread: int) -> None:
    _guarded(lambda found: _sum(found, *_numbers(ctypes.c_int64, parameters, len(FIELDS)).tolist()))


def _total(parameters: int, start: int, stop: int, thread: int) -> None:
    address, count = _numbers(ctypes.c_int64, parameters, 2).tolist()
    _guarded(lambda found: _totaled(found, _numbers(ctypes.c_double, address, count)))


def _totaled(found: Share, numbers: Float64) -> None:
    numbers[:] = found.total(numbers if found.fraction else np.zeros_like(numbers))


def _guarded(work: Callable[[Share], None]) -> None:
    found = _share
    if found is None or found.error is not None:
        return
    try:
        work(found)
    except BaseException as error:  # none may pass through compiled code: see `Share.check`
        found.error = error


def _sum(found: Share, sums: int, partials: int, size: int, own: int, count: int, weighted: int) -> None:
    places = _numbers(ctypes.c_double, sums, partials * size).reshape(partials, size)
    takes_part = found.fraction > 0
    weight = found.fraction if weighted else float(takes_part)
    everyone = found.total(np.append(places.sum(axis=0) * weight, own * takes_part))
    places[1:] = 0
    places[0] = everyone[:size] / (weight or 1.0)
    _numbers(ctypes.c_int64, count, 1)[0] = round(everyone[size])


def _numbers(kind: Any, address: int, count: int) -> np.ndarray[Any, Any]:
    return np.ctypeslib.as_array((kind * count).from_address(address))


_CALLS = [ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 4)(call) for call in (_exchange, _tell_ready, _total)]
_ADDRESS, _READY, TOTALED = (ctypes.cast(call, ctypes.c_void_p).value or 0 for call in _CALLS)
