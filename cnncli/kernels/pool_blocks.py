"""The register blocks of `conv_pool`: loops over vectors whose sums stay in registers, written as LLVM intrinsics.

How many vectors lie in one block depends on the number of registers and changes no bit: each element is a chain of its
own.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnncli.kernels.vectors import BYTE, INT, LINE, REGISTERS, WORD, Vectors

POOLED, VECTORS = (3, 2) if REGISTERS == 32 else (1, 1)
"""`pool`: pooled pixels and vectors of filters in one block; four sums each."""
DENSE = (3, 3, 2) if REGISTERS == 32 else (1, 3, 1)
"""`masked`: kernel rows, neighbouring elements of them, and vectors of filters in one block."""
SPARSE = ((3, 6), (3, 3), (3, 1), (1, 6), (1, 3), (1, 1)) if REGISTERS == 32 else ((1, 6), (1, 3), (1, 1))
"""`combine`: rows and vectors in one block, the largest first."""


@intrinsic
def pool(typing_context, places, out, out_step, winner, winner_step, kernel, bias, right, below, row, kh, run, real):
    """ReLU and maximum of the 2×2 convolution pixels at each of POOLED places, for VECTORS vectors of filters.

    places: the addresses of the first patches; the others lie `right` and `below` bytes on. A patch is `kh` runs of
    `run` numbers, `row` bytes apart; kernel: (kh·run, vectors), bias: (vectors). Results and winners of pixel i go to
    out + i·out_step and winner + i·winner_step.
    """
    bits = real.instance_type.bitwidth

    def generate(context, builder, signature, arguments):
        places, out, out_step, winner, winner_step, kernel, bias, right, below, row, kh, run, _ = arguments
        emit = Vectors(builder, bits)
        cells = [WORD(0), right, below, builder.add(right, below)]
        bases = [builder.load(emit.at(emit.add(places, 8 * i), WORD)) for i in range(POOLED)]
        first = [emit.add(bias, v * LINE) for v in range(VECTORS)]
        totals = [[emit.slots(first) for _ in cells] for _ in bases]
        weights = cgutils.alloca_once_value(builder, kernel)
        with cgutils.for_range(builder, kh, intp=WORD) as rows:
            before = builder.mul(rows.index, row)
            with cgutils.for_range(builder, run, intp=WORD) as loop:
                offset = builder.add(before, builder.mul(loop.index, WORD(emit.item)))
                line = builder.load(weights)
                columns = [emit.load(emit.add(line, v * LINE)) for v in range(VECTORS)]
                builder.store(emit.add(line, VECTORS * LINE), weights)
                for base, pixel in zip(bases, totals, strict=True):
                    address = builder.add(base, offset)
                    for cell, sums in zip(cells, pixel, strict=True):
                        x = emit.everywhere(builder.add(address, cell))
                        for column, total in zip(columns, sums, strict=True):
                            emit.fma(x, column, total)
        numbers = ir.VectorType(BYTE, emit.lanes)
        zero = ir.Constant(emit.kind, [0.0] * emit.lanes)
        for i, pixel in enumerate(totals):
            for v in range(VECTORS):
                best, which = builder.load(pixel[0][v]), ir.Constant(numbers, [0] * emit.lanes)
                for cell in range(1, 4):
                    value = builder.load(pixel[cell][v])
                    # A NaN beats every number; the first of several stays.
                    wins = builder.and_(
                        builder.fcmp_unordered("ugt", value, best), builder.fcmp_ordered("ord", best, best)
                    )
                    best = builder.select(wins, value, best)
                    which = builder.select(wins, ir.Constant(numbers, [cell] * emit.lanes), which)
                off = builder.fcmp_ordered("<=", best, zero)
                best = builder.select(off, zero, best)
                which = builder.select(off, ir.Constant(numbers, [4] * emit.lanes), which)
                emit.store(best, emit.add(builder.add(out, builder.mul(out_step, WORD(i))), v * LINE))
                place = emit.add(builder.add(winner, builder.mul(winner_step, WORD(i))), v * emit.lanes)
                builder.store(which, emit.at(place, numbers), align=1)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 12, real), generate


def _combine(blocks: Sequence[tuple[int, int]]) -> Any:
    @intrinsic
    def combine(typing_context, out, out_row, source, source_row, offsets, factors, count, rows, vectors, real):
        """out[r, v] += Σ factors[e] · source[offsets[e] + r, v] over e = 0 … count-1 in order, for rows × vectors.

        All are addresses; offsets: int32, in bytes; rows lie `out_row` and `source_row` bytes apart.
        """
        bits = real.instance_type.bitwidth

        def generate(context, builder, signature, arguments):
            out, out_row, source, source_row, offsets, factors, count, rows, vectors, _ = arguments
            emit = Vectors(builder, bits)

            def block(high: int, wide: int, out: ir.Value, source: ir.Value) -> None:
                places = [
                    emit.add(builder.add(out, builder.mul(out_row, WORD(r))), v * LINE)
                    for r in range(high)
                    for v in range(wide)
                ]
                totals = emit.slots(places)
                with cgutils.for_range(builder, count, intp=WORD) as loop:
                    factor = emit.everywhere(builder.add(factors, builder.mul(loop.index, WORD(emit.item))))
                    offset = builder.load(emit.at(builder.add(offsets, builder.mul(loop.index, WORD(4))), INT), align=4)
                    start = builder.add(source, builder.zext(offset, WORD))
                    for number, total in enumerate(totals):
                        r, v = divmod(number, wide)
                        place = emit.add(builder.add(start, builder.mul(source_row, WORD(r))), v * LINE)
                        emit.fma(factor, emit.load(place), total)
                for total, place in zip(totals, places, strict=True):
                    emit.store(builder.load(total), place)

            heights = sorted({high for high, _ in blocks}, reverse=True)
            for high in heights:
                row_blocks = builder.sdiv(rows, WORD(high))
                with cgutils.for_range(builder, row_blocks, intp=WORD) as row_loop:
                    down = builder.mul(row_loop.index, WORD(high))
                    line, left = builder.add(out, builder.mul(down, out_row)), vectors
                    read = builder.add(source, builder.mul(down, source_row))
                    for wide in [wide for other, wide in blocks if other == high]:
                        repeats = builder.sdiv(left, WORD(wide))
                        with cgutils.for_range(builder, repeats, intp=WORD) as loop:
                            skip = builder.mul(loop.index, WORD(wide * LINE))
                            block(high, wide, builder.add(line, skip), builder.add(read, skip))
                        done = builder.mul(repeats, WORD(wide * LINE))
                        line, read = builder.add(line, done), builder.add(read, done)
                        left = builder.sub(left, builder.mul(repeats, WORD(wide)))
                done = builder.mul(row_blocks, WORD(high))
                out = builder.add(out, builder.mul(done, out_row))
                source = builder.add(source, builder.mul(done, source_row))
                rows = builder.sub(rows, done)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 9, real), generate

    return combine


combine_rows, combine_row = _combine(SPARSE), _combine([size for size in SPARSE if size[0] == 1])
"""`combine` for any number of rows and for one."""


@intrinsic
def masked(
    typing_context,
    out,
    out_row,
    out_step,
    places,
    shift,
    count,
    grad,
    grad_step,
    winner,
    winner_step,
    right,
    below,
    row,
    real,
):
    """out[i, k] += Σ x[place + shift + cell, i, k] · (grad where the winner is that cell, else 0) over all of both.

    One block of DENSE kernel rows (`out_row` bytes apart in `out`, `row` in x), elements (`out_step` apart; neighbours
    in x) and vectors; `count` rows of grad and winner (uint8), `grad_step` and `winner_step` bytes apart.
    """
    bits = real.instance_type.bitwidth
    high, wide, vectors = DENSE

    def generate(context, builder, signature, arguments):
        out, out_row, out_step, places, shift, count, grad, grad_step, winner, winner_step, right, below, row, _ = (
            arguments
        )
        emit = Vectors(builder, bits)
        targets = [
            emit.add(
                builder.add(builder.add(out, builder.mul(out_row, WORD(i))), builder.mul(out_step, WORD(k))), v * LINE
            )
            for i in range(high)
            for k in range(wide)
            for v in range(vectors)
        ]
        totals = emit.slots(targets)
        zero = ir.Constant(emit.kind, [0.0] * emit.lanes)
        numbers = ir.VectorType(BYTE, emit.lanes)
        with cgutils.for_range(builder, count, intp=WORD) as loop:
            place = builder.load(emit.at(builder.add(places, builder.mul(loop.index, WORD(8))), WORD))
            place = builder.add(place, shift)
            first = builder.add(grad, builder.mul(loop.index, grad_step))
            label = builder.add(winner, builder.mul(loop.index, winner_step))
            grads = [emit.load(emit.add(first, v * LINE)) for v in range(vectors)]
            labels = [builder.load(emit.at(emit.add(label, v * emit.lanes), numbers), align=1) for v in range(vectors)]
            for cell, offset in enumerate((WORD(0), right, below, builder.add(right, below))):
                those = ir.Constant(numbers, [cell] * emit.lanes)
                parts = [
                    builder.select(builder.icmp_signed("==", label, those), value, zero)
                    for label, value in zip(labels, grads, strict=True)
                ]
                start = builder.add(place, offset)
                for number, total in enumerate(totals):
                    i, rest = divmod(number, wide * vectors)
                    k, v = divmod(rest, vectors)
                    x = emit.everywhere(emit.add(builder.add(start, builder.mul(row, WORD(i))), k * emit.item))
                    emit.fma(x, parts[v], total)
        for total, target in zip(totals, targets, strict=True):
            emit.store(builder.load(total), target)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 13, real), generate


@intrinsic
def masked_sum(typing_context, out, count, grad, grad_step, winner, winner_step, real):
    """out += Σ grad where a cell has won, for DENSE's vectors; rows as in `masked`."""
    bits = real.instance_type.bitwidth

    def generate(context, builder, signature, arguments):
        out, count, grad, grad_step, winner, winner_step, _ = arguments
        emit = Vectors(builder, bits)
        numbers = ir.VectorType(BYTE, emit.lanes)
        targets = [emit.add(out, v * LINE) for v in range(DENSE[2])]
        totals = emit.slots(targets)
        zero, dropped = ir.Constant(emit.kind, [0.0] * emit.lanes), ir.Constant(numbers, [4] * emit.lanes)
        with cgutils.for_range(builder, count, intp=WORD) as loop:
            first = builder.add(grad, builder.mul(loop.index, grad_step))
            label = builder.add(winner, builder.mul(loop.index, winner_step))
            for v, total in enumerate(totals):
                cells = builder.load(emit.at(emit.add(label, v * emit.lanes), numbers), align=1)
                value = emit.load(emit.add(first, v * LINE))
                part = builder.select(builder.icmp_unsigned("<", cells, dropped), value, zero)
                builder.store(builder.fadd(builder.load(total), part), total)
        for total, target in zip(totals, targets, strict=True):
            emit.store(builder.load(total), target)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6, real), generate


@intrinsic
def passing(typing_context, offsets, factors, places, cells, grad, winner, step, count, real):
    """List those of `count` gradients, `step` elements apart, that a cell has won; how many there are.

    offsets (int32): place + cell of each, from the tables `places` and `cells` (int64; five cells); factors: the
    gradient. Both have room for one more: each is written, and only counted where it passes, so that there is no
    branch to guess wrong.
    """
    bits = real.instance_type.bitwidth

    def generate(context, builder, signature, arguments):
        offsets, factors, places, cells, grad, winner, step, count, _ = arguments
        emit = Vectors(builder, bits)
        found, position = cgutils.alloca_once_value(builder, WORD(0)), cgutils.alloca_once_value(builder, WORD(0))
        with cgutils.for_range(builder, count, intp=WORD) as loop:
            at, n = builder.load(position), builder.load(found)
            cell = builder.zext(builder.load(emit.at(builder.add(winner, at), BYTE)), WORD)
            place = builder.load(emit.element(places, loop.index, WORD))
            shift = builder.load(emit.element(cells, cell, WORD))
            value = builder.load(emit.element(grad, at, emit.scalar), align=emit.item)
            builder.store(builder.trunc(builder.add(place, shift), INT), emit.element(offsets, n, INT), align=4)
            builder.store(value, emit.element(factors, n, emit.scalar), align=emit.item)
            passes = builder.zext(builder.icmp_unsigned("<", cell, WORD(4)), WORD)
            builder.store(builder.add(n, passes), found)
            builder.store(builder.add(at, step), position)
        return builder.load(found)

    return types.intp(*[types.intp] * 8, real), generate


@intrinsic
def sort(typing_context, offsets, factors, grad, winner, step, count, real):
    """Sort `count` (≤ 4095) gradients by the cell that won, in order; how many each has, 12 bits a cell.

    Those of cell c lie from c·count on: factors, the gradient, and offsets (int32), its number · `step`. What no cell
    has won lies behind them, from 4·count on.
    """
    bits = real.instance_type.bitwidth

    def generate(context, builder, signature, arguments):
        offsets, factors, grad, winner, step, count, _ = arguments
        emit = Vectors(builder, bits)
        seen, offset = cgutils.alloca_once_value(builder, WORD(0)), cgutils.alloca_once_value(builder, WORD(0))
        with cgutils.for_range(builder, count, intp=WORD) as loop:
            cell = builder.zext(builder.load(emit.element(winner, loop.index, BYTE)), WORD)
            value = builder.load(emit.element(grad, loop.index, emit.scalar), align=emit.item)
            shift, counts, number = builder.mul(cell, WORD(12)), builder.load(seen), builder.load(offset)
            before = builder.and_(builder.lshr(counts, shift), WORD(0xFFF))
            n = builder.add(builder.mul(cell, count), before)
            builder.store(builder.trunc(number, INT), emit.element(offsets, n, INT), align=4)
            builder.store(value, emit.element(factors, n, emit.scalar), align=emit.item)
            builder.store(builder.add(counts, builder.shl(WORD(1), shift)), seen)
            builder.store(builder.add(number, step), offset)
        return builder.load(seen)

    return types.intp(*[types.intp] * 6, real), generate
