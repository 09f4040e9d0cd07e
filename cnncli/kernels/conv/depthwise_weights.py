"""The weight gradient of depthwise convolutions: sums over (image, row, column), one chain for each tap and channel.

Vectors run along the channels, and sums stay in registers over many pixels. The usual kernels, 3 × 3 and 5 × 5 without
dilation, read the image where it is, with zeros where a tap is outside (`weigh_rows`); for all others, lines of it are
first copied into thread-local scratch, zero-padded, so that loops need no border cases (`gradient_rows`).
"""

from numba import njit

from cnncli.kernels.batch.reduce import in_lanes, partial_sums
from cnncli.kernels.conv.depthwise import apart, register_block
from cnncli.kernels.conv.depthwise_blocks import gradient_rows, sum_pixels, weigh_rows
from cnncli.kernels.conv.geometry import Geometry, filters_in_place
from cnncli.kernels.conv.planes import BLOCK, IMAGE, copy_part, image_fields, lines_of
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import clear
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, fields, worker
from cnncli.kernels.vector.lanes import LINE

WEIGHT = block(f"grad out bias lane lines batch rows columns kh kw top left dy dx {IMAGE}")
WEIGH = block("x grad out bias lane batch height width channels block rows columns sy top left")


def grad_weight(
    x: Tensor, grad: Tensor, out: Tensor, bias: Tensor | None, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """The adjoint of `depthwise.forward` in the kernel and in the bias, if there is one, summed over the batch.

    x: real (N, H, W, C); grad: (N, OH, OW, C); out: (kh, kw, …), C elements per tap; bias: (C,).
    """
    batch, rows, columns, channels = grad.shape
    kh, kw = out.shape[:2]
    (sy, sx), (top, left), (dy, dx), _ = geometry
    parts = in_lanes(batch, out.size)
    target, after = partial_sums(out, parts, scratch)
    bias_target, bias_after = partial_sums(bias, parts, scratch) if bias else (0, [])
    common = {
        "grad": grad.address,
        "out": target,
        "bias": bias_target,
        "lane": parts.images,
        "batch": batch,
        "rows": rows,
        "columns": columns,
        "top": top,
        "left": left,
    }
    if filters_in_place((kh, kw), geometry):
        block = min(channels, BLOCK // bytes_of(out.dtype))
        step = weigh_worker.step(
            x.dtype,
            parts.work(-(-channels // block)),
            sx,
            kh,
            x=x.address,
            height=x.shape[1],
            width=x.shape[2],
            channels=channels,
            block=block,
            sy=sy,
            **common,
        )
    else:
        dy, dx = apart(kh, dy), apart(kw, dx)
        across, high = (columns - 1) * sx + (kw - 1) * dx + 1, (kh - 1) * dy + 1
        lines = lines_of(rows, sy, high, across)
        image = image_fields(x, (sy, sx), ((lines - 1) * sy + high, across), scratch)
        step = weight_worker.step(
            x.dtype,
            parts.work(-(-channels // image["block"])),
            register_block(sx, [dx]),
            lines=lines,
            kh=kh,
            kw=kw,
            dy=dy,
            dx=dx,
            **image,
            **common,
        )
    return [step, *after, *bias_after]


@njit
def begin_weights(p, start, stop, taps, item):
    """Return the images, the first and the number of channels of a tile, and the addresses of its lane's sums, cleared
    at the lane's first image. `taps` taps, with sums of `item` bytes.
    """
    tile = start // p.batch
    start, stop, first = start - tile * p.batch, stop - tile * p.batch, tile * p.block
    width, tap = min(p.block, p.channels - first), p.channels * item
    place = start // p.lane * tap + first * item
    out, bias = p.out + start // p.lane * (taps - 1) * tap + place, p.bias + place
    if start % p.lane == 0:
        for number in range(taps):
            clear(out + number * tap, width * item)
        if p.bias != 0:
            clear(bias, width * item)
    return start, stop, first, width, out, bias


@worker(WEIGH)
def weigh_worker(real, share, taps):
    """Process some images of a lane, one block of channels."""
    item, wide = real.bitwidth // 8, computed(real).bitwidth // 8

    def weigh(parameters, start, stop, thread):
        p = fields(parameters, WEIGH)
        start, stop, first, width, out, bias = begin_weights(p, start, stop, taps * taps, wide)
        skip, step, tap = first * item, p.channels * item, p.channels * wide
        for image in range(start, stop):
            grad = p.grad + image * p.rows * p.columns * step + skip
            weigh_rows(
                share,
                taps,
                (out, taps * tap, tap),
                (p.x + image * p.height * p.width * step + skip, p.height, p.width, p.width * step, step),
                (grad, p.columns * step, step),
                (p.rows, p.sy, -p.top),
                (p.columns, -p.left),
                width,
                real,
            )
            if p.bias != 0:  # while the gradients are in the cache
                sum_pixels(bias, grad, step, p.rows * p.columns, width, real)

    return weigh


@worker(WEIGHT)
def weight_worker(real, share):
    """Process some images of a lane, one block of channels."""
    item, wide = real.bitwidth // 8, computed(real).bitwidth // 8

    def weight(parameters, start, stop, thread):
        p = fields(parameters, WEIGHT)
        start, stop, first, width, out, bias = begin_weights(p, start, stop, p.kh * p.kw, wide)
        skip, step, line = first * item, p.channels * item, p.copied_columns * LINE
        tap, copied = p.channels * wide, p.scratch + thread * p.scratch_step
        for image in range(start, stop):
            x = p.x + image * p.height * p.width * step + skip
            grad = p.grad + image * p.rows * p.columns * step + skip
            for row in range(0, p.rows, p.lines):
                lines = min(p.lines, p.rows - row)
                part_of = row * p.sy - p.top, (lines - 1) * p.sy + (p.kh - 1) * p.dy + 1
                whole, across = (x, p.height, p.width, step), (-p.left, p.copied_columns)
                copy_part(copied, p.plane, whole, part_of, across, width, real)
                gradient_rows(
                    share,
                    (out, p.kw * tap, tap),
                    (copied, p.plane, p.sy * line, p.sx * LINE, p.dy * line, p.dx * LINE),
                    (grad + row * p.columns * step, p.columns * step, step),
                    (lines, p.columns),
                    (p.kh, p.kw),
                    width,
                    real,
                )
                if p.bias != 0:  # while the gradients are in the cache
                    sum_pixels(bias, grad + row * p.columns * step, step, lines * p.columns, width, real)

    return weight
