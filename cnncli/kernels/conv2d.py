"""Convolution (cross-correlation, as Keras has it), channels last, with strides, padding, dilation and groups.

Each output element is one chain of fused multiply-adds: in the order (kh, kw, in) for the forward pass, in that order
over the flipped kernel (kh, kw, filters) for the input gradient, over (image, row, column) for the weight gradient.

A row of output pixels is a sum over kh of products of the image, seen as a matrix whose row for each pixel are the
kw · in numbers under the kernel's row, with that row of the kernel: they lie one after the other, so nothing is
gathered. Where there is padding, or several groups, a chunk first copies what it reads of an image into scratch of its
thread, with zeros around it and a group's channels together.
"""

from collections.abc import Iterator
from math import gcd
from typing import NamedTuple

from cnncli.kernels import dense, microkernel
from cnncli.kernels.dense import GRAIN, PACKED, Panels, Source, pack
from cnncli.kernels.epilogue import EPILOGUE, PLAIN, Epilogue
from cnncli.kernels.intrinsics import call, clear
from cnncli.kernels.reduce import ITEM, PARTIALS, partial_sums, weight_partials
from cnncli.kernels.runtime import Scratch, Step, Tensor, block, chunks, fields, span, worker

IMAGE = "x batch height width channels groups rows columns filters kh kw sy sx top left dy dx"
COPY = "border copied scratch scratch_step"
CORRELATE = block(
    f"product out out_image out_row out_column b b_row b_panel b_group tap_y tap_x blocks images {IMAGE} {COPY} "
    f"{EPILOGUE}"
)
WEIGHT = block(f"product grad out partials tiles panel packed packed_step {IMAGE} {COPY}")
CLEAR = block("out size")


class Geometry(NamedTuple):
    """How a kernel lies on an image; pairs are (vertical, horizontal).

    `padding` counts the zero rows above and zero columns left of the image; those below and on the right follow from
    the shape of the output.
    """

    strides: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


class Grid(NamedTuple):
    """Output pixels: images, rows, columns, channels, and in bytes the first's address and the strides."""

    sizes: tuple[int, int, int, int]
    address: int
    image: int
    row: int
    column: int


class Phase(NamedTuple):
    """Every s-th pixel of one axis of an input gradient: a correlation with every s-th tap or so, with stride 1."""

    first: int
    pixels: int
    last_tap: int
    taps: int
    tap_step: int
    padding: int
    dilation: int


def forward(
    x: Tensor, kernel: Tensor, epilogue: Epilogue, out: Tensor, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """out = f(x ∗ kernel + bias). x: real (N, H, W, C); kernel: (kh, kw, C/groups, F); out: (N, OH, OW, F).

    Each element starts from its bias; f and the bias are the epilogue's.
    """
    kh, kw, channels, filters = kernel.shape
    width, item = filters // geometry.groups, ITEM[kernel.dtype]
    lanes, panel, *_ = microkernel.family(kernel.dtype)
    pixels = out.size // filters
    if _pointwise(kernel, geometry):
        return dense.forward(x, kernel._replace(shape=(channels, filters)), epilogue, out, scratch)
    if width % lanes or (width > panel and pixels >= PACKED):
        steps = (width, kw * channels * filters, channels * filters, filters, 1)
        source = Source(kernel.address, (geometry.groups, kh, kw, channels, width), steps)
        step, panels = pack(source, kernel.dtype, scratch)
        before = [step]
    else:
        before, row = [], filters * item
        tap = channels * row
        panels = Panels(kernel.address, width * item, panel * item, kw * tap, tap, row)
    row = out.shape[2] * filters * item
    grid = Grid(out.shape, out.address, out.shape[1] * row, row, filters * item)  # type: ignore[arg-type]
    return [*before, _correlate(x, panels, (kh, kw), grid, geometry, scratch, epilogue)]


def grad_input(grad: Tensor, kernel: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """The adjoint of `forward` in x. grad: real (N, OH, OW, F); kernel: (kh, kw, C/groups, F); out: (N, H, W, C).

    It is the correlation of the gradient, its pixels spread `strides` apart, with the flipped kernel, input channels
    and filters exchanged (Dumoulin & Visin 2016, section 4). Pixels that lie a stride apart meet the same taps, and
    only gradients, none of the zeros between them: each such phase is a correlation of its own. Pixels that no tap
    reaches get zero.
    """
    kh, kw, channels, filters = kernel.shape
    if _pointwise(kernel, geometry):
        return dense.grad_input(grad, kernel._replace(shape=(channels, filters)), out, scratch)
    batch, height, width, depth = out.shape
    (sy, sx), (top, left), (dy, dx), groups = geometry
    item = ITEM[out.dtype]
    rows, columns = list(_phases(kh, sy, top, dy, height)), list(_phases(kw, sx, left, dx, width))
    steps = []
    if any(phase.taps == 0 for phase in rows + columns):
        steps.append(clear_worker.step(out.dtype, chunks(out.size), out=out.address, size=out.size))
    for y in rows:
        for x in columns:
            if y.taps == 0 or x.taps == 0:
                continue
            address = kernel.address + (y.last_tap * kw + x.last_tap) * channels * filters * item
            sizes = (groups, y.taps, x.taps, filters // groups, channels)
            tap = channels * filters
            strides = (filters // groups, -y.tap_step * kw * tap, -x.tap_step * tap, 1, filters)
            step, panels = pack(Source(address, sizes, strides), out.dtype, scratch)
            grid = Grid(
                (batch, y.pixels, x.pixels, depth),
                out.address + (y.first * width + x.first) * depth * item,
                height * width * depth * item,
                sy * width * depth * item,
                sx * depth * item,
            )
            turned = Geometry((1, 1), (y.padding, x.padding), (y.dilation, x.dilation), groups)
            steps += [step, _correlate(grad, panels, (y.taps, x.taps), grid, turned, scratch)]
    return steps


def grad_weight(x: Tensor, grad: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """The adjoint of `forward` in the kernel, summed over the batch.

    x: real (N, H, W, C); grad: (N, OH, OW, F); out: (kh, kw, C/groups, F).
    """
    batch, rows, columns, filters = grad.shape
    if _pointwise(out, geometry):
        return dense.grad_weight(x, grad, out._replace(shape=out.shape[2:]), scratch)
    partials = weight_partials(batch, out.size)
    tiles = max(1, min(out.size // filters // 24, 2 * PARTIALS // partials))
    target, after = partial_sums(out, partials, scratch)
    lanes, panel, product, *_ = microkernel.family(x.dtype)
    width = filters // geometry.groups
    packed, step = 0, 0
    if width % lanes:
        packed, step = scratch.per_thread(rows * columns * -(-width // panel) * panel * ITEM[x.dtype])
    weight = weight_worker.step(
        x.dtype,
        partials * tiles,
        product=product,
        grad=grad.address,
        out=target,
        partials=partials,
        tiles=tiles,
        panel=panel,
        packed=packed,
        packed_step=step,
        **_image(x, out.shape[:2], (rows, columns, filters), rows, geometry, scratch),
    )
    return [weight, *after]


def _pointwise(kernel: Tensor, geometry: Geometry) -> bool:
    """Whether each pixel goes through the same dense layer."""
    return (*kernel.shape[:2], *geometry.strides, geometry.groups) == (1, 1, 1, 1, 1) and geometry.padding == (0, 0)


def _phases(taps: int, stride: int, padding: int, dilation: int, size: int) -> Iterator[Phase]:
    """The phases of one axis of `size` pixels. Pixel y meets tap i where stride divides y + padding - i · dilation."""
    common = gcd(stride, dilation)
    for first in range(min(stride, size)):
        met = [i for i in range(taps) if (first + padding - i * dilation) % stride == 0]
        last = met[-1] if met else 0
        before = (last * dilation - first - padding) // stride
        yield Phase(first, -(-(size - first) // stride), last, len(met), stride // common, before, dilation // common)


def _correlate(
    x: Tensor,
    kernel: Panels,
    taps: tuple[int, int],
    out: Grid,
    geometry: Geometry,
    scratch: Scratch,
    epilogue: Epilogue = PLAIN,
) -> Step:
    """`forward` with a kernel in panels onto a grid; chunks are blocks of rows of an image, or several images.

    An activation needs a grid without gaps.
    """
    batch, rows, columns, filters = out.sizes
    work = rows * columns * filters * taps[0] * taps[1] * (x.shape[3] // geometry.groups)
    blocks = min(rows, max(1, work // (2 * GRAIN)))
    images = 1 if blocks > 1 else max(1, GRAIN // work)
    return correlate_worker.step(
        x.dtype,
        -(-batch // images) * blocks,
        product=microkernel.family(x.dtype).product,
        out=out.address,
        out_image=out.image,
        out_row=out.row,
        out_column=out.column,
        b=kernel.address,
        b_row=kernel.row,
        b_panel=kernel.panel,
        b_group=kernel.group,
        tap_y=kernel.tap_y,
        tap_x=kernel.tap_x,
        blocks=blocks,
        images=images,
        **_image(x, taps, (rows, columns, filters), -(-rows // blocks), geometry, scratch),
        **epilogue.fields(x.dtype),
    )


def _image(
    x: Tensor,
    taps: tuple[int, ...],
    out: tuple[int, int, int],
    lines: int,
    geometry: Geometry,
    scratch: Scratch,
) -> dict[str, int]:
    """The fields of IMAGE and COPY: an image, what lies on it, scratch for `lines` rows of output if it is copied."""
    _, height, width, channels = x.shape
    (sy, sx), (top, left), (dy, dx), groups = geometry
    rows, columns, _ = out
    reach_y, reach_x = (taps[0] - 1) * dy + 1, (columns - 1) * sx + (taps[1] - 1) * dx + 1
    inside = (top, left) == (0, 0) and (rows - 1) * sy + reach_y <= height and reach_x <= width
    place, step = 0, 0
    if not inside or groups > 1:
        size = ((lines - 1) * sy + reach_y) * reach_x * (channels // groups) * ITEM[x.dtype]
        place, step = scratch.per_thread(size)
    values = (x.address, *x.shape, groups, *out, *taps, sy, sx, top, left, dy, dx)
    copy = microkernel.family(x.dtype).border, int(step > 0), place, step
    return dict(zip(f"{IMAGE} {COPY}".split(), (*values, *copy), strict=True))


@worker(CORRELATE)
def correlate_worker(real):
    """A block of rows of one image, or all of some images."""
    item = real.bitwidth // 8

    def correlate(parameters, chunk, thread):
        p = fields(parameters, CORRELATE)
        inner, width = p.channels // p.groups, p.filters // p.groups
        block, part = chunk % p.blocks, chunk // p.blocks
        first, last = block * p.rows // p.blocks, (block + 1) * p.rows // p.blocks
        copied_columns = (p.columns - 1) * p.sx + (p.kw - 1) * p.dx + 1
        copied_rows = (last - 1 - first) * p.sy + (p.kh - 1) * p.dy + 1
        pixel = (inner if p.copied else p.channels) * item
        line = (copied_columns if p.copied else p.width) * pixel
        # One run over (kw, in) where neighbouring taps read neighbouring pixels; a run over `in` a tap elsewhere.
        whole = p.dx == 1 or p.kw == 1
        for image in range(part * p.images, min(p.batch, (part + 1) * p.images)):
            for group in range(p.groups):
                x = p.x + (image * p.height * p.width * p.channels + group * inner) * item
                if p.copied:
                    target = p.scratch + thread * p.scratch_step
                    image_part = first * p.sy - p.top, copied_rows, -p.left, copied_columns
                    call(p.border, (target, x, p.height, p.width, p.channels * item, pixel, *image_part))
                    x = target
                else:
                    x += first * p.sy * line
                bias = p.bias + group * width * item if p.bias != 0 else 0
                b = p.b + group * p.b_group
                for row in range(first, last):
                    out = p.out + image * p.out_image + row * p.out_row + group * width * item
                    above = x + (row - first) * p.sy * line
                    # Taps on rows of zeros are left out; where all are, one is kept, for the bias has to be written.
                    y = row * p.sy - p.top
                    start, stop = max(0, -(y // p.dy)), min(p.kh, (p.height - 1 - y) // p.dy + 1)
                    if start >= stop:
                        start, stop = 0, 1
                    for i in range(start, start + 1 if whole else stop):
                        call(
                            p.product,
                            (
                                out,
                                p.out_column,
                                bias if i == start else out,
                                0 if i == start else p.out_column,
                                p.columns,
                                width,
                                above + i * p.dy * line,
                                p.sx * pixel,
                                item,
                                p.dy * line if whole else p.dx * pixel,
                                b + i * p.tap_y,
                                p.b_row,
                                p.b_panel,
                                p.tap_y if whole else p.tap_x,
                                p.kw * inner if whole else inner,
                                stop - start if whole else p.kw,
                            ),
                        )
            if p.after != 0:
                written = p.out + image * p.out_image + first * p.out_row
                call(p.after, (written, 0, (last - first) * p.columns * p.filters))

    return correlate


@worker(WEIGHT)
def weight_worker(real):
    """Some (kh, kw, in) rows of one partial sum; each image adds one run over its pixels."""
    item = real.bitwidth // 8

    def weight(parameters, chunk, thread):
        p = fields(parameters, WEIGHT)
        inner, width = p.channels // p.groups, p.filters // p.groups
        part, tile = chunk // p.tiles, chunk % p.tiles
        units = p.kh * p.kw * inner
        first, last = tile * units // p.tiles, (tile + 1) * units // p.tiles
        copied_columns = (p.columns - 1) * p.sx + (p.kw - 1) * p.dx + 1
        copied_rows = (p.rows - 1) * p.sy + (p.kh - 1) * p.dy + 1
        pixel = (inner if p.copied else p.channels) * item
        line = (copied_columns if p.copied else p.width) * pixel
        # Rows of the sum that lie one after the other in the image: those of a kernel row, or those of a tap.
        run = p.kw * inner if p.dx == 1 or p.kw == 1 else inner
        start, stop = part * p.batch // p.partials, (part + 1) * p.batch // p.partials
        for image in range(start, stop):
            for group in range(p.groups):
                x = p.x + (image * p.height * p.width * p.channels + group * inner) * item
                if p.copied:
                    target = p.scratch + thread * p.scratch_step
                    image_part = -p.top, copied_rows, -p.left, copied_columns
                    call(p.border, (target, x, p.height, p.width, p.channels * item, pixel, *image_part))
                    x = target
                pixels = p.rows * p.columns
                grad = p.grad + (image * pixels * p.filters + group * width) * item
                grad_row, grad_panel = p.filters * item, p.panel * item
                if p.packed_step != 0:
                    # The gradient as an image of (pixels, filters): a panel is a part of it that may reach beyond its
                    # right side. What it has of the next group ends in lanes that are not stored.
                    grad = p.packed + thread * p.packed_step
                    grad_row, grad_panel = p.panel * item, pixels * p.panel * item
                    whole = p.grad + image * pixels * p.filters * item
                    for panel in range(-(-width // p.panel)):
                        place = 0, pixels, group * width + panel * p.panel, p.panel
                        call(p.border, (grad + panel * grad_panel, whole, pixels, p.filters, item, item, *place))
                unit = first
                while unit < last:
                    tap = unit // inner
                    i, j, c = tap // p.kw, tap % p.kw, unit % inner
                    count = min(last, (unit // run + 1) * run) - unit
                    # Only rows of output for which this tap lies on the image; where there is none, zeros are written.
                    y = i * p.dy - p.top
                    above, below = max(0, -(y // p.sy)), min(p.rows, (p.height - 1 - y) // p.sy + 1)
                    if above >= below:
                        above, below = 0, 1
                    out = p.out + ((part * units + unit) * p.filters + group * width) * item
                    call(
                        p.product,
                        (
                            out,
                            p.filters * item,
                            0 if image == start else out,
                            p.filters * item,
                            count,
                            width,
                            x + (above * p.sy + i * p.dy) * line + j * p.dx * pixel + c * item,
                            item,
                            p.sx * pixel,
                            p.sy * line,
                            grad + above * p.columns * grad_row,
                            grad_row,
                            grad_panel,
                            p.columns * grad_row,
                            p.columns,
                            below - above,
                        ),
                    )
                    unit += count

    return weight


@worker(CLEAR)
def clear_worker(real):
    """Zeros."""
    item = real.bitwidth // 8

    def zeros(parameters, chunk, thread):
        p = fields(parameters, CLEAR)
        start, stop = span(chunk, p.size)
        clear(p.out + start * item, (stop - start) * item)

    return zeros
