"""Batch reductions in a fixed order.

A sum over the batch is split into at most 8 partial sums, a pure function of the shape and the batch size, which are
then added in order: results do not depend on the number of threads.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, Work, block, computed, elements, fields, view, worker
from cnncli.kernels.vector.channels import BLOCK
from cnncli.kernels.vector.emit import Code, Variable, emitted
from cnncli.kernels.vector.lanes import Vector

PARTIALS = 8
LARGE = 1 << 20
"""Maximum elements of the partial sums of all lanes: 4 MiB of float32; larger sums would cost more memory traffic than
they save."""
TILE = 64
"""Channels per chunk of `sum_rows`: whole cache lines."""

PARTIAL_SUMS = block("partials out count size")
ROWS = block("x out images rows channels lane")


def sum_rows(x: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
    """out[c] = Σ x[..., c], the gradient of a bias. x: real (N, ..., C); out: (C,), float32 if x is bfloat16."""
    batch, channels = x.shape[0], x.shape[-1]
    tiles, parts = -(-channels // TILE), in_lanes(batch)
    target, after = partial_sums(out, parts, scratch)
    step = rows_worker.step(
        x.dtype,
        parts.work(tiles),
        x=x.address,
        out=target,
        images=batch,
        rows=prod(x.shape[1:-1]),
        channels=channels,
        lane=parts.images,
    )
    return [step, *after]


class Lanes(NamedTuple):
    """Partition of a batch reduction into lanes of `images` images, each one chain; the last lane may have fewer.

    `most`: the maximum number of lanes of any batch up to this size.
    """

    batch: int
    images: int
    most: int

    @property
    def number(self) -> int:
        """The number of lanes."""
        return -(-self.batch // self.images)

    def work(self, tiles: int = 1) -> Work:
        """Return the work of a worker whose unit is an image, accumulated into one of the `tiles` of its lane's sum."""
        return Work(self.batch, self.images, self.batch, tiles, chained=True)


def in_lanes(batch: int, size: int = 1, most: int = PARTIALS) -> Lanes:
    """Return at most `most` lanes, fewer if a sum has many elements."""
    count = min(batch, most, max(1, LARGE // size))
    return Lanes(batch, -(-batch // count), count)


def partial_sums(out: Tensor, lanes: Lanes, scratch: Scratch) -> tuple[int, list[Step]]:
    """Return the address of the lanes' partial sums, consecutive arrays like `out`, and the steps that add them.

    With a single lane it is `out` itself, without steps.
    """
    # Reserve enough for any smaller batch, which may have more (shorter) lanes.
    place = scratch.take(lanes.most * out.size * bytes_of(out.dtype)) if lanes.most > 1 else 0
    if lanes.number == 1:
        return out.address, []
    step = partial_sums_worker.step(
        out.dtype, elements(out.size), partials=place, out=out.address, count=lanes.number, size=out.size
    )
    return place, [step]


@emitted()
def _add_partials(
    code: Code, partials: Vector, out: Vector, count: Vector, size: Vector, start: Vector, stop: Vector
) -> None:
    """out[i] = (p0[i] + p1[i]) + … of `count` arrays of `size` elements, for `start` ≤ i < `stop`."""

    def body(index: Vector, mask: Vector | None) -> None:
        total = Variable(code.load(partials, index, mask))
        with code.steps(code.word(1), count, code.word(1)) as part:
            total.set(total.get() + code.load(partials, part * size + index, mask))
        code.store(total.get(), out, index, mask)

    code.sweep(start, stop, body)


@worker(PARTIAL_SUMS)
def partial_sums_worker(real):
    """out = ((p0 + p1) + p2) + …, elementwise."""

    def add(parameters, start, stop, thread):
        p = fields(parameters, PARTIAL_SUMS)
        _add_partials(p.partials, p.out, p.count, p.size, start, stop, real)

    return add


@emitted()
def _add_rows(
    code: Code, x: Vector, out: Vector, rows: Sequence[Vector], tile: Sequence[Vector], channels: Vector
) -> None:
    """Add rows[0] … rows[1] − 1 of x to the sums, for the channels of a tile; sums of bfloat16 are float32."""
    sums, (first, last) = code.wide, tile

    def columns(start: Vector, mask: Vector | None, wide: int) -> None:
        places = [start + code.lanes * k for k in range(wide)]
        totals = [Variable(sums.load(out, place, mask)) for place in places]
        with code.steps(rows[0], rows[1], code.word(1)) as row:
            for place, total in zip(places, totals, strict=True):
                total.set(total.get() + code.load(x, row * channels + place, mask))
        for place, total in zip(places, totals, strict=True):
            sums.store(total.get(), out, place, mask)

    step = code.lanes * BLOCK
    whole = first + ((last - first) & -step)
    with code.steps(first, whole, code.word(step)) as start:
        columns(start, None, BLOCK)
    code.sweep(whole, last, lambda index, mask: columns(index, mask, 1))


@worker(ROWS)
def rows_worker(real):
    """Sum some images of a lane, one tile of channels."""
    kept = computed(real)
    item = kept.bitwidth // 8

    def rows(parameters, start, stop, thread):
        p = fields(parameters, ROWS)
        first, skip = start // p.images * TILE, start // p.images * p.images
        start, stop, last = start - skip, stop - skip, min(p.channels, first + TILE)
        out = p.out + start // p.lane * p.channels * item
        if start % p.lane == 0:
            sums = view(out, p.channels, kept)
            for c in range(first, last):
                sums[c] = 0
        _add_rows(p.x, out, (start * p.rows, stop * p.rows), (first, last), p.channels, real)

    return rows
