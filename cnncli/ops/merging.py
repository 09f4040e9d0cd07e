"""Arithmetic of several values, element by element, and what brings values to one shape first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar, Literal

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.ops.elementwise import Elementwise, listed
from cnncli.ops.ir import Call, Op, Shape, Tape, Value

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class Affine(Elementwise):
    """scale · x + offset."""

    scale: float
    offset: float = 0.0

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(Affine(self.scale), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.arithmetic.apply("affine", inputs, outputs[0], self.scale, self.offset)


@dataclass(frozen=True)
class Multiply(Elementwise):
    """a · b, of one shape."""

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        others = reversed(call.inputs)
        return [tape.emit(Multiply(), grad, x) if wanted else None for x, wanted in zip(others, needed, strict=True)]

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.arithmetic.apply("multiply", inputs, outputs[0])


@dataclass(frozen=True)
class Subtract(Elementwise):
    """a − b, of one shape."""

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return grad, tape.emit(Affine(-1.0), grad) if needed[1] else None

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.arithmetic.apply("subtract", inputs, outputs[0])


@dataclass(frozen=True)
class Extreme(Elementwise):
    """The larger or the smaller of a and b, of one shape. Of equals the first has the gradient, as in TensorFlow."""

    keeps_scale: ClassVar[bool] = True

    kind: Literal["maximum", "minimum"]

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return [
            tape.emit(ExtremeGrad(f"{which} of {self.kind}"), grad, *call.inputs) if wanted else None
            for which, wanted in zip(("first", "second"), needed, strict=True)
        ]

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.arithmetic.apply(self.kind, inputs, outputs[0])


@dataclass(frozen=True)
class ExtremeGrad(Elementwise):
    """(grad, a, b) → grad where the one that `kind` names has it: "first of maximum"."""

    kind: str

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.arithmetic.apply(self.kind, inputs, outputs[0])


@dataclass(frozen=True)
class Repeat(Op):
    """x (…, 1, …) → (…, times, …) along `axis`, counted from 0 without the batch axis."""

    keeps_scale: ClassVar[bool] = True

    axis: int
    times: int

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        shape = inputs[0].shape
        return (inputs[0].like((*shape[: self.axis], self.times, *shape[self.axis + 1 :])),)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(SumAxis(self.axis), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        inner = prod(outputs[0].shape[self.axis + 2 :])
        return kernels.axes.repeat(inputs[0], outputs[0], self.times, inner)


@dataclass(frozen=True)
class SumAxis(Op):
    """x (…, n, …) → (…, 1, …): the sum over `axis`, counted from 0 without the batch axis."""

    axis: int

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        shape = inputs[0].shape
        return (inputs[0].like((*shape[: self.axis], 1, *shape[self.axis + 1 :])),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        shape = inputs[0].shape
        inner = prod(shape[self.axis + 2 :])
        return kernels.axes.sum_axis(inputs[0], outputs[0], shape[self.axis + 1], inner)


@dataclass(frozen=True)
class SwapLast(Op):
    """x (…, n, m) → (…, m, n)."""

    keeps_scale: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        *outer, rows, columns = inputs[0].shape
        return (inputs[0].like((*outer, columns, rows)),)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(SwapLast(), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.axes.swap(inputs[0], outputs[0])


def common_shape(values: Sequence[Value]) -> Shape:
    """The shape that all are repeated to, as NumPy broadcasts. Raises ShapeError where they do not fit."""
    rank = max(len(value.shape) for value in values)
    axes = [set(lengths) for lengths in zip(*(padded(value.shape, rank) for value in values), strict=True)]
    if any(len(lengths - {1}) > 1 for lengths in axes):
        raise ShapeError(f"all inputs must have one shape, or 1 where they differ; received {listed(values)}")
    return tuple(max(lengths) for lengths in axes)


def padded(shape: Shape, rank: int) -> Shape:
    """`shape` with axes of length 1 before it."""
    return (1,) * (rank - len(shape)) + shape
