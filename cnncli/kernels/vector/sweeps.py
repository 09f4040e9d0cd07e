"""Formulas over vectors (`lanes`) made into loops over arrays, for workers to call.

    halves = elementwise(lambda x, factor: x * factor)
    ...
    halves(0, (p.x,), (p.out,), start, stop, (p.factor,), real)  # in a worker

Each vector is read before it is written, so that an output may be an input. Sums have `LANES` lanes on any hardware.
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
"""Lanes of a sum, and of a float32 vector. A float64 vector that nothing is summed in has half as many."""


def elementwise(*formulas: Callable[..., Any]) -> Any:
    """`formula(*inputs, *scalars)`, a vector or a tuple of them, as a function that a worker calls.

    The function takes (which of the formulas: a constant, addresses of input arrays, of output arrays, first element,
    last + 1, scalars, real). An output may be an input.
    """

    @intrinsic(prefer_literal=True)
    def apply(typing_context, choice, inputs, outputs, start, stop, scalars, real):
        def generate(context, builder, signature, arguments):
            formula, code = formulas[choice.literal_value], Code(builder, real.instance_type.bitwidth // 8)
            sources, targets, start, stop, given = _operands(code, arguments[1:-1])

            def body(index: Vector, mask: Vector | None) -> None:
                found = formula(*(code.load(source, index, mask) for source in sources), *given)
                for target, vector in zip(targets, found if isinstance(found, tuple) else (found,), strict=True):
                    code.store(vector, target, index, mask)

            code.sweep(start, stop, body)
            return context.get_dummy_value()

        return types.void(choice, *_plain(inputs, outputs, start, stop, scalars), real), generate

    return apply


def summing(terms: int, *formulas: Callable[..., Any]) -> Any:
    """Like `elementwise`, for formulas that return (tuple of outputs, tuple of `terms` float64 vectors).

    The function returns the sums of the terms over all elements: a tuple of float64. Each of the 16 lanes is one chain,
    whatever the hardware.
    """
    sums = types.UniTuple(types.float64, terms)

    @intrinsic(prefer_literal=True)
    def apply(typing_context, choice, inputs, outputs, start, stop, scalars, real):
        def generate(context, builder, signature, arguments):
            formula, code = formulas[choice.literal_value], Code(builder, real.instance_type.bitwidth // 8, LANES)
            sources, targets, start, stop, given = _operands(code, arguments[1:-1])
            zero = code.full(0.0, ir.DoubleType())
            totals = [Variable(zero) for _ in range(terms)]

            def body(index: Vector, mask: Vector | None) -> None:
                outputs, found = formula(*(code.load(source, index, mask) for source in sources), *given)
                for target, vector in zip(targets, outputs, strict=True):
                    code.store(vector, target, index, mask)
                for total, term in zip(totals, found, strict=True):
                    within = term if mask is None else term.where(mask, zero)
                    total.set(total.get() + within)

            code.sweep(start, stop, body)
            found = [total.get().sum() for total in totals]
            return context.make_tuple(builder, sums, found)

        return sums(choice, *_plain(inputs, outputs, start, stop, scalars), real), generate

    return apply


def _plain(inputs: Any, outputs: Any, start: Any, stop: Any, scalars: Any) -> tuple[Any, ...]:
    """The types without the values that Numba knows of some."""
    unliteral = types.unliteral
    return unliteral(inputs), unliteral(outputs), types.intp, types.intp, unliteral(scalars)


def _operands(code: Code, arguments: Sequence[ir.Value]) -> Any:
    """Addresses of inputs and outputs, first and last element, and vectors full of the scalars."""
    sources, targets, start, stop, numbers = (wrapped(code.builder, argument) for argument in arguments)
    return sources, targets, start, stop, [code.full(number) for number in numbers]


@intrinsic
def largest(typing_context, x, count, real):
    """The largest of the `count` reals at address `x`; where one is NaN, some number or NaN."""

    def generate(context, builder, signature, arguments):
        code = Code(builder, real.instance_type.bitwidth // 8, LANES)
        x, count = (Vector(builder, argument) for argument in arguments[:2])
        best = Variable(code.full(-inf))

        def body(index: Vector, mask: Vector | None) -> None:
            best.set(larger(code.load(x, index, mask, -inf), best.get()))

        code.sweep(code.word(0), count, body)
        return best.get().folded(larger)

    return real.instance_type(types.intp, types.intp, real), generate


def scalar(formula: Callable[[Vector], Vector]) -> Any:
    """`formula` as a function of one real."""

    @intrinsic
    def apply(typing_context, x):
        def generate(context, builder, signature, arguments):
            one = ir.Constant(ir.VectorType(arguments[0].type, 1), ir.Undefined)
            found = formula(Vector(builder, builder.insert_element(one, arguments[0], INT(0))))
            return builder.extract_element(found.value, INT(0))

        return x(x), generate

    return apply
