"""Convolution, ReLU and 2×2 max pooling in one pass, and their sparse gradients; channels last.

Only what the pooling reads is convolved, and only the pooled map and each pixel's winner are written. Behind pooling
and ReLU at most one position in four has a gradient: `grad_weight` and `grad_input` run over those alone.

Each convolution pixel is one chain of fused multiply-adds from its bias, over (kh, kw, in). The weight gradient adds
up (image, row, column), the input gradient (band of rows, kernel row, row, column, cell, filter).
"""

from math import prod
from typing import NamedTuple

from numba import njit, types

from cnncli.kernels import pool_blocks
from cnncli.kernels.pool_blocks import LANES, LINE, POOLED, VECTORS, combine, masked, masked_sum, passing, pool, sort
from cnncli.kernels.reduce import ITEM, PARTIALS, partial_sums, start
from cnncli.kernels.runtime import SPAN, Scratch, Step, Tensor, block, fields, view, worker

DROPPED = 4
"""The winner of a pixel whose maximum was not positive: ReLU stops its gradient."""

HIGH, WIDE, DEEP = pool_blocks.DENSE
BAND = 24 << 10
"""Bytes of an image worked on at a time: what leaves an L1 cache room for the rest."""
LIST = 2048
"""Pooled elements whose gradients `grad_input` sorts by winner at a time."""
SHARES = 16
"""Chunks of a forward pass over few images."""
LARGE = 1 << 20
"""Elements that all partial sums of a weight gradient may have together."""
FEW = 96
"""Weights of one filter up to which vectors along the filters beat sparseness."""
BLOCK, PASS = 64, 6
"""Filters, and vectors of an input row, that `grad_input` adds up at a time: their weights fit the L1 cache."""

SIZES = "batch height width channels rows columns filters kh kw sy sx top left"
PLAN = f"{SIZES} band bands wide scratch scratch_step places"
FORWARD = block(f"x kernel bias out winner panels staging labels {PLAN}")
WEIGHT = block(f"x grad winner out part partials tiles padded run grads labels factors offsets cells {PLAN}")
INPUT = block(f"grad winner kernel out run offsets factors counts {PLAN}")
ARRANGE = block("x out high wide deep high_step wide_step deep_step limit limit_step lines")


class Places(NamedTuple):
    """How the kernel lies on the image; pairs are (vertical, horizontal).

    `padding` counts the zero rows above and zero columns left of the image; those below and on the right follow from
    the shape of the output.
    """

    strides: tuple[int, int]
    padding: tuple[int, int]


def forward(
    x: Tensor, kernel: Tensor, bias: Tensor | None, out: Tensor, winner: Tensor, places: Places, scratch: Scratch
) -> list[Step]:
    """out = the maximum of each 2×2 square of ReLU(x ∗ kernel + bias).

    x: real (N, H, W, C); kernel: (kh, kw, C, F); bias: (F,); out: (N, PH, PW, F), rows and columns that fill no square
    dropped. winner: uint8, shaped as out: the first largest of the cells 0 … 3, row by row, or DROPPED where it is not
    positive. A NaN beats every number.
    """
    filters, item = kernel.shape[3], ITEM[x.dtype]
    depth, width = kernel.size // filters, VECTORS * LANES[x.dtype]
    panels = -(-filters // width)
    packed = _take(scratch, x.dtype, panels, depth, width)
    offset = _take(scratch, x.dtype, panels * width)
    pack = [
        _arrange(kernel, packed, (width, filters, 1), limit=filters, limit_step=width),
        _arrange(bias or offset, offset, (0, 0, 1), limit=filters if bias else 0),
    ]
    rows = min(_band(x, kernel, out, places), -(-out.shape[1] // -(-SHARES // x.shape[0])))
    plan = _plan(x, kernel, out, places, rows, scratch, staging=POOLED * width * item, labels=POOLED * width)
    step = forward_worker.step(
        x.dtype,
        x.shape[0] * plan["bands"],
        x=x.address,
        kernel=packed.address,
        bias=offset.address,
        out=out.address,
        winner=winner.address,
        panels=panels,
        **plan,
    )
    return [*pack, step]


def grad_weight(
    x: Tensor, grad: Tensor, winner: Tensor, out: Tensor, bias: Tensor | None, places: Places, scratch: Scratch
) -> list[Step]:
    """The adjoint of `forward` in kernel and bias, summed over the batch.

    x: real (N, H, W, C); grad: (N, PH, PW, F); winner: uint8, what `forward` gave; out: (kh, kw, C, F); bias: (F,).
    """
    kh, kw, channels, filters = out.shape
    run, lanes, item, batch = kw * channels, LANES[x.dtype], ITEM[x.dtype], x.shape[0]
    few = kh * run <= FEW
    tile = DEEP * lanes
    if few:
        padded, across = _up(filters, tile), _up(run, WIDE)
        part, steps = (_up(kh, HIGH) * across + 1) * padded, (across * padded, padded, 1)
    else:
        padded, across = _up(filters, tile), _up(run, lanes)
        part, steps = filters * kh * across + padded, (across, 1, kh * across)
    partials = min(batch, PARTIALS, max(1, LARGE // part))
    total = _take(scratch, x.dtype, part)
    target, after = partial_sums(total, partials, scratch)
    rows = _band(x, out, grad, places)
    pixels = rows * grad.shape[2]
    plan = _plan(
        x,
        out,
        grad,
        places,
        rows,
        scratch,
        grads=pixels * tile * item,
        labels=pixels * tile,
        factors=(pixels + 1) * item,
        offsets=(pixels + 1) * 4,
        cells=(DROPPED + 1) * 8,
    )
    chosen = dense_weight_worker if few else sparse_weight_worker
    step = chosen.step(
        x.dtype,
        partials * (tiles := -(-filters // tile)),
        x=x.address,
        grad=grad.address,
        winner=winner.address,
        out=target,
        part=part,
        partials=partials,
        tiles=tiles,
        padded=padded,
        run=across,
        **plan,
    )
    arranged = [_arrange(total, Tensor(out.address, (kh, run, filters), out.dtype), steps, limit=filters)]
    if bias:
        sums = total._replace(address=total.address + (part - padded) * item)
        arranged.append(_arrange(sums, bias, (0, 0, 1), limit=filters))
    return [step, *after, *arranged]


def grad_input(
    grad: Tensor, winner: Tensor, kernel: Tensor, out: Tensor, places: Places, scratch: Scratch
) -> list[Step]:
    """The adjoint of `forward` in x. grad: real (N, PH, PW, F); winner: uint8, what `forward` gave.

    kernel: (kh, kw, C, F); out: (N, H, W, C). F is at most 4095.
    """
    kh, kw, channels, filters = kernel.shape
    run = _up(kw * channels, LANES[grad.dtype])
    packed = _take(scratch, grad.dtype, filters, kh, run)
    pack = _arrange(kernel, packed, (1, kw * channels * filters, filters), limit=kw * channels)
    rows = min(grad.shape[1], max(1, LIST // (grad.shape[2] * min(filters, BLOCK))))
    size = (4 * rows * grad.shape[2] + 1) * min(filters, BLOCK)
    plan = _plan(
        out,
        kernel,
        grad,
        places,
        rows,
        scratch,
        whole=True,
        factors=size * ITEM[grad.dtype],
        offsets=size * 4,
        counts=4 * rows * grad.shape[2] * 4,
    )
    step = input_worker.step(
        grad.dtype,
        grad.shape[0],
        grad=grad.address,
        winner=winner.address,
        kernel=packed.address,
        out=out.address,
        run=run,
        **plan,
    )
    return [pack, step]


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _take(scratch: Scratch, dtype: str, *shape: int) -> Tensor:
    return Tensor(scratch.take(prod(shape) * ITEM[dtype]), shape, dtype)


def _needed(rows: int, kernel: Tensor, places: Places) -> int:
    """Image rows that `rows` pooled ones read."""
    return (2 * rows - 1) * places.strides[0] + kernel.shape[0]


def _wide(kernel: Tensor, pooled: Tensor, places: Places) -> int:
    """Image columns that are read, padding included."""
    return (2 * pooled.shape[2] - 1) * places.strides[1] + kernel.shape[1]


def _band(x: Tensor, kernel: Tensor, pooled: Tensor, places: Places) -> int:
    """Pooled rows whose part of an image is at most BAND bytes, one at least."""
    line = _wide(kernel, pooled, places) * x.shape[3] * ITEM[x.dtype]
    rows = ((BAND // line - kernel.shape[0]) // places.strides[0] + 1) // 2
    return min(pooled.shape[1], max(1, rows))


def _plan(
    x: Tensor,
    kernel: Tensor,
    pooled: Tensor,
    places: Places,
    rows: int,
    scratch: Scratch,
    *,
    whole: bool = False,
    **areas: int,
) -> dict[str, int]:
    """The fields that all workers share, and a thread's scratch: `rows` pooled rows' part of an image first.

    Behind it come the table of places, then `areas` of so many bytes. Vectors may reach beyond the image's end, by
    less than their length, and the blocks of `masked` by some rows.
    """
    wide = _wide(kernel, pooled, places)
    needed = _needed(pooled.shape[1] if whole else rows, kernel, places)
    image = (needed + HIGH) * wide * x.shape[3] * ITEM[x.dtype] + 2 * LINE
    sizes = [_up(size, LINE) for size in (image, (rows * pooled.shape[2] + POOLED) * 8, *areas.values())]
    base, step = scratch.per_thread(sum(sizes))
    values = (*x.shape, *pooled.shape[1:], *kernel.shape[:2], *places.strides, *places.padding)
    return {
        **dict(zip(SIZES.split(), values, strict=True)),
        **{name: sum(sizes[:position]) for position, name in enumerate(("places", *areas), 1)},
        "band": rows,
        "bands": -(-pooled.shape[1] // rows),
        "wide": wide,
        "scratch": base,
        "scratch_step": step,
    }


def _arrange(x: Tensor, out: Tensor, steps: tuple[int, int, int], *, limit: int, limit_step: int = 0) -> Step:
    """out[a, b, c] = x[a·steps[0] + b·steps[1] + c·steps[2]] for c < limit - a·limit_step, else 0."""
    high, wide, deep = (1, 1, 1, *out.shape)[-3:] if len(out.shape) < 3 else out.shape
    lines = max(1, SPAN // 4 // deep)
    return arrange_worker.step(
        out.dtype,
        -(-high * wide // lines),
        x=x.address,
        out=out.address,
        high=high,
        wide=wide,
        deep=deep,
        high_step=steps[0],
        wide_step=steps[1],
        deep_step=steps[2],
        limit=limit,
        limit_step=limit_step,
        lines=lines,
    )


@worker(ARRANGE)
def arrange_worker(real):  # type: ignore[no-untyped-def]
    """Some rows of `_arrange`."""
    item = real.bitwidth // 8

    def arrange(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, ARRANGE)
        for line in range(chunk * p.lines, min(p.high * p.wide, (chunk + 1) * p.lines)):
            a, b = line // p.wide, line % p.wide
            x, step = p.x + (a * p.high_step + b * p.wide_step) * item, p.deep_step
            out = p.out + line * p.deep * item
            inside = max(0, min(p.deep, p.limit - a * p.limit_step))
            if step == 1:
                start(out, 1, inside * item, x)
            else:
                source, target = view(x, inside * step, real), view(out, inside, real)
                for c in range(inside):
                    target[c] = source[c * step]
            start(out + inside * item, 1, (p.deep - inside) * item, 0)

    return arrange


@njit(inline="always")
def copy_band(p, image, first, last, target, item):  # type: ignore[no-untyped-def]
    """What pooled rows first … last-1 of an image read, at `target`, with zeros where the image ends."""
    pixel = p.channels * item
    length, before, inside = p.wide * pixel, p.left * pixel, min(p.width, p.wide - p.left) * pixel
    for r in range((2 * (last - first) - 1) * p.sy + p.kh):
        y = 2 * first * p.sy - p.top + r
        if y < 0 or y >= p.height:
            start(target, 1, length, 0)
        else:
            start(target, 1, before, 0)
            start(target + before, 1, inside, p.x + (image * p.height + y) * p.width * pixel)
            start(target + before + inside, 1, length - before - inside, 0)
        target += length


@njit(inline="always")
def find_places(p, target, table, item):  # type: ignore[no-untyped-def]
    """The address of each pooled pixel's first patch in a band at `target`, row by row."""
    places = view(table, p.band * p.columns + POOLED, types.int64)
    for r in range(p.band):
        for c in range(p.columns):
            places[r * p.columns + c] = target + (2 * r * p.sy * p.wide + 2 * c * p.sx) * p.channels * item
    return places


@worker(FORWARD)
def forward_worker(real):  # type: ignore[no-untyped-def]
    """A band of pooled rows of one image."""
    item = real.bitwidth // 8
    width = VECTORS * LANES[real.name]

    def convolve(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, FORWARD)
        image, first = chunk // p.bands, chunk % p.bands * p.band
        last = min(p.rows, first + p.band)
        base = p.scratch + thread * p.scratch_step
        copy_band(p, image, first, last, base, item)
        places = find_places(p, base, base + p.places, item)
        count = (last - first) * p.columns
        for i in range(POOLED):
            places[count + i] = places[count - 1]
        row, run = p.wide * p.channels * item, p.kw * p.channels
        right, below = p.sx * p.channels * item, p.sy * row
        staging = view(base + p.staging, (POOLED, width), real)
        labels = view(base + p.labels, (POOLED, width), types.uint8)
        for panel in range(p.panels):
            valid = min(width, p.filters - panel * width)
            for q in range(0, count, POOLED):
                pixel = ((image * p.rows + first) * p.columns + q) * p.filters + panel * width
                direct = valid == width and q + POOLED <= count
                pool(
                    base + p.places + q * 8,
                    p.out + pixel * item if direct else base + p.staging,
                    p.filters * item if direct else width * item,
                    p.winner + pixel if direct else base + p.labels,
                    p.filters if direct else width,
                    p.kernel + panel * p.kh * run * width * item,
                    p.bias + panel * width * item,
                    right,
                    below,
                    row,
                    p.kh,
                    run,
                    real,
                )
                if not direct:
                    for i in range(min(POOLED, count - q)):
                        out = view(p.out + (pixel + i * p.filters) * item, valid, real)
                        winner = view(p.winner + pixel + i * p.filters, valid, types.uint8)
                        for f in range(valid):
                            out[f] = staging[i, f]
                            winner[f] = labels[i, f]

    return convolve


@njit(inline="always")
def whole_vectors(p, base, pixel, count, left, width, item):  # type: ignore[no-untyped-def]
    """(grad, its step, winner, its step) of `width` filters from `left` on, copied where there are not so many.

    What is read in place of those that are missing falls to sums that nobody reads.
    """
    valid, place = min(width, p.filters - left), pixel * p.filters + left
    if valid == width:
        return p.grad + place * item, p.filters * item, p.winner + place, p.filters
    grad, winner = base + p.grads, base + p.labels
    for q in range(count):
        start(grad + q * width * item, 1, valid * item, p.grad + (place + q * p.filters) * item)
        start(winner + q * width, 1, valid, p.winner + place + q * p.filters)
    return grad, width * item, winner, width


@worker(WEIGHT)
def dense_weight_worker(real):  # type: ignore[no-untyped-def]
    """One partial sum of some filters, vectors along the filters: (kh, kw·in, padded), then the bias's."""
    item = real.bitwidth // 8
    width = DEEP * LANES[real.name]

    def weight(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, WEIGHT)
        part, left = chunk // p.tiles, chunk % p.tiles * width
        base, row = p.scratch + thread * p.scratch_step, p.wide * p.channels * item
        out = p.out + (part * p.part + left) * item
        units = p.part // p.padded
        for unit in range(units):
            start(out + unit * p.padded * item, 1, width * item, 0)
        bias = out + (units - 1) * p.padded * item
        find_places(p, base, base + p.places, item)
        for image in range(part * p.batch // p.partials, (part + 1) * p.batch // p.partials):
            for first in range(0, p.rows, p.band):
                last = min(p.rows, first + p.band)
                copy_band(p, image, first, last, base, item)
                count, pixel = (last - first) * p.columns, (image * p.rows + first) * p.columns
                grad, grad_step, winner, winner_step = whole_vectors(p, base, pixel, count, left, width, item)
                masked_sum(bias, count, grad, grad_step, winner, winner_step, real)
                for i in range(0, p.kh, HIGH):
                    for k in range(0, p.run, WIDE):
                        masked(
                            out + (i * p.run + k) * p.padded * item,
                            p.run * p.padded * item,
                            p.padded * item,
                            base + p.places,
                            i * row + k * item,
                            count,
                            grad,
                            grad_step,
                            winner,
                            winner_step,
                            p.sx * p.channels * item,
                            p.sy * row,
                            row,
                            real,
                        )

    return weight


@worker(WEIGHT)
def sparse_weight_worker(real):  # type: ignore[no-untyped-def]
    """One partial sum of some filters, vectors along (kw, in): (filters, kh, run), then the bias's."""
    item = real.bitwidth // 8
    lanes = LANES[real.name]
    width = DEEP * lanes

    def weight(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, WEIGHT)
        part, left = chunk // p.tiles, chunk % p.tiles * width
        right = min(p.filters, left + width)
        base, row = p.scratch + thread * p.scratch_step, p.wide * p.channels * item
        beside, below = p.sx * p.channels * item, p.sy * row
        out, depth = p.out + part * p.part * item, p.kh * p.run
        bias = out + (p.filters * depth + left) * item
        start(out + left * depth * item, right - left, depth * item, 0)
        start(bias, 1, width * item, 0)
        cells = view(base + p.cells, DROPPED + 1, types.int64)
        find_places(p, base, base + p.places, item)
        for cell in range(DROPPED + 1):
            cells[cell] = (cell & 1) * beside + (cell >> 1) * below - base
        for image in range(part * p.batch // p.partials, (part + 1) * p.batch // p.partials):
            for first in range(0, p.rows, p.band):
                last = min(p.rows, first + p.band)
                copy_band(p, image, first, last, base, item)
                count, pixel = (last - first) * p.columns, (image * p.rows + first) * p.columns
                grad, grad_step, winner, winner_step = whole_vectors(p, base, pixel, count, left, width, item)
                masked_sum(bias, count, grad, grad_step, winner, winner_step, real)
                for f in range(left, right):
                    n = passing(
                        base + p.offsets,
                        base + p.factors,
                        base + p.places,
                        base + p.cells,
                        p.grad + (pixel * p.filters + f) * item,
                        p.winner + pixel * p.filters + f,
                        p.filters,
                        count,
                        real,
                    )
                    combine(
                        out + f * depth * item,
                        p.run * item,
                        base,
                        row,
                        base + p.offsets,
                        base + p.factors,
                        n,
                        p.kh,
                        p.run // lanes,
                        real,
                    )

    return weight


@worker(INPUT)
def input_worker(real):  # type: ignore[no-untyped-def]
    """One image: its gradients sorted by pixel and winner, then one kernel row at a time, which fits the L1 cache."""
    item = real.bitwidth // 8
    lanes = LANES[real.name]

    def spread(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, INPUT)
        base, row = p.scratch + thread * p.scratch_step, p.wide * p.channels * item
        needed = (2 * p.rows - 1) * p.sy + p.kh
        beside, below = p.sx * p.channels * item, p.sy * row
        start(base, needed, row, 0)
        capacity = p.band * p.columns
        places = find_places(p, base, base + p.places, item)
        counts = view(base + p.counts, 4 * capacity, types.int32)
        for first in range(0, p.rows, p.band):
            last = min(p.rows, first + p.band)
            count, pixel = (last - first) * p.columns, (chunk * p.rows + first) * p.columns
            shift = 2 * first * below
            for f in range(0, p.filters, BLOCK):
                block, kernel = min(BLOCK, p.filters - f), p.kernel + f * p.kh * p.run * item
                for q in range(count):
                    # What no cell has won goes where the next pixel's begin.
                    place, element = 4 * q * block, (pixel + q) * p.filters + f
                    seen = sort(
                        base + p.offsets + place * 4,
                        base + p.factors + place * item,
                        p.grad + element * item,
                        p.winner + element,
                        p.kh * p.run * item,
                        block,
                        real,
                    )
                    for cell in range(4):
                        counts[4 * q + cell] = seen >> (12 * cell) & 0xFFF
                for i in range(p.kh):
                    for vector in range(0, p.run // lanes, PASS):
                        for q in range(count):
                            for cell in range(4):
                                place, passed = (4 * q + cell) * block, counts[4 * q + cell]
                                if passed == 0:
                                    continue
                                combine(
                                    places[q] + shift + (cell & 1) * beside + (cell >> 1) * below + i * row + vector * LINE,
                                    0,
                                    kernel + i * p.run * item + vector * LINE,
                                    0,
                                    base + p.offsets + place * 4,
                                    base + p.factors + place * item,
                                    passed,
                                    1,
                                    min(PASS, p.run // lanes - vector),
                                    real,
                                )
        width, inside = p.width * p.channels * item, min(p.width, p.wide - p.left) * p.channels * item
        for y in range(p.height):
            out, r = p.out + (chunk * p.height + y) * width, y + p.top
            reached = inside if r < needed else 0
            start(out, 1, reached, base + r * row + p.left * p.channels * item)
            start(out + reached, 1, width - reached, 0)

    return spread
