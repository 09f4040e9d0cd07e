"""Operations that only move data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.ops.elementwise import listed
from cnncli.ops.ir import Call, Op, Shape, Tape, Value

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class Reshape(Op):
    """Change the shape; elements and their order stay the same, and nothing is copied."""

    keeps_scale: ClassVar[bool] = True

    shape: Shape
    is_view: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        if prod(self.shape) != inputs[0].size:
            raise ShapeError(f"the number of elements must stay; received {inputs[0].shape} for {self.shape}")
        return (inputs[0].like(self.shape),)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(Reshape(call.inputs[0].shape), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return []


@dataclass(frozen=True)
class Concatenate(Op):
    """Concatenate values along `axis`, counted from 0 without the batch axis."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    axis: int

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        first, axis = inputs[0].shape, self.axis
        # With the length along the axis left out, shapes of different rank can look alike.
        others = [(len(value.shape), value.shape[:axis], value.shape[axis + 1 :]) for value in inputs]
        if len(set(others)) > 1:
            raise ShapeError(f"all inputs must agree except along the joined axis; received {listed(inputs)}")
        return (inputs[0].like((*first[:axis], sum(value.shape[axis] for value in inputs), *first[axis + 1 :])),)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        grads: list[Value | None] = []
        start = 0
        for value, wanted in zip(call.inputs, needed, strict=True):
            grads.append(tape.emit(Slice(self.axis, start, value.shape[self.axis]), grad) if wanted else None)
            start += value.shape[self.axis]
        return grads

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.merge.concatenate(inputs, outputs[0], self.axis + 1)


@dataclass(frozen=True)
class Slice(Op):
    """Take `size` elements along `axis` (counted without the batch axis), starting at `start`."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    axis: int
    start: int
    size: int

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        shape = inputs[0].shape
        return (inputs[0].like((*shape[: self.axis], self.size, *shape[self.axis + 1 :])),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.merge.slice_axis(inputs[0], outputs[0], self.axis + 1, self.start)
