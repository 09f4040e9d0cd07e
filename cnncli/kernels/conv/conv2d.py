"""Convolution (cross-correlation, as in Keras), channels last, with strides, padding, dilation and groups.

Each output element is one chain of fused multiply-adds in the order (kh, kw, in). The gradients are in
`conv2d_gradient`.

A row of output pixels is a sum over kh of matrix products. The left factor is a view of the image: its row for each
pixel holds the kw · in elements under one kernel row, which are contiguous, so no im2col copy is needed. With padding
or several groups, each chunk first copies its input into thread-local scratch, zero-padded and with each group's
channels contiguous.

Images of bfloat16 are multiplied in pairs of channels (`gemm.bfloat16`) by kernels that are rounded when packed; with
an output of bfloat16, a block of rows is summed in thread-local scratch, and rounded after the epilogue.
"""

from typing import NamedTuple

from cnncli.kernels.conv import pointwise
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.gemm.dense import GRAIN, ROUNDING, Panels, Source, pack, rounding, shares
from cnncli.kernels.gemm.epilogue import EPILOGUE, PLAIN, Epilogue
from cnncli.kernels.jit.dtypes import bytes_of, dtype_of_sums
from cnncli.kernels.jit.intrinsics import call
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, fields, images, worker

IMAGE = "x batch height width channels groups rows columns filters kh kw sy sx top left dy dx"
COPY = "border copied scratch scratch_step"
CORRELATE = block(
    f"product limited limits out out_image out_row out_column b b_row b_panel b_group tap_y tap_x blocks {IMAGE} "
    f"{COPY} {EPILOGUE} {ROUNDING}"
)

PACKED = 16
"""Output pixels from which on packing a kernel pays although it could be read in place: a packed one is contiguous, and
packed once for all predictions."""
FEW = 4
"""Images from which on blocks of an image need not be small to occupy all threads."""


class Grid(NamedTuple):
    """Output pixels: images, rows, columns, channels, the address of the first one, dtype, and the strides in bytes."""

    sizes: tuple[int, int, int, int]
    address: int
    dtype: str
    image: int
    row: int
    column: int


def forward(
    x: Tensor, kernel: Tensor, epilogue: Epilogue, out: Tensor, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """out = f(x ∗ kernel + bias). x: real (N, H, W, C); kernel: (kh, kw, C/groups, F); out: (N, OH, OW, F).

    Each element starts from its bias; f and the bias are the epilogue's. x and out may be bfloat16, or x alone;
    C/groups must then be even.
    """
    filters = kernel.shape[3]
    before, panels = packed(kernel, x.dtype, geometry.groups, out.size // filters, scratch)
    column = filters * bytes_of(out.dtype)
    row = out.shape[2] * column
    grid = Grid(out.shape, out.address, out.dtype, out.shape[1] * row, row, column)  # type: ignore[arg-type]
    return [*before, correlate(x, panels, kernel.shape[:2], grid, geometry, scratch, epilogue)]  # type: ignore[arg-type]


def packed(kernel: Tensor, dtype: str, groups: int, pixels: int, scratch: Scratch) -> tuple[list[Step], Panels]:
    """Return `kernel`, real (kh, kw, C/groups, F), as right factor of a product with `pixels`; packed if faster.

    `dtype`: that of the images.
    """
    kh, kw, channels, filters = kernel.shape
    width, item = filters // groups, bytes_of(kernel.dtype)
    lanes, panel, *_ = microkernel.family(dtype)
    if dtype == "bfloat16" or width % lanes or (width > panel and pixels >= PACKED):
        steps = (width, kw * channels * filters, channels * filters, filters, 1)
        step, panels = pack(Source(kernel.address, (groups, kh, kw, channels, width), steps), dtype, scratch)
        return [step], panels
    row = filters * item
    tap = channels * row
    return [], Panels(kernel.address, width * item, panel * item, kw * tap, tap, row)


def correlate(
    x: Tensor,
    kernel: Panels,
    taps: tuple[int, int],
    out: Grid,
    geometry: Geometry,
    scratch: Scratch,
    epilogue: Epilogue = PLAIN,
) -> Step:
    """`forward` with a packed kernel into a strided grid; chunks are blocks of rows of an image, or several images.

    An activation requires a contiguous grid.
    """
    batch, rows, columns, filters = out.sizes
    work = rows * columns * filters * taps[0] * taps[1] * (x.shape[3] // geometry.groups)
    blocks = shares(rows, work, GRAIN if batch < FEW else 2 * GRAIN)
    # Pixels of the output are equally far apart, also from one row to the next.
    uniform = out.row == columns * out.column and x.shape[1:3] == (rows, columns)
    if taps == (1, 1) and geometry == Geometry((1, 1), (0, 0)) and uniform and out.image == rows * out.row:
        if x.dtype != "bfloat16" and out.column == filters * bytes_of(out.dtype):
            return pointwise.correlate(x, kernel, filters, out.address, epilogue)
        # A 1×1 kernel does not depend on rows: merge them into fewer, longer products.
        blocks = max(count for count in range(1, blocks + 1) if rows % count == 0)
        rows, columns = blocks, rows // blocks * columns
        x = x._replace(shape=(batch, rows, columns, x.shape[3]))
    together = 1 if blocks > 1 else max(1, GRAIN // work)
    lines = -(-rows // blocks)
    limits = epilogue.limits(x.dtype) if x.dtype != "bfloat16" else 0
    if limits:
        epilogue = epilogue._replace(activation="linear")
    size = lines * columns * filters
    return correlate_worker.step(
        x.dtype,
        images(batch, together, blocks),
        product=microkernel.family(x.dtype).product,
        limited=microkernel.family(x.dtype).limited,
        limits=limits,
        out=out.address,
        out_image=out.image,
        out_row=columns * out.column if uniform else out.row,
        out_column=out.column,
        b=kernel.address,
        b_row=kernel.row,
        b_panel=kernel.panel,
        b_group=kernel.group,
        tap_y=kernel.tap_y,
        tap_x=kernel.tap_x,
        blocks=blocks,
        **image_fields(x, taps, (rows, columns, filters), lines, geometry, scratch),
        **epilogue.fields(dtype_of_sums(x.dtype)),
        **rounding(x.dtype, out.dtype, size, scratch, slopes=epilogue.slopes is not None),
    )


def image_fields(
    x: Tensor,
    taps: tuple[int, ...],
    out: tuple[int, int, int],
    lines: int,
    geometry: Geometry,
    scratch: Scratch,
) -> dict[str, int]:
    """Return the fields of IMAGE and COPY; if the image is copied, with scratch for `lines` rows of output."""
    _, height, width, channels = x.shape
    (sy, sx), (top, left), (dy, dx), groups = geometry
    rows, columns, _ = out
    reach_y, reach_x = (taps[0] - 1) * dy + 1, (columns - 1) * sx + (taps[1] - 1) * dx + 1
    inside = (top, left) == (0, 0) and (rows - 1) * sy + reach_y <= height and reach_x <= width
    place, step, copied = 0, 0, not inside or groups > 1
    if copied:
        size = ((lines - 1) * sy + reach_y) * reach_x * (channels // groups) * bytes_of(x.dtype)
        place, step = scratch.per_thread(size)
    values = (x.address, *x.shape, groups, *out, *taps, sy, sx, top, left, dy, dx)
    copy = microkernel.family(x.dtype).border, int(copied), place, step
    return dict(zip(f"{IMAGE} {COPY}".split(), (*values, *copy), strict=True))


@worker(CORRELATE)
def correlate_worker(real):
    """Process blocks of rows of images."""
    item, cell = real.bitwidth // 8, computed(real).bitwidth // 8
    terms = cell // item

    def correlate_blocks(parameters, start, stop, thread):
        p = fields(parameters, CORRELATE)
        inner, width = p.channels // p.groups, p.filters // p.groups
        copied_columns = (p.columns - 1) * p.sx + (p.kw - 1) * p.dx + 1
        pixel = (inner if p.copied else p.channels) * item
        line = (copied_columns if p.copied else p.width) * pixel
        # One run over (kw, in) if adjacent taps read adjacent pixels; otherwise one run over `in` per tap.
        whole = p.dx == 1 or p.kw == 1
        for unit in range(start, stop):
            image, block = unit // p.blocks, unit % p.blocks
            first, last = block * p.rows // p.blocks, (block + 1) * p.rows // p.blocks
            copied_rows = (last - 1 - first) * p.sy + (p.kh - 1) * p.dy + 1
            written = p.out + image * p.out_image + first * p.out_row
            if p.narrow != 0:
                sums, column = p.sums + thread * p.sums_step, p.filters * cell
                line_of_sums = p.columns * column
            else:
                sums, line_of_sums, column = written, p.out_row, p.out_column
            for group in range(p.groups):
                x = p.x + (image * p.height * p.width * p.channels + group * inner) * item
                if p.copied:
                    target = p.scratch + thread * p.scratch_step
                    image_part = first * p.sy - p.top, copied_rows, -p.left, copied_columns
                    call(p.border, (target, x, p.height, p.width, p.channels * item, pixel, *image_part))
                    x = target
                else:
                    x += first * p.sy * line
                bias = p.bias + group * width * cell if p.bias != 0 else 0
                b = p.b + group * p.b_group
                for row in range(first, last):
                    out = sums + (row - first) * line_of_sums + group * width * cell
                    above = x + (row - first) * p.sy * line
                    # Skip taps on zero rows, but keep at least one, because the bias must be written.
                    y = row * p.sy - p.top
                    tap, end = max(0, -(y // p.dy)), min(p.kh, (p.height - 1 - y) // p.dy + 1)
                    if tap >= end:
                        tap, end = 0, 1
                    stop = tap + 1 if whole else end
                    for i in range(tap, stop):
                        factors = (
                            out,
                            column,
                            bias if i == tap else out,
                            0 if i == tap else column,
                            p.columns,
                            width,
                            above + i * p.dy * line,
                            p.sx * pixel,
                            cell,
                            p.dy * line if whole else p.dx * pixel,
                            b + i * p.tap_y,
                            p.b_row,
                            p.b_panel,
                            p.tap_y if whole else p.tap_x,
                            (p.kw * inner if whole else inner) // terms,
                            end - tap if whole else p.kw,
                        )
                        if p.limits != 0 and i == stop - 1:
                            call(p.limited, (*factors, p.limits))
                        else:
                            call(p.product, factors)
            count = (last - first) * p.columns * p.filters
            if p.after != 0:
                slopes = sums + p.beside if p.narrow != 0 else p.slopes + written - p.out
                call(p.after, (sums, slopes, count))
            if p.narrow != 0:
                if p.out_row == p.columns * p.out_column and p.out_column == p.filters * item:
                    call(p.narrow, (written, 0, sums, 0, 1, count))
                else:
                    for row in range(last - first):
                        out, x = written + row * p.out_row, sums + row * line_of_sums
                        call(p.narrow, (out, p.out_column, x, column, p.columns, p.filters))
                if p.slopes != 0:
                    call(p.narrow, (p.slopes + written - p.out, 0, sums + p.beside, 0, 1, count))

    return correlate_blocks
