"""Formulas over vectors (`lanes`) made into loops over arrays, for workers to call.

    halves = elementwise(lambda x, factor: x * factor)
    ...
    halves(0, (p.x,), (p.out,), start, stop, (p.factor,), real)  # in a worker

Each vector is read before it is written, so that an output may be an input. Sums have `LANES` lanes on any hardware.
"""

from collections.abc import Callable
from math import inf
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnncli.kernels.lanes import INDEX, Vector, larger

LANES = 16
"""Lanes of a sum, and of a float32 vector. A float64 vector that nothing is summed in has half as many."""

WORD = ir.IntType(64)


class Code:
    """Where a formula's loops and memory accesses are written: a builder, and the element's type."""

    def __init__(self, builder: ir.IRBuilder, real: types.NumberClass, lanes: int = 0) -> None:
        self.builder, self.item = builder, real.instance_type.bitwidth // 8
        self.lanes = lanes or LANES * 4 // self.item
        self.scalar = ir.FloatType() if self.item == 4 else ir.DoubleType()

    def full(self, number: ir.Value | float, scalar: ir.Type | None = None) -> Vector:
        """A vector full of one number, known now or only at run time."""
        kind = ir.VectorType(scalar or self.scalar, self.lanes)
        if not isinstance(number, ir.Value):
            return Vector(self.builder, ir.Constant(kind, [number] * self.lanes))
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), number, INDEX(0))
        everywhere = ir.Constant(ir.VectorType(INDEX, self.lanes), [0] * self.lanes)
        return Vector(self.builder, self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), everywhere))

    def variable(self, start: Vector) -> ir.Value:
        """A place for a sum that a loop carries on."""
        return cgutils.alloca_once_value(self.builder, start.value)

    def _place(self, address: ir.Value, index: ir.Value, kind: ir.VectorType) -> tuple[ir.Value, int, str]:
        """Where a vector lies, its elements' size, and its type's name."""
        element = kind.element
        real = not isinstance(element, ir.IntType)
        item = (4 if element == ir.FloatType() else 8) if real else element.width // 8
        place = self.builder.add(address, self.builder.mul(index, WORD(item)))
        return self.builder.inttoptr(place, kind.as_pointer()), item, f"v{self.lanes}{'f' if real else 'i'}{8 * item}"

    def load(
        self,
        address: ir.Value,
        index: ir.Value,
        mask: Vector | None,
        otherwise: float = 0.0,
        scalar: ir.Type | None = None,
    ) -> Vector:
        """The vector from element `index` of the array at `address`; `otherwise` where the mask is off."""
        fill = self.full(otherwise, scalar)
        kind = fill.value.type
        place, item, name = self._place(address, index, kind)
        if mask is None:
            return Vector(self.builder, self.builder.load(place, align=item))
        signature = ir.FunctionType(kind, [kind.as_pointer(), INDEX, mask.value.type, kind])
        load = cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.masked.load.{name}.p0")
        return Vector(self.builder, self.builder.call(load, [place, INDEX(item), mask.value, fill.value]))

    def store(self, address: ir.Value, index: ir.Value, mask: Vector | None, vector: Vector) -> None:
        """Write the vector from element `index` on; nothing where the mask is off."""
        kind = vector.value.type
        place, item, name = self._place(address, index, kind)
        if mask is None:
            self.builder.store(vector.value, place, align=item)
            return
        signature = ir.FunctionType(ir.VoidType(), [kind, kind.as_pointer(), INDEX, mask.value.type])
        store = cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.masked.store.{name}.p0")
        self.builder.call(store, [vector.value, place, INDEX(item), mask.value])

    def sweep(self, start: ir.Value, stop: ir.Value, body: Callable[[ir.Value, Vector | None], None]) -> None:
        """`body(index, mask)` for each vector from element `start` to `stop`; the mask is that of the last one."""
        builder = self.builder
        count = builder.sub(stop, start)
        end = builder.add(start, builder.and_(count, WORD(-self.lanes)))
        with cgutils.for_range_slice(builder, start, end, WORD(self.lanes), WORD) as (index, _):
            body(index, None)
        with builder.if_then(builder.icmp_signed("<", end, stop)):
            rest = builder.trunc(builder.sub(stop, end), INDEX)
            order = ir.Constant(ir.VectorType(INDEX, self.lanes), list(range(self.lanes)))
            within = builder.icmp_signed("<", order, self.full(rest, INDEX).value)
            body(end, Vector(builder, within))


def elementwise(*formulas: Callable[..., Any]) -> Any:
    """`formula(*inputs, *scalars)`, a vector or a tuple of them, as a function that a worker calls.

    The function takes (which of the formulas: a constant, addresses of input arrays, of output arrays, first element,
    last + 1, scalars, real). An output may be an input.
    """

    @intrinsic(prefer_literal=True)
    def apply(typing_context, choice, inputs, outputs, start, stop, scalars, real):
        def generate(context, builder, signature, arguments):
            formula, code = formulas[choice.literal_value], Code(builder, real)
            sources, targets, given = _operands(code, arguments[1], arguments[2], arguments[5])

            def body(index: ir.Value, mask: Vector | None) -> None:
                found = formula(*(code.load(source, index, mask) for source in sources), *given)
                for target, vector in zip(targets, found if isinstance(found, tuple) else (found,), strict=True):
                    code.store(target, index, mask, vector)

            code.sweep(arguments[3], arguments[4], body)
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
            formula, code = formulas[choice.literal_value], Code(builder, real, LANES)
            sources, targets, given = _operands(code, arguments[1], arguments[2], arguments[5])
            zero = code.full(0.0, ir.DoubleType())
            totals = [code.variable(zero) for _ in range(terms)]

            def body(index: ir.Value, mask: Vector | None) -> None:
                outputs, found = formula(*(code.load(source, index, mask) for source in sources), *given)
                for target, vector in zip(targets, outputs, strict=True):
                    code.store(target, index, mask, vector)
                for total, term in zip(totals, found, strict=True):
                    within = term if mask is None else term.where(mask, zero)
                    builder.store((Vector(builder, builder.load(total)) + within).value, total)

            code.sweep(arguments[3], arguments[4], body)
            found = [Vector(builder, builder.load(total)).sum() for total in totals]
            return context.make_tuple(builder, sums, found)

        return sums(choice, *_plain(inputs, outputs, start, stop, scalars), real), generate

    return apply


def _plain(inputs: Any, outputs: Any, start: Any, stop: Any, scalars: Any) -> tuple[Any, ...]:
    """The types without the values that Numba knows of some."""
    unliteral = types.unliteral
    return unliteral(inputs), unliteral(outputs), types.intp, types.intp, unliteral(scalars)


def _operands(code: Code, *tuples: ir.Value) -> tuple[list[ir.Value], list[ir.Value], list[Vector]]:
    """Addresses of inputs and outputs, and vectors full of the scalars."""
    sources, targets, numbers = (cgutils.unpack_tuple(code.builder, values) for values in tuples)
    return sources, targets, [code.full(number, number.type) for number in numbers]


@intrinsic
def largest(typing_context, x, count, real):
    """The largest of the `count` reals at address `x`; where one is NaN, some number or NaN."""

    def generate(context, builder, signature, arguments):
        code = Code(builder, real, LANES)
        best = code.variable(code.full(-inf))

        def body(index: ir.Value, mask: Vector | None) -> None:
            new = code.load(arguments[0], index, mask, -inf)
            builder.store(larger(new, Vector(builder, builder.load(best))).value, best)

        code.sweep(WORD(0), arguments[1], body)
        return Vector(builder, builder.load(best)).folded(larger)

    return real.instance_type(types.intp, types.intp, real), generate


def scalar(formula: Callable[[Vector], Vector]) -> Any:
    """`formula` as a function of one real."""

    @intrinsic
    def apply(typing_context, x):
        def generate(context, builder, signature, arguments):
            one = ir.Constant(ir.VectorType(arguments[0].type, 1), ir.Undefined)
            found = formula(Vector(builder, builder.insert_element(one, arguments[0], INDEX(0))))
            return builder.extract_element(found.value, INDEX(0))

        return x(x), generate

    return apply
