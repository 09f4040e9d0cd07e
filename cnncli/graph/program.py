"""The program: calls with every buffer in its place, as steps that run in one compiled call."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from cnncli.graph import memory
from cnncli.graph.schedule import segments, spans
from cnncli.kernels import runtime
from cnncli.kernels.runtime import Pass, Scratch, Step, Tensor
from cnncli.ops.ir import REAL, Call, Value

Array = np.ndarray[Any, Any]


class Program:
    """Operations planned for up to `capacity` samples.

    `placed` gives the array of every value that lies elsewhere (inputs, weights, gradients), with room for `capacity`
    samples; `kept` are values the host reads after a run. The rest shares the memory handed to `attach`, `size` bytes.
    With `steady`, what is made of weights alone keeps its memory, for runs in which they are what they were.
    """

    def __init__(
        self,
        calls: Sequence[Call],
        placed: Mapping[Value, Array],
        kept: Collection[Value],
        *,
        capacity: int,
        dtype: str,
        threads: int,
        steady: bool = False,
    ) -> None:
        self.steady = steady
        self.calls, self.placed, self.capacity, self.dtype, self.threads = calls, placed, capacity, dtype, threads
        self.block: Array = np.empty(0, np.uint8)
        self.bound: dict[int, tuple[runtime.Program, runtime.Program]] = {}
        self.ready = 0
        self.layout = memory.Layout({}, dict.fromkeys(_values(calls), 0), 0)
        self.spans = spans(calls, self._row)
        measured = [self._measured(call) for call in calls]
        if steady:
            kept = [*kept, *(value for call in calls for value in call.outputs if not value.batched)]
        self.layout = memory.plan(calls, placed, kept, self._size, self.spans)
        self.shared_at = -(-self.layout.total // memory.ALIGNMENT) * memory.ALIGNMENT
        self.places, shared = self._shares([scratch.used for scratch in measured])
        self.private_at = self.shared_at + shared
        self.stride = max((scratch.used_by_thread for scratch in measured), default=0)
        self.size = self.private_at + self.stride * threads

    def attach(self, block: Array) -> None:
        """Use `block` (at least `size` bytes, aligned to 64) as memory; several programs may share one."""
        self.block, self.bound, self.ready = block, {}, 0

    def run(self, n: int, *, steady: bool = False) -> None:
        """Run on the first `n` samples; the steps for an `n` are planned once.

        With `steady`, weights are those of the last run, and nobody else has used the memory since: what that run made
        of weights alone is not made again. Raises ValueError for an `n` that is not 1 … capacity: kernels trust the
        sizes they are given.
        """
        if not 1 <= n <= self.capacity:
            raise ValueError(f"a program runs on 1 … {self.capacity} samples; received {n}")
        if n not in self.bound:
            whole, rest = (runtime.Program(parts, self.threads) for parts in self._scheduled(n))
            self.bound[n] = whole, rest
        again = steady and self.steady and self.ready == n
        self.bound[n][again].run()
        self.ready = n

    def planned(self, n: int) -> list[tuple[Call, list[Step]]]:
        """Each call with its steps on the first `n` samples, in order; a view has none."""
        base = self.block.ctypes.data
        return [
            (call, self._steps(call, n, Scratch(base + place, base + self.private_at, self.stride)))
            for call, place in zip(self.calls, self.places, strict=True)
        ]

    def tensor(self, value: Value, n: int) -> Tensor:
        """Where `value` lies, its first `n` samples if batched."""
        owner = self.layout.owner(value)
        base, offset = (self.placed[owner], 0) if owner in self.placed else (self.block, self.layout.offsets[owner])
        return Tensor(base.ctypes.data + offset, self._shape(value, n), self._dtype(value))

    def read(self, value: Value) -> Array:
        """A view of `value`, `capacity` samples if batched; rows past the last run's n are stale."""
        owner = self.layout.owner(value)
        shape = self._shape(value, self.capacity)
        if owner in self.placed:
            return self.placed[owner].reshape(shape)
        start = self.layout.offsets[owner]
        return self.block[start : start + self._size(value)].view(self._dtype(value)).reshape(shape)

    def _size(self, value: Value) -> int:
        return self._row(value) * (self.capacity if value.batched else 1)

    def _row(self, value: Value) -> int:
        return value.size * np.dtype(self._dtype(value)).itemsize

    def _dtype(self, value: Value) -> str:
        return self.dtype if value.dtype == REAL else value.dtype

    @staticmethod
    def _shape(value: Value, n: int) -> tuple[int, ...]:
        return (n, *value.shape) if value.batched else value.shape

    def _scheduled(self, n: int) -> tuple[list[Step | Pass], list[Step | Pass]]:
        """All that is to be done on the first `n` samples, and what of it is to be done again with the same weights."""
        found = segments(self.calls, [steps for _, steps in self.planned(n)], n, self.spans)
        parts = [(segment.weights, segment.parts(n, self.threads, self._row)) for segment in found]
        rest = [part for _, others in parts for part in others]
        if self.steady:
            return [*(step for weights, _ in parts for step in weights), *rest], rest
        return [part for weights, others in parts for part in (*weights, *others)], rest

    def _measured(self, call: Call) -> Scratch:
        """What a call takes of scratch; its steps get addresses that are none."""
        scratch = Scratch()
        self._steps(call, self.capacity, scratch)
        return scratch

    def _shares(self, used: Sequence[int]) -> tuple[list[int], int]:
        """Where each call's shared scratch lies, and how much there is of it.

        Calls of one segment have theirs side by side, or all calls where what is made of weights is to stay. Else there
        are two places in turn, for a call may reach into the next segment.
        """
        if self.steady:
            starts = [0, *accumulate(used)]
            return [self.shared_at + start for start in starts[:-1]], starts[-1]
        ends, first, end = [0, 0], 0, 0
        turns: list[tuple[int, int]] = []
        for (segment, _), size in zip(self.spans, used, strict=True):
            if segment != first:
                first, end = segment, 0
            turns.append((segment % 2, end))
            end += size
            ends[segment % 2] = max(ends[segment % 2], end)
        return [self.shared_at + turn * ends[0] + start for turn, start in turns], sum(ends)

    def _steps(self, call: Call, n: int, scratch: Scratch) -> list[Step]:
        inputs = [self.tensor(value, n) for value in call.inputs]
        outputs = [self.tensor(value, n) for value in call.outputs]
        return call.op.steps(inputs, outputs, scratch)


def _values(calls: Sequence[Call]) -> Iterator[Value]:
    for call in calls:
        yield from call.inputs
        yield from call.outputs


def aligned(size: int) -> Array:
    """`size` bytes of zeroed memory, uint8, starting at a multiple of 64."""
    raw = np.zeros(size + memory.ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % memory.ALIGNMENT
    return raw[start : start + size]
