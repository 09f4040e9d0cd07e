"""Loops over arrays built from vector formulas (`lanes`), to be called by workers.

    halves = elementwise(lambda x, factor: x * factor)
    ...
    halves(0, (p.x,), (p.out,), start, stop, (p.factor,), real)  # in a worker

Each vector is read before it is written, so loops can work in-place. Sums have `LANES` lanes on any hardware.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cnncli.kernels.vector.emit import Code, Variable, wrapped
from cnncli.kernels.vector.lanes import INT, Vector, larger

LANES = 16
"""Lanes of a sum, and of a float32 vector. A float64 vector without a sum has half as many."""


def elementwise(*formulas: Callable[..., Any]) -> Any:
    """Turn `formula(*inputs, *scalars)`, which returns one or more vectors, into a function for workers.

    The function takes (index of the formula: a constant, addresses of input arrays, of output arrays, first element,
    last + 1, scalars, real). An output may be an input (in-place).
    """

    @intrinsic(prefer_literal=True)
    def apply(typing_context, choice, inputs, outputs, start, stop, scalars, real):
        def generate(context, builder, signature, arguments):
            code = Code(builder, real.instance_type.bitwidth // 8)
            write(code, formulas[choice.literal_value], *_operands(builder, arguments[1:-1]))
            return context.get_dummy_value()

        return types.void(choice, *_plain(inputs, outputs, start, stop, scalars), real), generate

    return apply


def summing(terms: int, *formulas: Callable[..., Any]) -> Any:
    """Like `elementwise`, for formulas that return (tuple of outputs, tuple of `terms` float64 vectors).

    The function returns the sums of the terms over all elements: a tuple of float64. Each of the 16 lanes is one chain
    on any hardware.
    """
    sums = types.UniTuple(types.float64, terms)

    @intrinsic(prefer_literal=True)
    def apply(typing_context, choice, inputs, outputs, start, stop, scalars, real):
        def generate(context, builder, signature, arguments):
            code = Code(builder, real.instance_type.bitwidth // 8, LANES)
            found = add_up(code, terms, formulas[choice.literal_value], *_operands(builder, arguments[1:-1]))
            return context.make_tuple(builder, sums, [total.value for total in found])

        return sums(choice, *_plain(inputs, outputs, start, stop, scalars), real), generate

    return apply


def write(
    code: Code,
    formula: Callable[..., Any],
    sources: Sequence[Vector],
    targets: Sequence[Vector],
    start: Vector,
    stop: Vector,
    numbers: Sequence[Vector],
) -> None:
    """Emit the loop of `elementwise` inside other emitted code, with the arguments of its function."""
    given = [code.full(number) for number in numbers]

    def body(index: Vector, mask: Vector | None) -> None:
        found = formula(*(code.load(source, index, mask) for source in sources), *given)
        for target, vector in zip(targets, found if isinstance(found, tuple) else (found,), strict=True):
            code.store(vector, target, index, mask)

    code.sweep(start, stop, body)


def add_up(
    code: Code,
    terms: int,
    formula: Callable[..., Any],
    sources: Sequence[Vector],
    targets: Sequence[Vector],
    start: Vector,
    stop: Vector,
    numbers: Sequence[Vector],
) -> list[Vector]:
    """Emit the loop of `summing` inside other emitted code; the sums are float64 scalars."""
    given, zero = [code.full(number) for number in numbers], code.full(0.0, ir.DoubleType())
    totals = [Variable(zero) for _ in range(terms)]

    def body(index: Vector, mask: Vector | None) -> None:
        outputs, found = formula(*(code.load(source, index, mask) for source in sources), *given)
        for target, vector in zip(targets, outputs, strict=True):
            code.store(vector, target, index, mask)
        for total, term in zip(totals, found, strict=True):
            within = term if mask is None else term.where(mask, zero)
            total.set(total.get() + within)

    code.sweep(start, stop, body)
    return [Vector(code.builder, total.get().sum()) for total in totals]


def _plain(inputs: Any, outputs: Any, start: Any, stop: Any, scalars: Any) -> tuple[Any, ...]:
    """Return the types with literal types replaced by their general type."""
    unliteral = types.unliteral
    return unliteral(inputs), unliteral(outputs), types.intp, types.intp, unliteral(scalars)


def _operands(builder: ir.IRBuilder, arguments: Sequence[ir.Value]) -> list[Any]:
    """Return addresses of inputs and outputs, first and last element, and the scalars."""
    return [wrapped(builder, argument) for argument in arguments]


@intrinsic
def largest(typing_context, x, count, real):
    """Return the maximum of the `count` reals at address `x`; unspecified if one is NaN."""

    def generate(context, builder, signature, arguments):
        x, count = (Vector(builder, argument) for argument in arguments[:2])
        return find_largest(Code(builder, real.instance_type.bitwidth // 8, LANES), (x,), count, lambda x: x).value

    return real.instance_type(types.intp, types.intp, real), generate


def find_largest(code: Code, sources: Sequence[Vector], count: Vector, formula: Callable[..., Vector]) -> Vector:
    """Emit the loop of `largest` inside other emitted code, of a formula of `count` elements of each source."""
    best = Variable(code.full(-inf))

    def body(index: Vector, mask: Vector | None) -> None:
        found = formula(*(code.load(source, index, mask) for source in sources))
        best.set(larger(found if mask is None else found.where(mask, -inf), best.get()))

    code.sweep(code.word(0), count, body)
    return Vector(code.builder, best.get().folded(larger))


def of_number(formula: Callable[[Vector], Vector], x: Vector) -> Vector:
    """Apply `formula` to one scalar real inside other emitted code."""
    found = formula(x.spread(1))
    return Vector(x.builder, x.builder.extract_element(found.value, INT(0)))
