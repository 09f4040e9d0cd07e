"""The register blocks of `conv_pool`: loops over vectors that keep their sums in registers, emitted as LLVM IR.

The number of vectors per block depends on the number of registers and does not affect results: each element is a
separate chain. Related arguments are passed as tuples of addresses, strides in bytes and counts:

    patch: the distances to the patch on the right, to the one below and to the next row of the image
    pixels: how many rows of gradients, the first gradient, the distance to the next row, the first winner (uint8), too

Gradients are read as they are stored; images, sums and terms are of the real that is computed in.
"""

from collections.abc import Sequence
from typing import Any

from numba import types

from cnncli.kernels.jit.target import machine
from cnncli.kernels.vector.emit import Code, Variable, emitted
from cnncli.kernels.vector.lanes import BYTE, INT, LINE, WORD, Vector

REGISTERS = 32 if machine().width == LINE else 16
"""With AVX-512 a register holds a whole vector, otherwise half of one or less."""
POOLED, VECTORS = (3, 2) if REGISTERS == 32 else (1, 1)
"""`pool`: pooled pixels and vectors of filters in one block; four sums each."""
DENSE = (3, 3, 2) if REGISTERS == 32 else (1, 3, 1)
"""`masked`: kernel rows, neighbouring elements of them, and vectors of filters in one block."""
SPARSE = ((3, 6), (3, 3), (3, 1), (1, 6), (1, 3), (1, 1)) if REGISTERS == 32 else ((1, 6), (1, 3), (1, 1))
"""`combine`: rows and vectors per block, largest first."""
DROPPED = 4
"""The winner of a pixel whose maximum was not positive: its gradient through ReLU is 0."""


@emitted()
def pool(
    code: Code,
    places: Vector,
    results: list[Vector],
    kernel: Vector,
    bias: Vector,
    patch: list[Vector],
    kh: Vector,
    run: Vector,
) -> None:
    """ReLU and maximum of the 2×2 convolution pixels at each of POOLED places, for VECTORS vectors of filters.

    places: the addresses of the first patches. A patch is `kh` runs of `run` numbers. kernel: (kh·run, vectors), bias:
    (vectors). results: (out, distance, winner, distance), for pixel i goes to out + i·distance.
    """
    (out, out_step, winner, winner_step), (right, below, row) = results, patch
    cells = [code.word(0), right, below, right + below]
    bases = [code.number(places, i, WORD) for i in range(POOLED)]
    totals = [[_sums(code, [bias + v * LINE for v in range(VECTORS)]) for _ in cells] for _ in bases]
    weights = Variable(kernel)
    with code.loop(kh) as i, code.loop(run) as k:
        offset, line = row * i + k * code.item, weights.get()
        columns = [code.load(line + v * LINE) for v in range(VECTORS)]
        weights.set(line + VECTORS * LINE)
        for base, pixel in zip(bases, totals, strict=True):
            place = base + offset
            for cell, sums in zip(cells, pixel, strict=True):
                x = code.full(code.number(place + cell))
                for column, total in zip(columns, sums, strict=True):
                    total.set(x.fma(column, total.get()))
    for n, pixel in enumerate(totals):
        for v in range(VECTORS):
            best, which = pooled(code, [cell[v].get() for cell in pixel])
            code.store(best, out + out_step * n + v * LINE)
            code.store(which, winner + winner_step * n + v * code.lanes)


def pooled(code: Code, cells: Sequence[Vector]) -> tuple[Vector, Vector]:
    """Return ReLU of the maximum of four cells, and its index or DROPPED. NaN is greatest; ties go to the first."""
    best, which = cells[0], code.full(0, BYTE)
    for number, value in enumerate(cells[1:], 1):
        wins = value.more(best) & best.number()
        best, which = value.where(wins, best), code.full(number, BYTE).where(wins, which)
    off = best <= 0.0
    return code.full(0.0).where(off, best), code.full(DROPPED, BYTE).where(off, which)


def _combine(blocks: Sequence[tuple[int, int]]) -> Any:
    @emitted()
    def combine(
        code: Code, target: list[Vector], source: list[Vector], terms: list[Vector], rows: Vector, vectors: Vector
    ) -> None:
        """out[r, v] += Σ factors[e] · source[offsets[e] + r, v] over e = 0 … count-1 in order, for rows × vectors.

        target, source: (address, distance of rows). terms: (offsets (int32, in bytes), factors, count).
        """
        (out, out_row), (read, read_row), (offsets, factors, count) = target, source, terms

        def block(high: int, wide: int, out: Vector, read: Vector) -> None:
            cells = [(r, v * LINE) for r in range(high) for v in range(wide)]
            places = [out + out_row * r + v for r, v in cells]
            totals = _sums(code, places)
            with code.loop(count) as e:
                factor = code.full(code.number(factors, e))
                start = read + code.number(offsets, e, INT).widened(WORD)
                for (r, v), total in zip(cells, totals, strict=True):
                    total.set(factor.fma(code.load(start + read_row * r + v), total.get()))
            _written(code, totals, places)

        for high in sorted({high for high, _ in blocks}, reverse=True):
            row_blocks = rows // high
            with code.loop(row_blocks) as i:
                down = i * high
                line, start, left = out + down * out_row, read + down * read_row, vectors
                for wide in [wide for other, wide in blocks if other == high]:
                    repeats = left // wide
                    with code.loop(repeats) as k:
                        skip = k * (wide * LINE)
                        block(high, wide, line + skip, start + skip)
                    done = repeats * (wide * LINE)
                    line, start, left = line + done, start + done, left - repeats * wide
            done = row_blocks * high
            out, read, rows = out + done * out_row, read + done * read_row, rows - done

    return combine


combine_rows, combine_row = _combine(SPARSE), _combine([size for size in SPARSE if size[0] == 1])
"""`combine` for any number of rows and for one."""


@emitted()
def masked(
    code: Code, target: list[Vector], places: Vector, shift: Vector, pixels: list[Vector], patch: list[Vector]
) -> None:
    """out[i, k] += Σ x[place + shift + cell, i, k] · (grad where the winner is that cell, else 0) over all of both.

    One block of DENSE kernel rows, elements (neighbours in x) and vectors. target: (out, distance of rows, of
    elements).
    """
    (out, out_row, out_step), (count, grad, grad_step, winner, winner_step) = target, pixels
    right, below, row = patch
    high, across, vectors = DENSE
    wide = code.wide
    elements = [(i, k, v) for i in range(high) for k in range(across) for v in range(vectors)]
    targets = [out + out_row * i + out_step * k + v * LINE for i, k, v in elements]
    totals = _sums(wide, targets)
    with code.loop(count) as q:
        place = code.number(places, q, WORD) + shift
        grads, winners = grad + q * grad_step, winner + q * winner_step
        values = [code.load(grads, v * code.lanes) for v in range(vectors)]
        labels = [code.load(winners + v * code.lanes, scalar=BYTE) for v in range(vectors)]
        for cell, offset in enumerate([code.word(0), right, below, right + below]):
            parts = [value.where(label.same(cell), 0.0) for value, label in zip(values, labels, strict=True)]
            start = place + offset
            for (i, k, v), total in zip(elements, totals, strict=True):
                x = wide.full(wide.number(start + row * i + k * wide.item))
                total.set(x.fma(parts[v], total.get()))
    _written(wide, totals, targets)


@emitted()
def masked_sum(code: Code, out: Vector, pixels: list[Vector]) -> None:
    """out += Σ grad where a cell has won, for DENSE's vectors."""
    count, grad, grad_step, winner, winner_step = pixels
    targets = [out + v * LINE for v in range(DENSE[2])]
    totals = _sums(code.wide, targets)
    with code.loop(count) as q:
        grads, winners = grad + q * grad_step, winner + q * winner_step
        for v, total in enumerate(totals):
            cells = code.load(winners + v * code.lanes, scalar=BYTE)
            total.set(total.get() + code.load(grads, v * code.lanes).where(cells < DROPPED, 0.0))
    _written(code.wide, totals, targets)


@emitted(types.intp)
def passing(
    code: Code, terms: list[Vector], tables: list[Vector], grad: Vector, winner: Vector, step: Vector, count: Vector
) -> Vector:
    """List those of `count` gradients (stride `step` elements) whose pixel has a winner; return their number.

    terms: (offsets (int32), place + cell of each; factors, its gradient). tables: the places and the five cells
    (int64). The terms need room for one more element: each is written but only counted if it passes, which avoids
    branch mispredictions.
    """
    (offsets, factors), (places, cells) = terms, tables
    found, position = Variable(code.word(0)), Variable(code.word(0))
    with code.loop(count) as q:
        at, n = position.get(), found.get()
        cell = code.number(winner, at, BYTE).widened(WORD)
        place = code.number(places, q, WORD) + code.number(cells, cell, WORD)
        value = code.number(grad, at)
        code.store(place.narrowed(INT), offsets, n)
        code.wide.store(value, factors, n)
        found.set(n + (cell < DROPPED).widened(WORD))
        position.set(at + step)
    return found.get()


@emitted(types.intp)
def sort(code: Code, terms: list[Vector], grad: Vector, winner: Vector, step: Vector, count: Vector) -> Vector:
    """Sort `count` (≤ 4095) gradients by winner, keeping their order; return the counts, 12 bits per cell.

    terms: (offsets (int32), factors). Those of cell c start at c·count: factors hold the gradient, offsets its index
    times `step`. Dropped elements start at 4·count.
    """
    offsets, factors = terms
    seen, offset = Variable(code.word(0)), Variable(code.word(0))
    with code.loop(count) as i:
        cell, value = code.number(winner, i, BYTE).widened(WORD), code.number(grad, i)
        shift, counts, number = cell * 12, seen.get(), offset.get()
        n = cell * count + (counts.high(shift) & 0xFFF)
        code.store(number.narrowed(INT), offsets, n)
        code.wide.store(value, factors, n)
        seen.set(counts + (code.word(1) << shift))
        offset.set(number + step)
    return seen.get()


def _sums(code: Code, addresses: Sequence[Vector]) -> list[Variable]:
    """Return sums initialized from the vectors at `addresses`."""
    return [Variable(code.load(address)) for address in addresses]


def _written(code: Code, sums: Sequence[Variable], addresses: Sequence[Vector]) -> None:
    for total, address in zip(sums, addresses, strict=True):
        code.store(total.get(), address)
