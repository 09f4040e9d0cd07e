"""Loops over channels-last arrays with per-channel constants, the basis of normalization.

An array with C channels is viewed as rows of `period(C)` elements, the least common multiple of C and the vector
length: every row then consists of whole vectors, and only the last row may be incomplete. Per-channel constants are
tables of one period, repeated; they are of the real that is computed in, also where arrays are bfloat16. Sums are
accumulated per position of the period in float64, rows in order, or some rows at a time in the arrays' real.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from math import gcd
from typing import Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cnncli.kernels.jit.runtime import SPAN
from cnncli.kernels.jit.target import machine
from cnncli.kernels.vector.emit import Code, Variable, wrapped
from cnncli.kernels.vector.lanes import LINE, Vector, larger, smaller
from cnncli.kernels.vector.sweeps import LANES

Term: TypeAlias = Vector | tuple[Vector, Vector]
"""What `summed` adds: a vector, or the product of two, which is exact in float64 for float32 numbers."""
BLOCK = 4 if machine().width == LINE else 1
"""Vectors of a row whose sums or constants are kept in registers at a time."""
NEAR = 2048
"""Elements of each array that a block of a row's vectors is summed over before the next block: they stay in the L1
cache, whose prefetcher brings neighbouring blocks."""
ROWS = 8
"""Rows from which on loading and storing a block's sums is outweighed by adding to them."""


def period(channels: int) -> int:
    """Return the shortest row that consists of whole vectors and whole sets of channels."""
    return channels * LANES // gcd(channels, LANES)


def rows_of(channels: int, elements: int = SPAN) -> int:
    """Return a multiple of the period close to `elements`."""
    length = period(channels)
    return max(1, elements // length) * length


def channelwise(*formulas: Callable[..., Vector]) -> Any:
    """Turn `formula(*inputs, *tables, *scalars)`, which returns a vector, into a function for workers.

    The function takes (index of the formula: a constant, addresses of input arrays, of tables, of the output, first
    element, last + 1, period, scalars, real); the first element is of the first channel. It can work in-place.
    """

    def write(code: Code, formula: Callable[..., Vector], given: Sequence[Any]) -> None:
        inputs, tables, out, start, stop, length, numbers = given
        scalars = [code.full(number) for number in numbers]

        def constants(column: Vector) -> list[Vector]:
            return [code.load(table, column, scalar=code.scalar) for table in tables]

        def give(index: Vector, mask: Vector | None, known: Sequence[Vector]) -> None:
            code.store(formula(*(code.load(x, index, mask) for x in inputs), *known, *scalars), out, index, mask)

        # Constants of a short period stay in registers. Always in the order of memory: the processor prefetches.
        together = code.word(BLOCK * LANES)
        whole = (stop - (stop - start) % together).where((together % length).same(0), start)
        known = [constants(code.word(v * LANES) % length) for v in range(BLOCK)]
        with code.steps(start, whole, together) as first:
            for v, those in enumerate(known):
                give(first + v * LANES, None, those)
        with code.steps(whole, stop, length) as row:
            end = smaller(row + length, stop)
            code.sweep(row, end, lambda index, mask: give(index, mask, constants(index - row)))

    return _chosen(formulas, write)


def summed(terms: int, *formulas: Callable[..., tuple[Term, ...]], together: int = 1) -> Any:
    """Sum `formula(*inputs, *tables, *scalars)`, a tuple of `terms` terms, over rows for each position of the period.
    The function takes (index of the formula: a constant, addresses of input arrays, of tables, of the sums, first
    element, last + 1, period, scalars, real). The sums, float64 (terms, period), are added to existing contents.
    Of `together` rows at a time, from the first one on, the sum is that of the real, which needs few conversions.
    """

    def write(code: Code, formula: Callable[..., tuple[Term, ...]], given: Sequence[Any]) -> None:
        inputs, tables, sums, start, stop, length, numbers = given
        scalars = [code.full(number) for number in numbers]
        double = ir.DoubleType()

        def carried(column: Vector) -> list[Variable]:
            return [Variable(code.load(sums, column + length * term, scalar=double)) for term in range(terms)]

        def add(row: Vector, column: Vector, mask: Vector | None, totals: Sequence[Variable]) -> None:
            """Add one vector of a row to its sums."""
            vectors = [code.load(x, row + column, mask) for x in inputs]
            found = formula(*vectors, *(code.load(table, column, scalar=code.scalar) for table in tables), *scalars)
            for term, total in zip(found, totals, strict=True):
                factors = [term] if isinstance(term, Vector) else [*term]
                if total.get().item > factors[0].item:
                    factors = [factor.double() for factor in factors]
                first, *second = factors if mask is None else [factors[0].where(mask, 0.0), *factors[1:]]
                total.set(first.fma(second[0], total.get()) if second else total.get() + first)

        def put_back(column: Vector, totals: Sequence[Variable]) -> None:
            for term, total in enumerate(totals):
                code.store(total.get(), sums, column + length * term)

        def add_rows(rows: tuple[Vector, Vector], columns: Sequence[Vector], totals: list[list[Variable]]) -> None:
            with code.steps(*rows, length) as row:
                for column, those in zip(columns, totals, strict=True):
                    add(row, column, None, those)

        def add_together(rows: tuple[Vector, Vector], columns: Sequence[Vector], totals: list[list[Variable]]) -> None:
            with code.steps(*rows, length * together) as first:
                parts = [[Variable(code.full(0.0)) for _ in range(terms)] for _ in columns]
                add_rows((first, smaller(first + length * together, rows[1])), columns, parts)
                for total, part in zip(chain(*totals), chain(*parts), strict=True):
                    total.set(total.get() + part.get().double())

        def blocks(rows: tuple[Vector, Vector], columns: tuple[Vector, Vector], wide: int) -> None:
            """Process whole rows, `wide` vectors of each at a time."""
            with code.steps(*columns, code.word(wide * LANES)) as left:
                places = [left + v * LANES for v in range(wide)]
                totals = [carried(place) for place in places]
                (add_rows if together == 1 else add_together)(rows, places, totals)
                for place, those in zip(places, totals, strict=True):
                    put_back(place, those)

        whole = stop - (stop - start) % length
        least = length * max(ROWS, together)
        near = least * larger(code.word(NEAR) // least, code.word(1))
        wide = length - length % (BLOCK * LANES)
        with code.steps(start, whole, near) as first:
            rows = first, smaller(first + near, whole)
            blocks(rows, (code.word(0), wide), BLOCK)
            blocks(rows, (wide, length), 1)

        def rest(index: Vector, mask: Vector | None) -> None:
            column = index - whole
            totals = carried(column)
            add(whole, column, mask, totals)
            put_back(column, totals)

        code.sweep(whole, stop, rest)

    return _chosen(formulas, write)


def moments(x: Vector) -> tuple[Term, Term]:
    """x and x², for `summed`."""
    return x, (x, x)


def _chosen(formulas: Sequence[Callable[..., Any]], write: Callable[..., None]) -> Any:
    """Turn `write(code, formula, arguments)` into a function for workers that selects one of the formulas."""

    @intrinsic(prefer_literal=True)
    def apply(typing_context, choice, inputs, tables, out, start, stop, period, scalars, real):
        def generate(context, builder, signature, arguments):
            code = Code(builder, real.instance_type.bitwidth // 8, LANES)
            write(code, formulas[choice.literal_value], [wrapped(builder, value) for value in arguments[1:-1]])
            return context.get_dummy_value()

        addresses = types.unliteral(inputs), types.unliteral(tables)
        return types.void(choice, *addresses, *[types.intp] * 4, types.unliteral(scalars), real), generate

    return apply
