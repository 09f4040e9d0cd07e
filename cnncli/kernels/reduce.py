"""Sums in a fixed order: the chain that convolution and dense layers are made of, and sums over a batch.

A sum over the batch is split into at most 8 partial sums, a pure function of the shape and the batch size, which are
then added in order: the bits do not depend on the number of threads.
"""

from math import prod

from numba import njit

from cnncli.kernels.runtime import Scratch, Step, Tensor, block, chunks, fields, fma, span, view, worker

PARTIALS = 8
ITEM = {"float32": 4, "float64": 8}
TILE = 64
"""Channels in a chunk of `sum_rows`: whole cache lines."""

PARTIAL_SUMS = block("partials out count size")
ROWS = block("x out images rows channels partials tiles")


def sum_rows(x: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
    """out[c] = Σ x[..., c], the gradient of a bias. x: real (N, ..., C); out: (C,)."""
    batch, channels = x.shape[0], x.shape[-1]
    partials, tiles = min(PARTIALS, batch), -(-channels // TILE)
    target, after = partial_sums(out, partials, scratch)
    step = rows_worker.step(
        x.dtype,
        partials * tiles,
        x=x.address,
        out=target,
        images=batch,
        rows=prod(x.shape[1:-1]),
        channels=channels,
        partials=partials,
        tiles=tiles,
    )
    return [step, *after]


def partial_sums(out: Tensor, partials: int, scratch: Scratch) -> tuple[int, list[Step]]:
    """Where `partials` chunks put their sums, one array like `out` after the other, and the steps that add them up.

    A single partial sum is `out` itself and needs no step.
    """
    if partials == 1:
        return out.address, []
    place = scratch.take(partials * out.size * ITEM[out.dtype])
    step = partial_sums_worker.step(
        out.dtype, chunks(out.size), partials=place, out=out.address, count=partials, size=out.size
    )
    return place, [step]


@worker(PARTIAL_SUMS)
def partial_sums_worker(real):  # type: ignore[no-untyped-def]
    """out = ((p0 + p1) + p2) + …, elementwise."""

    def add(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, PARTIAL_SUMS)
        partials, out = view(p.partials, (p.count, p.size), real), view(p.out, p.size, real)
        start, stop = span(chunk, p.size)
        for i in range(start, stop):
            out[i] = partials[0, i]
        for k in range(1, p.count):
            for i in range(start, stop):
                out[i] += partials[k, i]

    return add


@worker(ROWS)
def rows_worker(real):  # type: ignore[no-untyped-def]
    """One partial sum of one tile of channels."""

    def rows(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, ROWS)
        part, first = chunk // p.tiles, chunk % p.tiles * TILE
        last = min(p.channels, first + TILE)
        x = view(p.x, (p.images * p.rows, p.channels), real)
        out = view(p.out, (p.partials, p.channels), real)[part]
        for c in range(first, last):
            out[c] = 0
        for r in range(part * p.images // p.partials * p.rows, (part + 1) * p.images // p.partials * p.rows):
            for c in range(first, last):
                out[c] += x[r, c]

    return rows


@njit
def accumulate(out, width, x, x_step, rows, rows_step, length, real):  # type: ignore[no-untyped-def]
    """out[f] = fma(x[k], rows[k, f], out[f]) for k = 0 … length-1 in this order and every f < width.

    out, x, rows: addresses; x[k] lies `x_step` bytes after x[k-1], row k `rows_step` bytes after row k-1.
    """
    total = view(out, width, real)
    for _ in range(length // 4):
        x0, x1 = view(x, 1, real)[0], view(x + x_step, 1, real)[0]
        x2, x3 = view(x + 2 * x_step, 1, real)[0], view(x + 3 * x_step, 1, real)[0]
        row0, row1 = view(rows, width, real), view(rows + rows_step, width, real)
        row2, row3 = view(rows + 2 * rows_step, width, real), view(rows + 3 * rows_step, width, real)
        for f in range(width):
            total[f] = fma(x3, row3[f], fma(x2, row2[f], fma(x1, row1[f], fma(x0, row0[f], total[f]))))
        x, rows = x + 4 * x_step, rows + 4 * rows_step
    for _ in range(length % 4):
        x0, row0 = view(x, 1, real)[0], view(rows, width, real)
        for f in range(width):
            total[f] = fma(x0, row0[f], total[f])
        x, rows = x + x_step, rows + rows_step


@njit
def start(out, count, width, bias, real):  # type: ignore[no-untyped-def]
    """Fill `count` rows of `width` elements at address `out` with the row at address `bias`; zeros where that is 0."""
    rows = view(out, (count, width), real)
    if bias == 0:
        rows[:] = 0
    else:
        row = view(bias, width, real)
        for r in range(count):
            for f in range(width):
                rows[r, f] = row[f]
