"""The gradients of `conv2d`: each element is one chain of fused multiply-adds.

The input gradient accumulates in the order of the flipped kernel (kh, kw, filters), the weight gradient in the order
(image, row, column).
"""

from collections.abc import Iterator
from math import gcd
from typing import NamedTuple

from cnncli.kernels.batch.reduce import PARTIALS, in_lanes, partial_sums
from cnncli.kernels.conv import conv2d_weight_bfloat16
from cnncli.kernels.conv.conv2d import COPY, IMAGE, Grid, correlate, image_fields
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.conv.weight_runs import LONG, NEAR, chunk_of, run_from
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.gemm.dense import Source, pack
from cnncli.kernels.gemm.epilogue import PLAIN, Epilogue
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import call, clear, stream
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, elements, fields, view, worker
from cnncli.kernels.vector.sweeps import LANES

WEIGHT = block(f"product grad out lane tiles panel stack band packed packed_step {IMAGE} {COPY}")
FILL = block("out size bias channels")


class Phase(NamedTuple):
    """One phase of an axis of an input gradient, every s-th pixel: a stride-1 correlation with a subset of the taps."""

    first: int
    pixels: int
    last_tap: int
    taps: int
    tap_step: int
    padding: int
    dilation: int


def grad_input(
    grad: Tensor, kernel: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch, epilogue: Epilogue = PLAIN
) -> list[Step]:
    """The adjoint of `forward` in x. grad: real (N, OH, OW, F); kernel: (kh, kw, C/groups, F); out: (N, H, W, C).

    The correlation of the gradient, dilated by `strides`, with the flipped kernel, input channels and filters exchanged
    (Dumoulin & Visin 2016, section 4). Pixels one stride apart use the same taps, so each phase is a separate
    correlation that skips the zeros of the dilated gradient. Pixels that no tap reaches are set to zero. The epilogue
    is for transposed convolution layers. grad and out may be bfloat16, or grad alone; F/groups must then be even.
    """
    kh, kw, channels, filters = kernel.shape
    batch, height, width, depth = out.shape
    (sy, sx), (top, left), (dy, dx), groups = geometry
    item, cell = bytes_of(kernel.dtype), bytes_of(out.dtype)
    rows, columns = list(_phases(kh, sy, top, dy, height)), list(_phases(kw, sx, left, dx, width))
    packs, steps, unreached = [], [], any(phase.taps == 0 for phase in rows + columns)
    apart = unreached or len(rows) * len(columns) > 1
    within = Epilogue(epilogue.bias) if apart else epilogue
    if unreached:
        if within.bias and out.dtype == "bfloat16":
            raise ValueError("a bias for pixels that no tap reaches is not supported for bfloat16")
        place = {"out": out.address, "size": out.size, "bias": within.bias.address if within.bias else 0}
        steps.append(fill_worker.step(out.dtype, elements(out), **place, channels=depth))
    for y in rows:
        for x in columns:
            if y.taps == 0 or x.taps == 0:
                continue
            address = kernel.address + (y.last_tap * kw + x.last_tap) * channels * filters * item
            sizes = (groups, y.taps, x.taps, filters // groups, channels)
            tap = channels * filters
            strides = (filters // groups, -y.tap_step * kw * tap, -x.tap_step * tap, 1, filters)
            step, panels = pack(Source(address, sizes, strides), grad.dtype, scratch)
            grid = Grid(
                (batch, y.pixels, x.pixels, depth),
                out.address + (y.first * width + x.first) * depth * cell,
                out.dtype,
                height * width * depth * cell,
                sy * width * depth * cell,
                sx * depth * cell,
            )
            turned = Geometry((1, 1), (y.padding, x.padding), (y.dilation, x.dilation), groups)
            packs.append(step)
            steps.append(correlate(grad, panels, (y.taps, x.taps), grid, turned, scratch, within))
    return [*packs, *steps, *(epilogue.activated(out) if apart else [])]


def grad_weight(x: Tensor, grad: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """The adjoint of `forward` in the kernel, summed over the batch.

    x: real (N, H, W, C); grad: (N, OH, OW, F); out: (kh, kw, C/groups, F). x and grad may both be bfloat16; out is not.
    """
    if x.dtype == "bfloat16":
        return conv2d_weight_bfloat16.grad_weight(x, grad, out, geometry, scratch)
    lanes, panel, product, *_ = microkernel.family(x.dtype)
    filters = grad.shape[3]
    width = filters // geometry.groups
    batch, rows, columns, _ = grad.shape
    # For a 1×1 kernel, stacked images are one image, and sums stay longer in registers. Not if the gradient is packed
    # on any machine: the bits would be the same, but the size of the scratch would not.
    pointwise = (*out.shape[:2], *geometry.strides, *geometry.padding) == (1, 1, 1, 1, 0, 0)
    stacked = pointwise and geometry.groups == 1 and width % LANES == 0
    parts = in_lanes(batch, out.size)
    tiles = max(1, min(out.size // filters // 24, 2 * PARTIALS // parts.number))
    target, after = partial_sums(out, parts, scratch)
    stack = max(1, LONG // (rows * columns)) if stacked else 1
    line = (geometry.strides[0] * x.shape[2] * x.shape[3] + columns * filters) * bytes_of(x.dtype)
    # Each band loads and stores the sum: a large one makes larger bands pay.
    band = min(stack * rows, max(1, max(NEAR, out.size * bytes_of(out.dtype)) // line))
    packed, step = 0, 0
    if width % lanes:
        packed, step = scratch.per_thread(band * columns * -(-width // panel) * panel * bytes_of(x.dtype))
    weight = weight_worker.step(
        x.dtype,
        parts.work(tiles),
        product=product,
        grad=grad.address,
        out=target,
        lane=parts.images,
        tiles=tiles,
        panel=panel,
        stack=stack,
        band=band,
        packed=packed,
        packed_step=step,
        **image_fields(x, out.shape[:2], (rows, columns, filters), band, geometry, scratch),
    )
    return [weight, *after]


def _phases(taps: int, stride: int, padding: int, dilation: int, size: int) -> Iterator[Phase]:
    """The phases of one axis of `size` pixels. Pixel y uses tap i if stride divides y + padding - i · dilation."""
    common = gcd(stride, dilation)
    for first in range(min(stride, size)):
        met = [i for i in range(taps) if (first + padding - i * dilation) % stride == 0]
        last = met[-1] if met else 0
        before = (last * dilation - first - padding) // stride
        yield Phase(first, -(-(size - first) // stride), last, len(met), stride // common, before, dilation // common)


@worker(WEIGHT)
def weight_worker(real):
    """Accumulate some images of a lane into one tile of (kh, kw, in) rows; each band adds one run over its pixels."""
    item = real.bitwidth // 8

    def weight(parameters, start, stop, thread):
        p = fields(parameters, WEIGHT)
        inner, width = p.channels // p.groups, p.filters // p.groups
        start, stop, first, last, lane = chunk_of(p, start, stop)
        copied_columns = (p.columns - 1) * p.sx + (p.kw - 1) * p.dx + 1
        pixel = (inner if p.copied else p.channels) * item
        line = (copied_columns if p.copied else p.width) * pixel
        row = p.filters * item
        for image in range(start, stop, p.stack):
            images = min(p.stack, stop - image)
            rows, height = images * p.rows, images * p.height
            for group in range(p.groups):
                whole = p.x + (image * p.height * p.width * p.channels + group * inner) * item
                for top in range(0, rows, p.band):
                    bottom = min(rows, top + p.band)
                    pixels = (bottom - top) * p.columns
                    x, grad = whole + top * p.sy * line, p.grad + (image * p.rows + top) * p.columns * row
                    if p.band < rows:
                        stream(grad, pixels * row)
                    if p.copied:
                        x = p.scratch + thread * p.scratch_step
                        copied_rows = (bottom - 1 - top) * p.sy + (p.kh - 1) * p.dy + 1
                        image_part = top * p.sy - p.top, copied_rows, -p.left, copied_columns
                        call(p.border, (x, whole, p.height, p.width, p.channels * item, pixel, *image_part))
                    elif p.band < rows:
                        stream(x, (bottom - top) * p.sy * line)
                    grad_row, grad_panel = row, p.panel * item
                    if p.packed != 0:
                        # The gradient as a matrix (pixels, filters): a panel is a part of it that may extend beyond the
                        # right edge. Elements of the next group end up in lanes that are not stored.
                        packed = p.packed + thread * p.packed_step
                        grad_row, grad_panel = grad_panel, pixels * grad_panel
                        for panel in range(-(-width // p.panel)):
                            place = 0, pixels, group * width + panel * p.panel, p.panel
                            call(p.border, (packed + panel * grad_panel, grad, pixels, p.filters, item, item, *place))
                        grad = packed
                    else:
                        grad += group * width * item
                    begun = image % p.lane > 0 or top > 0
                    unit = first
                    while unit < last:
                        (i, j, c), count, above, below = run_from(p, unit, last, (top, bottom), height, begun)
                        out = p.out + ((lane + unit) * p.filters + group * width) * item
                        if above < below:
                            call(
                                p.product,
                                (
                                    out,
                                    row,
                                    out if begun else 0,
                                    row,
                                    count,
                                    width,
                                    x + ((above - top) * p.sy + i * p.dy) * line + j * p.dx * pixel + c * item,
                                    item,
                                    p.sx * pixel,
                                    p.sy * line,
                                    grad + (above - top) * p.columns * grad_row,
                                    grad_row,
                                    grad_panel,
                                    p.columns * grad_row,
                                    p.columns,
                                    below - above,
                                ),
                            )
                        unit += count

    return weight


@worker(FILL)
def fill_worker(real):
    """Fill some elements with the bias, or zeros, which may be bfloat16."""
    item, real = real.bitwidth // 8, computed(real)

    def fill(parameters, start, stop, thread):
        p = fields(parameters, FILL)
        if p.bias == 0:
            clear(p.out + start * item, (stop - start) * item)
        else:
            out, bias = view(p.out, p.size, real), view(p.bias, p.channels, real)
            for i in range(start, stop):
                out[i] = bias[i % p.channels]

    return fill
