"""Elementwise arithmetic on several values, broadcast to one shape, and reductions over axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar, Literal

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.ops.arrange import Reshape
from cnncli.ops.elementwise import Elementwise, listed
from cnncli.ops.ir import Call, Op, Shape, Tape, Value
from cnncli.ops.reach import Reaches
from cnncli.ops.reduce import SumRows

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor

SHORT = 128
"""Elements of a line from which on it makes no difference whether an input is one number or contiguous."""


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
class Quotient(Elementwise):
    """x / divisor."""

    divisor: float

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.arithmetic.apply("quotient", inputs, outputs[0], self.divisor)


@dataclass(frozen=True)
class AffineChannels(Elementwise):
    """scale · x + offset, with one scale and offset for each element of the last axis."""

    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(replace(self, offsets=(0.0,) * len(self.offsets)), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.weights.affine(inputs[0], outputs[0], self.scales, self.offsets)


@dataclass(frozen=True)
class Merge(Elementwise):
    """An operation on values of one rank, each broadcast along its axes of length 1 if `broadcasts`."""

    def broadcasts(self, count: int) -> bool:
        """Whether `count` values may have different shapes."""
        return True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(common_shape(inputs)),)

    def narrow(self, call: Call) -> bool:
        return all(value.batched for value in call.inputs)  # their kernels take one dtype

    @property
    def formula(self) -> str:
        """The kernels' formula of the operation."""
        return type(self).__name__.lower()

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.broadcast.apply(self.formula, inputs, outputs[0])


@dataclass(frozen=True)
class Add(Merge):
    """The sum of one or more values, added in order; more than two have one shape."""

    def broadcasts(self, count: int) -> bool:
        return count == 2

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        if not self.broadcasts(len(inputs)) and len({value.shape for value in inputs}) > 1:
            raise ShapeError(f"all inputs must have one shape; received {listed(inputs)}")
        return super().infer(*inputs)

    def flops(self, call: Call) -> int:
        return call.output.size * (len(call.inputs) - 1)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return [summed_like(tape, x, grad) if wanted else None for x, wanted in zip(call.inputs, needed, strict=True)]

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        if all(x.shape == outputs[0].shape for x in inputs):
            return kernels.merge.add(inputs, outputs[0])
        return super().steps(inputs, outputs, scratch)


@dataclass(frozen=True)
class Multiply(Merge):
    """a · b."""

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        grads: list[Value | None] = [None, None]
        # That of a broadcast input comes first: the other's may then overwrite `grad`.
        for k in sorted((0, 1), key=lambda k: call.inputs[k].size):
            x, other = call.inputs[k], call.inputs[1 - k]
            grads[k] = summed_like(tape, x, grad, other) if needed[k] else None
        return grads


@dataclass(frozen=True)
class Subtract(Merge):
    """a − b."""

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        a, b = call.inputs
        return (
            summed_like(tape, a, grad) if needed[0] else None,
            tape.emit(Affine(-1.0), summed_like(tape, b, grad)) if needed[1] else None,
        )


@dataclass(frozen=True)
class Extreme(Merge):
    """The maximum or minimum of a and b. On ties the gradient goes to the first, as in TensorFlow."""

    keeps_scale: ClassVar[bool] = True

    kind: Literal["maximum", "minimum"]

    @property
    def formula(self) -> str:
        return self.kind

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return [
            summed_like(tape, x, tape.emit(ExtremeGrad(f"{which} of {self.kind}"), grad, *call.inputs))
            if wanted
            else None
            for x, which, wanted in zip(call.inputs, ("first", "second"), needed, strict=True)
        ]


@dataclass(frozen=True)
class ExtremeGrad(Merge):
    """(grad, a, b) → grad where the operand named by `kind` ("first of maximum") was selected, else 0."""

    kind: str

    @property
    def formula(self) -> str:
        return self.kind


@dataclass(frozen=True)
class Broadcast(Op):
    """x, of the same rank, copied along axes of length 1 to `shape`. A Merge broadcasts its inputs without it."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    shape: Shape

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(self.shape),)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (summed_like(tape, call.inputs[0], grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.broadcast.apply("copy", inputs, outputs[0])


@dataclass(frozen=True)
class Reduce(Op):
    """The mean or sum over `axes`, counted from 0 without the batch axis; `keep` retains them with length 1.

    Non-adjacent axes may form at most two groups. Sums are accumulated in float64 in a fixed order. With a second input
    of the same shape, the terms are products of both; it then has no gradient.
    """

    takes_bfloat16: ClassVar[bool] = True

    kind: Literal["mean", "sum"]
    axes: tuple[int, ...]
    keep: bool = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        shape = inputs[0].shape
        if len(set(self.axes) & set(range(len(shape)))) < len(self.axes):
            raise ShapeError(f"the axes must be some of the {len(shape)} of {shape}, once each; received {self.axes}")
        if sum(summed for summed, _ in self._runs(shape)) > 2:
            raise ShapeError(f"the axes must form at most two groups of neighbours; received {self.axes} of {shape}")
        kept = (1 if axis in self.axes else length for axis, length in enumerate(shape))
        return (inputs[0].like(tuple(n for axis, n in enumerate(kept) if self.keep or axis not in self.axes)),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size * len(call.inputs)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        shape = call.inputs[0].shape
        if self.kind == "mean":
            grad = tape.emit(Affine(1 / self._count(shape)), grad)
        if not self.keep:
            grad = tape.emit(Reshape(tuple(1 if k in self.axes else n for k, n in enumerate(shape))), grad)
        return (broadcast(tape, grad, shape),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        shape = inputs[0].shape[1:]
        far, middle, near, inner = 1, 1, 1, 1
        runs = self._runs(shape)
        if runs and not runs[-1][0]:
            inner = runs.pop()[1]
        if runs:
            near = runs.pop()[1]
        if len(runs) > 1:
            far, middle = runs[-2][1], runs[-1][1]
        lengths = kernels.axes.Lengths(far, middle, near, inner)
        divisor = self._count(shape) if self.kind == "mean" else 1
        return kernels.axes.reduce(inputs[0], outputs[0], lengths, divisor, *inputs[1:])

    def _count(self, shape: Shape) -> int:
        return prod(shape[axis] for axis in self.axes)

    def _runs(self, shape: Shape) -> list[tuple[bool, int]]:
        """Merge adjacent axes, ignoring those of length 1: (whether it is reduced, its length), alternating."""
        long = [(axis in self.axes, length) for axis, length in enumerate(shape) if length > 1]
        return [(summed, prod(length for _, length in run)) for summed, run in groupby(long, key=itemgetter(0))]


@dataclass(frozen=True)
class Weighted(Elementwise):
    """(x (…, *shape), weight (*shape)) → x · weight or x + weight, with weight broadcast over leading axes."""

    kind: Literal["multiply", "add"]

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        x, weight = inputs
        if weight.batched or x.shape[len(x.shape) - len(weight.shape) :] != weight.shape:
            raise ShapeError(f"the weight must have the shape of the last axes; received {listed(inputs)}")
        return (x.like(),)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        x, weight = call.inputs
        if self.kind == "add":
            return grad, self._summed(tape, grad, weight) if needed[1] else None
        return (
            tape.emit(self, grad, weight) if needed[0] else None,
            self._summed(tape, tape.emit(Multiply(), x, grad), weight) if needed[1] else None,
        )

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.weights.apply(self.kind, inputs[0], inputs[1], outputs[0], scratch)

    @staticmethod
    def _summed(tape: Tape, grad: Value, weight: Value) -> Value:
        rows = tape.emit(Reshape((grad.size // weight.size, weight.size)), grad)
        return tape.emit(Reshape(weight.shape), tape.emit(SumRows(), rows))


@dataclass(frozen=True)
class SwapLast(Op):
    """x (…, n, m) → (…, m, n)."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        *outer, rows, columns = inputs[0].shape
        return (inputs[0].like((*outer, columns, rows)),)

    def reads(self, x: Value, output: Value) -> Reaches | None:
        return super().reads(x, output) if len(x.shape) > 3 else None

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(SwapLast(), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.axes.swap(inputs[0], outputs[0])


def common_shape(values: Sequence[Value]) -> Shape:
    """Return the broadcast shape (NumPy's rules). Raises ShapeError if the shapes are incompatible."""
    rank = max(len(value.shape) for value in values)
    axes = [set(lengths) for lengths in zip(*(padded(value.shape, rank) for value in values), strict=True)]
    if any(len(lengths - {1}) > 1 for lengths in axes):
        raise ShapeError(f"all inputs must have one shape, or 1 where they differ; received {listed(values)}")
    return tuple(max(lengths) for lengths in axes)


def summed_like(tape: Tape, x: Value, grad: Value, factor: Value | None = None) -> Value:
    """Return `grad`, or `grad` · `factor`, summed over the axes along which x was broadcast to the shape of `grad`."""
    axes = tuple(axis for axis, length in enumerate(grad.shape) if length != x.shape[axis])
    terms = [grad] if factor is None else [grad, factor]
    if factor is not None and not (axes and factor.shape == grad.shape):
        terms = [tape.emit(Multiply(), grad, factor)]
    for axis in axes:
        terms = [tape.emit(Reduce("sum", (axis,)), *terms)]
    return terms[0]


def broadcast(tape: Tape, x: Value, shape: Shape) -> Value:
    """Return x copied along axes of length 1 to `shape`, of the same rank."""
    return tape.emit(Broadcast(shape), with_long_lines(tape, x, shape))


def with_long_lines(tape: Tape, x: Value, shape: Shape) -> Value:
    """Return x, to be broadcast to `shape`, of the same rank, with its last axes copied first if they are short.

    Kernels go line by line, and x has one number for each line if it is broadcast along the last axes. Short lines are
    slow, and x stays small next to `shape`.
    """
    axes = [axis for axis, length in enumerate(x.shape) if length != shape[axis]]
    last = [axis for axis in axes if max(x.shape[axis:]) == 1]
    if last in ([], axes) or prod(shape[axis] for axis in last) >= SHORT:
        return x
    return tape.emit(Broadcast((*x.shape[: last[0]], *shape[last[0] :])), x)


def padded(shape: Shape, rank: int) -> Shape:
    """Prepend axes of length 1 to `shape` up to `rank`."""
    return (1,) * (rank - len(shape)) + shape
