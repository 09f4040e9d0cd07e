"""The program: calls with every buffer in its place, as steps that run in one compiled call."""

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from cnncli.graph import memory
from cnncli.graph.schedule import segments, spans
from cnncli.graph.slices import Slices, passing
from cnncli.kernels.jit import runtime
from cnncli.kernels.jit.relocation import stand_in
from cnncli.kernels.jit.runtime import Pass, Scratch, Step, Tensor
from cnncli.ops.ir import Call, Value

Array = np.ndarray[Any, Any]


class _Bound(NamedTuple):
    """A program for one number of samples: all of it, what is done again with the same weights, and arrays it needs."""

    whole: runtime.Program
    again: runtime.Program
    arrays: list[Array]


class Program:
    """Operations planned for up to `capacity` samples.

    `placed` gives the array of every value that lies elsewhere (inputs, weights, gradients), with room for `capacity`
    samples and of its value's dtype; `kept` are values the host reads after a run. The rest shares the memory handed to
    `attach`, `size` bytes. With `steady`, what is made of weights alone is made first and keeps its memory, for runs in
    which they are what they were. Raises ValueError where an array has another dtype than its value.
    """

    def __init__(
        self,
        calls: Sequence[Call],
        placed: Mapping[Value, Array],
        kept: Collection[Value],
        *,
        capacity: int,
        threads: int,
        steady: bool = False,
    ) -> None:
        for value, array in placed.items():
            if array.dtype != value.dtype:
                raise ValueError(f"{value.label or 'a value'} is stored as {value.dtype}; received {array.dtype}")
        self.steady = steady
        self.calls, self.placed, self.capacity, self.threads = calls, placed, capacity, threads
        self.block: Array = np.empty(0, np.uint8)
        self.bound: dict[int, _Bound] = {}
        self.ready = 0
        self.spans = spans(calls)
        lasting = [value for call in calls for value in call.outputs if steady and not value.batched]
        lives = memory.lives(calls, placed, kept, self._size, spans=self.spans, lasting=lasting)
        self.layout = memory.Layout(lives.owners, dict.fromkeys(lives.spans, 0), 0)
        self.brief = lives.brief
        stand_ins = {value: stand_in(number) for number, value in enumerate(self.brief)}
        scratch = [Scratch() for _ in calls]
        steps = [self._steps(call, capacity, own, stand_ins) for call, own in zip(calls, scratch, strict=True)]
        _, parts = self._scheduled(steps, capacity)
        found = passing(parts, self.brief)
        self.elsewhere = {value: address for value, address in stand_ins.items() if value in found}
        self.layout = memory.layout(lives, self._size, found)
        self.shared_at = memory.aligned(self.layout.total)
        self.places, shared = self._shares([own.used for own in scratch])
        self.private_at = self.shared_at + shared
        self.private = max((own.used_by_thread for own in scratch), default=0)
        self.slice = _room(self._cut(parts))
        self.stride = self.private + self.slice
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
            self.bound[n] = self._bind(n)
        again = steady and self.steady and self.ready == n
        (self.bound[n].again if again else self.bound[n].whole).run()
        self.ready = n

    def alone(self, n: int) -> tuple[list[list[Step]], list[Array]]:
        """The steps of each call on the first `n` samples, to be done one by one; arrays that must live as long."""
        return self._planned(n, self.elsewhere)

    def traffic(self, call: Call, n: int) -> int:
        """Bytes of all that a call on `n` samples reads and writes, each once."""
        return sum(value.bytes * (n if value.batched else 1) for value in (*call.inputs, *call.outputs))

    def read(self, value: Value) -> Array:
        """A view of `value`, `capacity` samples if batched; rows past the last run's n are stale."""
        owner = self.layout.owner(value)
        shape = self._shape(value, self.capacity)
        if owner in self.placed:
            return self.placed[owner].reshape(shape)
        start = self.layout.offsets[owner]
        return self.block[start : start + self._size(value)].view(value.dtype).reshape(shape)

    def _size(self, value: Value) -> int:
        return value.bytes * (self.capacity if value.batched else 1)

    @staticmethod
    def _shape(value: Value, n: int) -> tuple[int, ...]:
        return (n, *value.shape) if value.batched else value.shape

    def _bind(self, n: int) -> _Bound:
        """Plan for the first `n` samples. What does not stay within a pass now has an array of its own."""
        steps, arrays = self._planned(n, ())
        weights, parts = self._scheduled(steps, n)
        if rest := self.elsewhere.keys() - passing(parts, self.brief):
            steps, arrays = self._planned(n, rest)
            weights, parts = self._scheduled(steps, n)
        cut = self._cut(parts)
        base, stride = self.block.ctypes.data + self.private_at + self.private, self.stride
        if (room := _room(cut)) > self.slice:
            arrays.append(aligned(room * self.threads))
            base, stride = arrays[-1].ctypes.data, room
        parts = [part.at(base, stride) if isinstance(part, Slices) else part for part in cut]
        again = runtime.Program(parts, self.threads)
        whole = runtime.Program([*weights, *parts], self.threads) if weights else again
        return _Bound(whole, again, arrays)

    def _planned(self, n: int, values: Collection[Value]) -> tuple[list[list[Step]], list[Array]]:
        """Each call's steps on the first `n` samples; `values` that have no place get arrays, others stand-ins."""
        arrays = {value: aligned(n * value.bytes) for value in values}
        elsewhere = {**self.elsewhere, **{value: array.ctypes.data for value, array in arrays.items()}}
        base = self.block.ctypes.data
        steps = [
            self._steps(call, n, Scratch(base + place, base + self.private_at, self.stride), elsewhere)
            for call, place in zip(self.calls, self.places, strict=True)
        ]
        return steps, list(arrays.values())

    def _scheduled(self, steps: Sequence[Sequence[Step]], n: int) -> tuple[list[Step], list[Step | Pass]]:
        """What is made of steady weights, and all the rest that is to be done on the first `n` samples."""
        weights: list[Step] = []
        rest: list[Step | Pass] = []
        for segment in segments(self.calls, steps, n, self.spans):
            (weights if self.steady else rest).extend(segment.weights)
            rest += segment.parts(n, self.threads)
        return weights, rest

    def _cut(self, parts: Sequence[Step | Pass]) -> list[Step | Slices]:
        return [Slices(part, self.brief) if isinstance(part, Pass) else part for part in parts]

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

    def _steps(self, call: Call, n: int, scratch: Scratch, elsewhere: Mapping[Value, int]) -> list[Step]:
        inputs = [self._tensor(value, n, elsewhere) for value in call.inputs]
        outputs = [self._tensor(value, n, elsewhere) for value in call.outputs]
        return call.op.steps(inputs, outputs, scratch)

    def _tensor(self, value: Value, n: int, elsewhere: Mapping[Value, int]) -> Tensor:
        """Where `value` lies, its first `n` samples if batched."""
        owner = self.layout.owner(value)
        if owner in elsewhere:
            address = elsewhere[owner]
        elif owner in self.placed:
            address = self.placed[owner].ctypes.data
        else:
            address = self.block.ctypes.data + self.layout.offsets[owner]
        return Tensor(address, self._shape(value, n), value.dtype)


def _room(parts: Sequence[Step | Slices]) -> int:
    """Bytes a thread needs for the slices of any pass."""
    return memory.aligned(max((part.size for part in parts if isinstance(part, Slices)), default=0))


def aligned(size: int) -> Array:
    """`size` bytes of zeroed memory, uint8, starting at a multiple of 64."""
    raw = np.zeros(size + memory.ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % memory.ALIGNMENT
    return raw[start : start + size]
