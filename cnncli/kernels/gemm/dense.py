"""Dense layers: matrix products in which each element is one chain of fused multiply-adds."""

from typing import NamedTuple

from cnncli.kernels.batch.reduce import PARTIALS, Lanes, in_lanes, partial_sums
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.gemm.epilogue import EPILOGUE, PLAIN, Epilogue
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import call, clear, copy
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, fields, worker

GRAIN = 1 << 17
"""Minimum multiply-adds per chunk: a few microseconds."""
STRIP = 256
"""Rows of a panel packed at a time."""
PACKED = 512
"""Rows of a product from which on packing a right factor pays although it could be read in place: the hardware
prefetches contiguous data."""

WHOLE = Lanes(1, 1, 1)
"""A sum in a single lane."""

PRODUCT = block(
    "product a row_step step b b_row b_panel out rows images per_image columns lane row_tile column_tile "
    f"tile_panels {EPILOGUE}"
)
PACK = block("transpose x out groups taps_y taps_x rows columns panel group_step y_step x_step row_step column_step")


class Factor(NamedTuple):
    """The left factor of a product: element [r, k] lies `r · row_step + k · step` elements after `address`."""

    address: int
    row_step: int
    step: int


class Source(NamedTuple):
    """Matrices to pack: element [g, y, x, r, c] lies at `address` plus each index times its stride, in elements.

    Columns or rows have stride 1.
    """

    address: int
    sizes: tuple[int, int, int, int, int]
    steps: tuple[int, int, int, int, int]


class Panels(NamedTuple):
    """The right factor of products, packed in panels of two vectors; strides in bytes.

    Row r of panel q of matrix [g, y, x] lies at `address + g · group + q · panel + y · tap_y + x · tap_x + r · row`.
    """

    address: int
    group: int
    panel: int
    tap_y: int
    tap_x: int
    row: int


def forward(x: Tensor, kernel: Tensor, epilogue: Epilogue, out: Tensor, scratch: Scratch) -> list[Step]:
    """out = f(x · kernel + bias). x: real (N, ..., in); kernel: (in, units); bias: (units,); out: (N, ..., units).

    Each element starts from its bias and accumulates over the inputs in order; f and the bias are the epilogue's. An
    activation with slopes follows the product: calls for the short rows of its tiles would take longer.
    """
    inputs, units = kernel.shape
    before, panels = right(kernel, x.size // inputs, scratch)
    size = (x.size // inputs, inputs, units)
    factor = Factor(x.address, inputs, 1)
    within = epilogue if epilogue.slopes is None else Epilogue(epilogue.bias)
    product = _product(x.dtype, factor, panels, size, out.address, epilogue=within)
    before = [step._replace(work=step.work._replace(constant=True)) for step in before]
    return [*before, product, *([] if within is epilogue else epilogue.activated(out))]


def grad_input(grad: Tensor, kernel: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
    """out = grad · kernelᵀ. grad: real (N, ..., units); kernel: (in, units); out: (N, ..., in)."""
    inputs, units = kernel.shape
    turned = Source(kernel.address, (1, 1, 1, units, inputs), (0, 0, 0, 1, units))
    before, panels = pack(turned, kernel.dtype, scratch)
    size = (grad.size // units, units, inputs)
    return [before, _product(grad.dtype, Factor(grad.address, units, 1), panels, size, out.address)]


def grad_weight(x: Tensor, grad: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
    """out = xᵀ · grad, summed over the batch. x: real (N, ..., in); grad: (N, ..., units); out: (in, units).

    The batch is split into partial sums only if there are fewer than 8 inputs to parallelize over.
    """
    inputs, units = out.shape
    batch, rows = x.shape[0], x.size // inputs
    parts = in_lanes(batch, most=max(1, PARTIALS // inputs))
    before, panels = right(grad._replace(shape=(rows, units)), inputs, scratch)
    target, after = partial_sums(out, parts, scratch)
    size = (inputs, rows, units)
    factor = Factor(x.address, 1, inputs)
    return [*before, _product(x.dtype, factor, panels, size, target, lanes=parts), *after]


def right(matrix: Tensor, uses: int, scratch: Scratch) -> tuple[list[Step], Panels]:
    """Return `matrix`, real (rows, columns), as right factor of a product with `uses` rows; packed if faster."""
    rows, columns = matrix.shape
    lanes, panel, *_ = microkernel.family(matrix.dtype)
    if columns % lanes == 0 and not (columns > panel and uses >= PACKED):
        item = bytes_of(matrix.dtype)
        return [], Panels(matrix.address, 0, panel * item, 0, 0, columns * item)
    step, panels = pack(Source(matrix.address, (1, 1, 1, rows, columns), (0, 0, 0, columns, 1)), matrix.dtype, scratch)
    return [step], panels


def pack(source: Source, dtype: str, scratch: Scratch) -> tuple[Step, Panels]:
    """Return the step that packs `source` into panels in scratch, zero-padded to whole panels."""
    groups, taps_y, taps_x, rows, columns = source.sizes
    panel, item = microkernel.family(dtype).panel, bytes_of(dtype)
    count, length = -(-columns // panel), taps_y * taps_x * rows
    out = scratch.take(groups * count * length * panel * item)
    names = "group_step", "y_step", "x_step", "row_step", "column_step"
    step = pack_worker.step(
        dtype,
        groups * count * -(-length // STRIP),
        transpose=microkernel.family(dtype).transpose,
        x=source.address,
        out=out,
        groups=groups,
        taps_y=taps_y,
        taps_x=taps_x,
        rows=rows,
        columns=columns,
        panel=panel,
        **dict(zip(names, source.steps, strict=True)),
    )
    row = panel * item
    return step, Panels(out, count * length * row, length * row, taps_x * rows * row, rows * row, row)


def _product(
    dtype: str,
    a: Factor,
    b: Panels,
    size: tuple[int, int, int],
    out: int,
    *,
    epilogue: Epilogue = PLAIN,
    lanes: Lanes = WHOLE,
) -> Step:
    """out (rows, columns) = a (rows, inner) · b (inner, columns), with epilogue; size: (rows, inner, columns).

    `inner` is split at image boundaries into the partial sums of `lanes`, which are stored consecutively in `out`.
    """
    rows, inner, columns = size
    _, panel, product, *_ = microkernel.family(dtype)
    cost = inner + 16  # Writing an element costs about as much as 16 multiply-adds.
    column_tile = panel * max(1, min(-(-columns // panel), GRAIN // (cost * panel * min(rows, 32))))
    row_tiles = max(1, min(rows // 24, rows * cost * column_tile // GRAIN))
    row_tile = -(-rows // row_tiles)
    return product_worker.step(
        dtype,
        lanes.number * -(-rows // row_tile) * -(-columns // column_tile),
        product=product,
        a=a.address,
        row_step=a.row_step,
        step=a.step,
        b=b.address,
        b_row=b.row,
        b_panel=b.panel,
        out=out,
        rows=rows,
        images=lanes.batch,
        per_image=inner // lanes.batch,
        columns=columns,
        lane=lanes.images,
        row_tile=row_tile,
        column_tile=column_tile,
        tile_panels=column_tile // panel,
        **epilogue.fields(dtype),
    )


@worker(PRODUCT)
def product_worker(real):
    """Compute a tile of rows and columns of one partial product."""
    item = real.bitwidth // 8

    def product(parameters, chunk, _, thread):
        p = fields(parameters, PRODUCT)
        column_tiles = -(-p.columns // p.column_tile)
        tile = chunk % column_tiles
        left = tile * p.column_tile
        row_tiles = -(-p.rows // p.row_tile)
        top = chunk // column_tiles % row_tiles * p.row_tile
        part = chunk // column_tiles // row_tiles
        first = part * p.lane * p.per_image
        last = min(p.images, (part + 1) * p.lane) * p.per_image
        out, step = p.out + ((part * p.rows + top) * p.columns + left) * item, p.columns * item
        rows, columns = min(p.row_tile, p.rows - top), min(p.column_tile, p.columns - left)
        call(
            p.product,
            (
                out,
                step,
                p.bias + left * item if p.bias != 0 else 0,
                0,
                rows,
                columns,
                p.a + (top * p.row_step + first * p.step) * item,
                p.row_step * item,
                p.step * item,
                0,
                p.b + first * p.b_row + tile * p.tile_panels * p.b_panel,
                p.b_row,
                p.b_panel,
                0,
                last - first,
                1,
            ),
        )
        if p.after != 0:
            for row in range(rows):
                call(p.after, (out + row * step, 0, columns))

    return product


@worker(PACK)
def pack_worker(real):
    """Pack a strip of rows of one panel; (taps_y, taps_x, rows) is treated as one axis."""
    item = real.bitwidth // 8

    def pack(parameters, chunk, _, thread):
        p = fields(parameters, PACK)
        panels, length = -(-p.columns // p.panel), p.taps_y * p.taps_x * p.rows
        strips = -(-length // STRIP)
        strip, panel, group = chunk % strips, chunk // strips % panels, chunk // strips // panels
        left = panel * p.panel
        width = min(p.panel, p.columns - left)
        line, last = strip * STRIP, min(length, (strip + 1) * STRIP)
        while line < last:
            tap, row = line // p.rows, line % p.rows
            count = min(last - line, p.rows - row)
            offset = group * p.group_step + tap // p.taps_x * p.y_step + tap % p.taps_x * p.x_step + row * p.row_step
            out = p.out + ((group * panels + panel) * length + line) * p.panel * item
            x = p.x + (offset + left * p.column_step) * item
            if p.column_step != 1:
                call(p.transpose, (out, p.panel * item, x, p.column_step * item, count, width))
            for r in range(count):
                if p.column_step == 1:
                    copy(out + r * p.panel * item, x + r * p.row_step * item, width * item)
                clear(out + (r * p.panel + width) * item, (p.panel - width) * item)
            line += count

    return pack
