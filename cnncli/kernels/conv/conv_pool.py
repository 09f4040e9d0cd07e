"""Convolution, ReLU and 2×2 max pooling in one pass, channels last.

Only pixels that the pooling reads are convolved; only the pooled map and the index of each maximum ("winner") are
written. Each convolution pixel is one chain of fused multiply-adds, starting from its bias, in the order (kh, kw, in).
The gradients are in `conv_pool_gradient`.
"""

from math import prod

from numba import njit, types

from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.conv.pool_blocks import DENSE, POOLED, VECTORS, pool
from cnncli.kernels.jit.dtypes import bytes_of, dtype_of_sums
from cnncli.kernels.jit.intrinsics import clear, copy
from cnncli.kernels.jit.runtime import SPAN, Scratch, Step, Tensor, block, fields, images, view, worker
from cnncli.kernels.vector import storage
from cnncli.kernels.vector.lanes import LINE

BAND = 24 << 10
"""Bytes of an image processed at a time: leaves room in the L1 cache for the other arrays."""
LEAST = 16
"""Minimum pooled pixels per load and store of the sums of a weight gradient."""
SHARES = 16
"""Chunks of a forward pass over few images."""

SIZES = "batch height width channels rows columns filters kh kw sy sx top left"
PLAN = f"{SIZES} band bands wide scratch scratch_step places"
FORWARD = block(f"x kernel bias out winner panels staging labels {PLAN}")
ARRANGE = block("x out high wide deep high_step wide_step deep_step limit limit_step lines")


def forward(
    x: Tensor, kernel: Tensor, bias: Tensor | None, out: Tensor, winner: Tensor, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """out = the maximum of each 2×2 square of ReLU(x ∗ kernel + bias).

    x: real (N, H, W, C); kernel: (kh, kw, C, F); bias: (F,); out: (N, PH, PW, F), incomplete squares dropped. winner:
    uint8, shape of out: the first maximum among the cells 0 … 3, row by row, or `DROPPED` of `pool_blocks` if it is not
    positive. NaN is greater than every number.
    """
    filters, item = kernel.shape[3], bytes_of(x.dtype)
    depth, width = kernel.size // filters, VECTORS * LINE // item
    panels = -(-filters // width)
    packed = take(scratch, x.dtype, panels, depth, width)
    offset = take(scratch, x.dtype, panels * width)
    pack = [
        arranged(kernel, packed, (width, filters, 1), limit=filters, limit_step=width),
        arranged(bias or offset, offset, (0, 0, 1), limit=filters if bias else 0),
    ]
    rows = min(band_rows(x, kernel, out, geometry), -(-out.shape[1] // -(-SHARES // x.shape[0])))
    shared = plan(x, kernel, out, geometry, rows, scratch, staging=POOLED * width * item, labels=POOLED * width)
    step = forward_worker.step(
        x.dtype,
        images(x.shape[0], parts=shared["bands"]),
        x=x.address,
        kernel=packed.address,
        bias=offset.address,
        out=out.address,
        winner=winner.address,
        panels=panels,
        **shared,
    )
    return [*pack, step]


def up(size: int, multiple: int) -> int:
    """Round `size` up to a multiple of `multiple`."""
    return -(-size // multiple) * multiple


def take(scratch: Scratch, dtype: str, *shape: int) -> Tensor:
    """Allocate an array in scratch."""
    return Tensor(scratch.take(prod(shape) * bytes_of(dtype)), shape, dtype)


def _needed(rows: int, kernel: Tensor, geometry: Geometry) -> int:
    """Return the number of image rows read by `rows` pooled rows."""
    return (2 * rows - 1) * geometry.strides[0] + kernel.shape[0]


def _wide(kernel: Tensor, pooled: Tensor, geometry: Geometry) -> int:
    """Return the number of image columns read, padding included."""
    return (2 * pooled.shape[2] - 1) * geometry.strides[1] + kernel.shape[1]


def band_rows(x: Tensor, kernel: Tensor, pooled: Tensor, geometry: Geometry) -> int:
    """Return the pooled rows per band: its part of the image has at most BAND bytes, the band at least LEAST pixels."""
    line = _wide(kernel, pooled, geometry) * x.shape[3] * bytes_of(dtype_of_sums(x.dtype))
    rows = ((BAND // line - kernel.shape[0]) // geometry.strides[0] + 1) // 2
    return min(pooled.shape[1], max(rows, -(-LEAST // pooled.shape[2])))


def plan(
    x: Tensor,
    kernel: Tensor,
    pooled: Tensor,
    geometry: Geometry,
    rows: int,
    scratch: Scratch,
    *,
    whole: bool = False,
    **areas: int,
) -> dict[str, int]:
    """Return the fields common to all workers, and allocate thread-local scratch.

    The scratch holds the image part read by `rows` pooled rows, the address table, then `areas` (sizes in bytes).
    Vectors may extend past the end of the image by less than their length, and the blocks of `masked` by some rows.
    `geometry` has no dilation and one group.
    """
    wide = _wide(kernel, pooled, geometry)
    needed = _needed(pooled.shape[1] if whole else rows, kernel, geometry)
    image = (needed + DENSE[0]) * wide * x.shape[3] * bytes_of(dtype_of_sums(x.dtype)) + 2 * LINE
    sizes = [up(size, LINE) for size in (image, (rows * pooled.shape[2] + POOLED) * 8, *areas.values())]
    base, step = scratch.per_thread(sum(sizes))
    values = (*x.shape, *pooled.shape[1:], *kernel.shape[:2], *geometry.strides, *geometry.padding)
    return {
        **dict(zip(SIZES.split(), values, strict=True)),
        **{name: sum(sizes[:position]) for position, name in enumerate(("places", *areas), 1)},
        "band": rows,
        "bands": -(-pooled.shape[1] // rows),
        "wide": wide,
        "scratch": base,
        "scratch_step": step,
    }


def arranged(x: Tensor, out: Tensor, steps: tuple[int, int, int], *, limit: int, limit_step: int = 0) -> Step:
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
def arrange_worker(real):
    """Compute some rows of `arranged`."""
    item = real.bitwidth // 8

    def arrange(parameters, chunk, _, thread):
        p = fields(parameters, ARRANGE)
        for line in range(chunk * p.lines, min(p.high * p.wide, (chunk + 1) * p.lines)):
            a, b = line // p.wide, line % p.wide
            x, step = p.x + (a * p.high_step + b * p.wide_step) * item, p.deep_step
            out = p.out + line * p.deep * item
            inside = max(0, min(p.deep, p.limit - a * p.limit_step))
            if step == 1:
                copy(out, x, inside * item)
            else:
                source, target = view(x, inside * step, real), view(out, inside, real)
                for c in range(inside):
                    target[c] = source[c * step]
            clear(out + inside * item, (p.deep - inside) * item)

    return arrange


@njit(inline="always")
def copy_band(p, image, first, last, target, sizes, real):
    """Copy the image part read by pooled rows first … last-1 to `target`, with zeros outside the image.

    sizes: the bytes of a number as it is stored and as it is computed with.
    """
    item, cell = sizes
    pixel, inside = p.channels * cell, min(p.width, p.wide - p.left)
    length, before, after = p.wide * pixel, p.left * pixel, (p.wide - p.left - inside) * pixel
    for r in range((2 * (last - first) - 1) * p.sy + p.kh):
        y = 2 * first * p.sy - p.top + r
        if y < 0 or y >= p.height:
            clear(target, length)
        else:
            clear(target, before)
            x = p.x + (image * p.height + y) * p.width * p.channels * item
            storage.read(target + before, x, inside * p.channels, real)
            clear(target + length - after, after)
        target += length


@njit(inline="always")
def find_places(p, target, table, item):
    """Fill `table` with the address of each pooled pixel's first patch in the band at `target`, row by row."""
    places = view(table, p.band * p.columns + POOLED, types.int64)
    for r in range(p.band):
        for c in range(p.columns):
            places[r * p.columns + c] = target + (2 * r * p.sy * p.wide + 2 * c * p.sx) * p.channels * item
    return places


@worker(FORWARD)
def forward_worker(real):
    """Compute bands of pooled rows of images."""
    item = real.bitwidth // 8
    width = VECTORS * LINE // item

    def convolve(parameters, start, stop, thread):
        p = fields(parameters, FORWARD)
        base = p.scratch + thread * p.scratch_step
        row, run = p.wide * p.channels * item, p.kw * p.channels
        patch = p.sx * p.channels * item, p.sy * row, row
        staging = view(base + p.staging, (POOLED, width), real)
        labels = view(base + p.labels, (POOLED, width), types.uint8)
        for unit in range(start, stop):
            image, first = unit // p.bands, unit % p.bands * p.band
            last = min(p.rows, first + p.band)
            copy_band(p, image, first, last, base, (item, item), real)
            places = find_places(p, base, base + p.places, item)
            count = (last - first) * p.columns
            for i in range(POOLED):
                places[count + i] = places[count - 1]
            for panel in range(p.panels):
                valid = min(width, p.filters - panel * width)
                kernel, bias = p.kernel + panel * p.kh * run * width * item, p.bias + panel * width * item
                for q in range(0, count, POOLED):
                    pixel = ((image * p.rows + first) * p.columns + q) * p.filters + panel * width
                    direct = valid == width and q + POOLED <= count
                    results = base + p.staging, width * item, base + p.labels, width
                    if direct:
                        results = p.out + pixel * item, p.filters * item, p.winner + pixel, p.filters
                    pool(base + p.places + q * 8, results, kernel, bias, patch, p.kh, run, real)
                    if not direct:
                        for i in range(min(POOLED, count - q)):
                            out = view(p.out + (pixel + i * p.filters) * item, valid, real)
                            winner = view(p.winner + pixel + i * p.filters, valid, types.uint8)
                            for f in range(valid):
                                out[f] = staging[i, f]
                                winner[f] = labels[i, f]

    return convolve
