"""The program: calls with buffers assigned, as steps that run in one compiled call."""

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from cnncli.graph import memory
from cnncli.graph.schedule import segments, spans
from cnncli.graph.slices import Slices, pass_local_values, uses
from cnncli.kernels.jit import runtime
from cnncli.kernels.jit.relocation import placeholder_address
from cnncli.kernels.jit.runtime import Pass, Scratch, Step, Tensor
from cnncli.ops.ir import Call, Value

Array = np.ndarray[Any, Any]


class _Bound(NamedTuple):
    """A program for one batch size: all steps, the steps to repeat if weights are unchanged, and extra arrays."""

    whole: runtime.Program
    again: runtime.Program
    arrays: list[Array]


class Program:
    """Operations planned for up to `capacity` samples.

    `placed` maps values with external storage (inputs, weights, gradients) to their arrays, of the value's dtype and
    large enough for `capacity` samples; `kept` values are read after a run. All other values share the memory passed to
    `attach`, `size` bytes. With `steady`, values computed from weights only are computed first and keep their memory,
    so that runs with unchanged weights can reuse them. Raises ValueError if an array's dtype differs from its value's.
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
        self.short_lived = lives.short_lived
        placeholders = {value: placeholder_address(number) for number, value in enumerate(self.short_lived)}
        scratch = [Scratch(lasting=steady) for _ in calls]
        steps = [self._steps(call, capacity, own, placeholders) for call, own in zip(calls, scratch, strict=True)]
        _, parts = self._scheduled(steps, capacity)
        found = pass_local_values(parts, self.short_lived)
        self.elsewhere = {value: address for value, address in placeholders.items() if value in found}
        self.layout = memory.layout(lives, self._size, found)
        self.shared_at = memory.aligned(self.layout.total)
        self.places, shared = self._shares([own.used for own in scratch])
        self.private_at = self.shared_at + shared
        self.private = max((own.used_by_thread for own in scratch), default=0)
        self.slice = _room(self._cut(parts))
        self.stride = self.private + self.slice
        self.size = self.private_at + self.stride * threads

    def attach(self, block: Array) -> None:
        """Use `block` (at least `size` bytes, aligned to 64) for buffers; programs may share one."""
        self.block, self.bound, self.ready = block, {}, 0

    def run(self, n: int, *, steady: bool = False) -> None:
        """Run on the first `n` samples; the steps for each `n` are planned once.

        With `steady`, the caller guarantees that neither weights nor memory changed since the last run: values computed
        from weights only are reused. Raises ValueError if `n` is not in 1 … capacity: kernels do not check sizes.
        """
        bound = self._bound(n)
        again = steady and self.steady and self.ready == n
        (bound.again if again else bound.whole).run()
        self.ready = n

    def run_up_to(self, n: int, worker: int) -> bool:
        """Run up to the last step of the worker at an address; whether there is one."""
        whole, self.ready = self._bound(n).whole, 0
        count = whole.up_to(worker)
        if count:
            whole.run(count)
        return count > 0

    def alone(self, n: int) -> tuple[list[list[Step]], list[Array]]:
        """Return the steps of each call on the first `n` samples, to run one by one, and arrays they keep using."""
        arrays = {value: aligned(n * value.bytes) for value in self.elsewhere}
        steps = self._planned(n, {value: array.ctypes.data for value, array in arrays.items()})
        return steps, list(arrays.values())

    def traffic(self, call: Call, n: int) -> int:
        """Return the bytes a call on `n` samples reads and writes, counting each array once."""
        return sum(value.bytes * (n if value.batched else 1) for value in (*call.inputs, *call.outputs))

    def read(self, value: Value) -> Array:
        """Return a view of `value`, `capacity` samples if batched; rows past the last run's n are stale.

        Bfloat16 is viewed as uint16.
        """
        owner = self.layout.owner(value)
        shape = self._shape(value, self.capacity)
        if owner in self.placed:
            return self.placed[owner].reshape(shape)
        start = self.layout.offsets[owner]
        dtype = "uint16" if value.dtype == "bfloat16" else value.dtype
        return self.block[start : start + self._size(value)].view(dtype).reshape(shape)

    def _size(self, value: Value) -> int:
        return value.bytes * (self.capacity if value.batched else 1)

    @staticmethod
    def _shape(value: Value, n: int) -> tuple[int, ...]:
        return (n, *value.shape) if value.batched else value.shape

    def _bound(self, n: int) -> _Bound:
        if not 1 <= n <= self.capacity:
            raise ValueError(f"a program runs on 1 … {self.capacity} samples; received {n}")
        if n not in self.bound:
            self.bound[n] = self._bind(n)
        return self.bound[n]

    def _bind(self, n: int) -> _Bound:
        """Plan for the first `n` samples. Values that are not local to a pass for this n share a further array."""
        arrays: list[Array] = []
        weights, parts = self._scheduled(self._planned(n, {}), n)
        local = pass_local_values(parts, self.short_lived)
        if rest := {value: span for value, span in uses(parts, self.short_lived).items() if value not in local}:
            offsets, size = memory.pack(rest, lambda value: n * value.bytes)
            arrays.append(aligned(size))
            base = arrays[0].ctypes.data
            steps = self._planned(n, {value: base + offset for value, offset in offsets.items()})
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

    def _planned(self, n: int, places: Mapping[Value, int]) -> list[list[Step]]:
        """Return each call's steps on the first `n` samples; short-lived values are at `places` or placeholders."""
        elsewhere = {**self.elsewhere, **places}
        base, private = self.block.ctypes.data, self.block.ctypes.data + self.private_at
        return [
            self._steps(call, n, Scratch(base + place, private, self.stride, lasting=self.steady), elsewhere)
            for call, place in zip(self.calls, self.places, strict=True)
        ]

    def _scheduled(self, steps: Sequence[Sequence[Step]], n: int) -> tuple[list[Step], list[Step | Pass]]:
        """Return the steps that depend on steady weights only, and all other steps on the first `n` samples."""
        weights: list[Step] = []
        rest: list[Step | Pass] = []
        for segment in segments(self.calls, steps, n, self.spans):
            (weights if self.steady else rest).extend(segment.weights)
            rest += segment.parts(n, self.threads)
        return weights, rest

    def _cut(self, parts: Sequence[Step | Pass]) -> list[Step | Slices]:
        return [Slices(part, self.short_lived) if isinstance(part, Pass) else part for part in parts]

    def _shares(self, used: Sequence[int]) -> tuple[list[int], int]:
        """Return the offset of each call's shared scratch, and the total size in bytes.

        With `steady`, every call has its own scratch, because values computed from weights persist. Otherwise the calls
        of a segment have disjoint scratch, and two areas alternate, because a call may extend into the next segment.
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
        """Return the tensor of `value`, its first `n` samples if batched."""
        owner = self.layout.owner(value)
        if owner in elsewhere:
            address = elsewhere[owner]
        elif owner in self.placed:
            address = self.placed[owner].ctypes.data
        else:
            address = self.block.ctypes.data + self.layout.offsets[owner]
        return Tensor(address, self._shape(value, n), value.dtype)


def _room(parts: Sequence[Step | Slices]) -> int:
    """Return the bytes each thread needs for slices: the maximum over all passes."""
    return memory.aligned(max((part.size for part in parts if isinstance(part, Slices)), default=0))


def aligned(size: int) -> Array:
    """Allocate `size` zeroed bytes (uint8), aligned to 64."""
    raw = np.zeros(size + memory.ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % memory.ALIGNMENT
    return raw[start : start + size]
