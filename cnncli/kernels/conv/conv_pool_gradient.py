"""The sparse gradients of `conv_pool`.

After ReLU and pooling at most one position in four has a gradient; only those are processed. The weight gradient
accumulates in the order (image, row, column), the input gradient in the order (band of rows, 64 filters, kernel row,
row, column, cell, filter).
"""

from numba import njit, types

from cnncli.kernels.batch.reduce import in_lanes, partial_sums
from cnncli.kernels.conv.conv_pool import PLAN, arranged, band_rows, copy_band, find_places, plan, take, up
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.conv.pool_blocks import DENSE, DROPPED, combine_row, combine_rows, masked, masked_sum, passing, sort
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import clear, copy
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, fields, images, view, worker
from cnncli.kernels.vector import storage
from cnncli.kernels.vector.lanes import LINE

HIGH, WIDE, DEEP = DENSE
LIST = 2048
"""Pooled elements that `grad_input` sorts by winner at a time."""
FEW = 32
"""Weights per filter up to which dense vectors along the filters are faster than sparse accumulation."""
BLOCK, PASS = 64, 6
"""Filters, and vectors of an input row, that `grad_input` processes at a time: their weights fit in the L1 cache."""

WEIGHT = block(f"x grad winner out part lane padded run grads labels factors offsets cells {PLAN}")
INPUT = block(f"grad winner kernel out run offsets factors counts {PLAN}")


def grad_weight(
    x: Tensor, grad: Tensor, winner: Tensor, out: Tensor, bias: Tensor | None, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """The adjoint of `conv_pool.forward` in kernel and bias, summed over the batch.

    x: real (N, H, W, C); grad: (N, PH, PW, F); winner: uint8, from `forward`; out: (kh, kw, C, F); bias: (F,). x and
    grad may both be bfloat16; out and bias are not.
    """
    kh, kw, channels, filters = out.shape
    run, item = kw * channels, bytes_of(out.dtype)
    lanes = LINE // item
    few = kh * run <= FEW
    tile = DEEP * lanes
    if few:
        padded, across = up(filters, tile), up(run, WIDE)
        part, strides = (up(kh, HIGH) * across + 1) * padded, (across * padded, padded, 1)
    else:
        padded, across = up(filters, tile), up(run, lanes)
        part, strides = filters * kh * across + padded, (across, 1, kh * across)
    parts = in_lanes(x.shape[0], out.size)
    total = take(scratch, out.dtype, part)
    target, after = partial_sums(total, parts, scratch)
    rows = band_rows(x, out, grad, geometry)
    pixels = rows * grad.shape[2]
    shared = plan(
        x,
        out,
        grad,
        geometry,
        rows,
        scratch,
        grads=pixels * tile * item,
        labels=pixels * tile,
        factors=(pixels + 1) * item,
        offsets=(pixels + 1) * 4,
        cells=(DROPPED + 1) * 8,
    )
    step = weight_worker.step(
        x.dtype,
        parts.work(-(-filters // tile)),
        "dense" if few else "sparse",
        x=x.address,
        grad=grad.address,
        winner=winner.address,
        out=target,
        part=part,
        lane=parts.images,
        padded=padded,
        run=across,
        **shared,
    )
    last = [arranged(total, Tensor(out.address, (kh, run, filters), out.dtype), strides, limit=filters)]
    if bias:
        sums = total._replace(address=total.address + (part - padded) * item)
        last.append(arranged(sums, bias, (0, 0, 1), limit=filters))
    return [step, *after, *last]


def grad_input(
    grad: Tensor, winner: Tensor, kernel: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """The adjoint of `conv_pool.forward` in x. grad: real (N, PH, PW, F); winner: uint8, from `forward`.

    kernel: (kh, kw, C, F); out: (N, H, W, C). grad and out may both be bfloat16. A non-finite gradient may also
    propagate to neighbouring pixels.
    """
    kh, kw, channels, filters = kernel.shape
    run = up(kw * channels, LINE // bytes_of(kernel.dtype))
    packed = take(scratch, kernel.dtype, filters, kh, run)
    pack = arranged(kernel, packed, (1, kw * channels * filters, filters), limit=kw * channels)
    rows = min(grad.shape[1], max(1, LIST // (grad.shape[2] * min(filters, BLOCK))))
    size = (4 * rows * grad.shape[2] + 1) * min(filters, BLOCK)
    shared = plan(
        out,
        kernel,
        grad,
        geometry,
        rows,
        scratch,
        whole=True,
        factors=size * bytes_of(kernel.dtype),
        offsets=size * 4,
        counts=4 * rows * grad.shape[2] * 4,
    )
    step = input_worker.step(
        grad.dtype,
        images(grad.shape[0]),
        grad=grad.address,
        winner=winner.address,
        kernel=packed.address,
        out=out.address,
        run=run,
        **shared,
    )
    return [pack, step]


@njit(inline="always")
def whole_vectors(p, base, pixel, count, left, width, item):
    """Return the `pixels` of `pool_blocks` for `width` filters from `left` on, copied if there are fewer.

    The padding read for missing filters only affects sums that are not used.
    """
    valid, place = min(width, p.filters - left), pixel * p.filters + left
    if valid == width:
        return count, p.grad + place * item, p.filters * item, p.winner + place, p.filters
    grad, winner = base + p.grads, base + p.labels
    for q in range(count):
        copy(grad + q * width * item, p.grad + (place + q * p.filters) * item, valid * item)
        copy(winner + q * width, p.winner + place + q * p.filters, valid)
    return count, grad, width * item, winner, width


@worker(WEIGHT)
def weight_worker(real, kind):
    """Accumulate some images of a lane: the sums of some filters, followed by those of their bias.

    With few weights per filter, vectors run along the filters: (kh, kw·in, padded); otherwise along (kw, in), and only
    positions with a gradient are accumulated: (filters, kh, run).
    """
    item, few = real.bitwidth // 8, kind == "dense"
    sums = computed(real)
    cell = sums.bitwidth // 8
    lanes = LINE // cell
    width = DEEP * lanes

    def weight(parameters, start, stop, thread):
        p = fields(parameters, WEIGHT)
        tile = start // p.batch
        start, stop, left = start - tile * p.batch, stop - tile * p.batch, tile * width
        part, begun = start // p.lane, start % p.lane > 0
        right = min(p.filters, left + width)
        base, row = p.scratch + thread * p.scratch_step, p.wide * p.channels * cell
        patch = p.sx * p.channels * cell, p.sy * row, row
        out, depth = p.out + part * p.part * cell, p.kh * p.run * cell
        bias = out + (p.part - p.padded + left) * cell
        offsets, factors = base + p.offsets, base + p.factors
        find_places(p, base, base + p.places, cell)
        if not begun:
            if few:
                for unit in range(p.part // p.padded - 1):
                    clear(out + (unit * p.padded + left) * cell, width * cell)
            else:
                clear(out + left * depth, (right - left) * depth)
            clear(bias, width * cell)
        if not few:
            cells = view(base + p.cells, DROPPED + 1, types.int64)
            for n in range(DROPPED + 1):
                cells[n] = (n & 1) * patch[0] + (n >> 1) * patch[1] - base
        for image in range(start, stop):
            for first in range(0, p.rows, p.band):
                last = min(p.rows, first + p.band)
                copy_band(p, image, first, last, base, (item, cell), real)
                count, pixel = (last - first) * p.columns, (image * p.rows + first) * p.columns
                pixels = whole_vectors(p, base, pixel, count, left, width, item)
                masked_sum(bias, pixels, real)
                if few:
                    # Reload addresses from the block: as variables they would cause sums to be spilled.
                    for i in range(0, p.kh, HIGH):
                        for k in range(0, p.run, WIDE):
                            step = p.padded * cell
                            target = out + (i * p.run + k) * step + left * cell, p.run * step, step
                            masked(target, base + p.places, i * row + k * cell, pixels, patch, real)
                else:
                    for f in range(left, right):
                        element, tables = pixel * p.filters + f, (base + p.places, base + p.cells)
                        grad, winner = p.grad + element * item, p.winner + element
                        n = passing((offsets, factors), tables, grad, winner, p.filters, count, real)
                        filter_out, terms = (out + f * depth, p.run * cell), (offsets, factors, n)
                        combine_rows(filter_out, (base, row), terms, p.kh, p.run // lanes, sums)

    return weight


@worker(INPUT)
def input_worker(real):
    """Process some images: sort gradients by pixel and winner, then apply one kernel row at a time (fits in L1)."""
    item, sums = real.bitwidth // 8, computed(real)
    cell = sums.bitwidth // 8
    lanes = LINE // cell

    def spread(parameters, start, stop, thread):
        p = fields(parameters, INPUT)
        base, row = p.scratch + thread * p.scratch_step, p.wide * p.channels * cell
        needed = (2 * p.rows - 1) * p.sy + p.kh
        beside, below = p.sx * p.channels * cell, p.sy * row
        line = p.run * cell
        places = find_places(p, base, base + p.places, cell)
        counts = view(base + p.counts, 4 * p.band * p.columns, types.int32)
        offsets, factors = base + p.offsets, base + p.factors
        for image in range(start, stop):
            clear(base, needed * row)
            for first in range(0, p.rows, p.band):
                last = min(p.rows, first + p.band)
                count, pixel = (last - first) * p.columns, (image * p.rows + first) * p.columns
                shift = 2 * first * below
                for f in range(0, p.filters, BLOCK):
                    block, kernel = min(BLOCK, p.filters - f), p.kernel + f * p.kh * line
                    for q in range(count):
                        # Dropped elements are overwritten by those of the next pixel.
                        place, element = 4 * q * block, (pixel + q) * p.filters + f
                        lists = offsets + place * 4, factors + place * cell
                        seen = sort(lists, p.grad + element * item, p.winner + element, p.kh * line, block, real)
                        for n in range(4):
                            counts[4 * q + n] = seen >> (12 * n) & 0xFFF
                    for i in range(p.kh):
                        for vector in range(0, p.run // lanes, PASS):
                            source = kernel + i * line + vector * LINE, 0
                            for q in range(count):
                                for n in range(4):
                                    place, passed = (4 * q + n) * block, counts[4 * q + n]
                                    if passed == 0:
                                        continue
                                    out = places[q] + shift + (n & 1) * beside + (n >> 1) * below + i * row
                                    terms = offsets + place * 4, factors + place * cell, passed
                                    vectors = min(PASS, p.run // lanes - vector)
                                    combine_row((out + vector * LINE, 0), source, terms, 1, vectors, sums)
            width, inside = p.width * p.channels, min(p.width, p.wide - p.left) * p.channels
            for y in range(p.height):
                out, r = p.out + (image * p.height + y) * width * item, y + p.top
                reached = inside if r < needed else 0
                storage.write(out, base + r * row + p.left * p.channels * cell, reached, real)
                clear(out + reached * item, (width - reached) * item)

    return spread
