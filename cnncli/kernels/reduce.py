"""Sums over a batch in a fixed order.

A sum over the batch is split into at most 8 partial sums, a pure function of the shape and the batch size, which are
then added in order: the bits do not depend on the number of threads.
"""

from math import prod

from cnncli.kernels.runtime import Scratch, Step, Tensor, block, chunks, fields, span, view, worker

PARTIALS = 8
ITEM = {"float32": 4, "float64": 8}
LARGE = 1 << 20
"""Elements that all partial sums of a weight gradient may have together: 4 MiB of float32, where more would cost more
in memory traffic than it saves."""
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


def weight_partials(batch: int, weights: int) -> int:
    """How many partial sums the gradient of so many weights is split into."""
    return min(batch, PARTIALS, max(1, LARGE // weights))


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
def partial_sums_worker(real):
    """out = ((p0 + p1) + p2) + …, elementwise."""

    def add(parameters, chunk, thread):
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
def rows_worker(real):
    """One partial sum of one tile of channels."""

    def rows(parameters, chunk, thread):
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
