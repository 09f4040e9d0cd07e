"""Dense layers: matrix products in which each element is one chain of fused multiply-adds.

Factors stored as bfloat16 are multiplied in pairs (`gemm.bfloat16`): weights, which are float32, are rounded when they
are packed. Sums are float32; those for an output of bfloat16 stay in thread-local scratch until the epilogue is done.
"""

from collections.abc import Callable
from typing import NamedTuple

from cnncli.kernels.batch.reduce import PARTIALS, Lanes, in_lanes, partial_sums
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.gemm.epilogue import EPILOGUE, PLAIN, Epilogue
from cnncli.kernels.jit.dtypes import bytes_of, dtype_of_sums
from cnncli.kernels.jit.intrinsics import call, clear
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, fields, worker
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import Vector

GRAIN = 1 << 17
"""Minimum multiply-adds per chunk: a few microseconds."""
STRIP = 256
"""Rows of a panel packed at a time."""
PACKED = 512
"""Rows of a product from which on packing a right factor pays although it could be read in place: the hardware
prefetches contiguous data."""
LARGE = 1 << 24
"""Elements of a kernel up to which it is packed once for all predictions, however many rows these have: 64 MiB."""

WHOLE = Lanes(1, 1, 1)
"""A sum in a single lane."""

ROUNDING = "narrow sums sums_step beside"
"""A function that rounds sums, or 0; a thread's sums, and how many bytes after them their slopes are."""
PRODUCT = block(
    "product a row_step step b b_row b_panel out rows images per_image columns lane row_tile column_tile "
    f"tile_panels {EPILOGUE} {ROUNDING}"
)
PACK = block(
    "transpose pairs strip strip_step x out groups taps_y taps_x rows columns panel "
    "group_step y_step x_step row_step column_step"
)
INTERLEAVE = block("interleave x out rows lane columns width pairs strips")


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

    Row r, or pair r of rows of bfloat16, of panel q of matrix [g, y, x] lies at
    `address + g · group + q · panel + y · tap_y + x · tap_x + r · row`.
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

    x and out may be bfloat16, or x alone, here and in `grad_input`; `inputs` must then be even.
    """
    inputs, units = kernel.shape
    lasts = scratch.lasting and kernel.size <= LARGE
    packing, panels = right(kernel, x.dtype, max(x.size // inputs, PACKED if lasts else 0), scratch)
    before = [step._replace(work=step.work._replace(of_weights=True)) for step in packing]
    size = (x.size // inputs, inputs, units)
    factor = Factor(x.address, inputs, terms_of(x.dtype))
    within = epilogue if epilogue.slopes is None or out.dtype == "bfloat16" else Epilogue(epilogue.bias)
    product = _product(x.dtype, factor, panels, size, out, scratch, epilogue=within)
    return [*before, product, *([] if within is epilogue else epilogue.activated(out))]


def grad_input(grad: Tensor, kernel: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
    """out = grad · kernelᵀ. grad: real (N, ..., units); kernel: (in, units); out: (N, ..., in)."""
    inputs, units = kernel.shape
    turned = Source(kernel.address, (1, 1, 1, units, inputs), (0, 0, 0, 1, units))
    before, panels = pack(turned, grad.dtype, scratch)
    size = (grad.size // units, units, inputs)
    factor = Factor(grad.address, units, terms_of(grad.dtype))
    return [before, _product(grad.dtype, factor, panels, size, out, scratch)]


def grad_weight(x: Tensor, grad: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
    """out = xᵀ · grad, summed over the batch. x: real (N, ..., in); grad: (N, ..., units); out: (in, units).

    The batch is split into partial sums only if there are fewer than 8 inputs to parallelize over. x and grad may both
    be bfloat16; out is not.
    """
    inputs, units = out.shape
    batch, rows = x.shape[0], x.size // inputs
    parts = in_lanes(batch, most=max(1, PARTIALS // inputs))
    left, right_factor = x._replace(shape=(rows, inputs)), grad._replace(shape=(rows, units))
    if x.dtype == "bfloat16":
        first, panel = interleaved(left, parts, inputs, scratch)
        second, panels = interleaved(right_factor, parts, microkernel.family(x.dtype).panel, scratch)
        before, factor = [first, second], Factor(panel.address, 2, 2 * inputs)
    else:
        before, panels = right(right_factor, x.dtype, inputs, scratch)
        factor = Factor(x.address, 1, inputs)
    target, after = partial_sums(out, parts, scratch)
    product = _product(
        x.dtype, factor, panels, (inputs, rows, units), out._replace(address=target), scratch, lanes=parts
    )
    return [*before, product, *after]


def shares(most: int, work: int, grain: int) -> int:
    """Return into how many of at most `most` parts `work` multiply-adds are divided, at least `grain` in each.

    Several are an even number if possible: of three equal parts, one of two threads would compute two.
    """
    parts = max(1, min(most, work // grain))
    return min(most, parts + parts % 2) if parts > 1 else 1


def terms_of(dtype: str) -> int:
    """Return how many terms of a sum a step of the products of `dtype` adds."""
    return bytes_of(dtype_of_sums(dtype)) // bytes_of(dtype)


def rounding(dtype: str, out: str, size: int, scratch: Scratch, *, slopes: bool) -> dict[str, int]:
    """Return the fields of ROUNDING for factors of `dtype` and an output of dtype `out`.

    `size`: the elements of the output, and of its slopes, that a thread sums before they are rounded.
    """
    if out != "bfloat16":
        return dict.fromkeys(ROUNDING.split(), 0)
    beside = size * bytes_of("float32")
    sums, step = scratch.per_thread(beside * (2 if slopes else 1))
    return {"narrow": microkernel.family(dtype).narrow, "sums": sums, "sums_step": step, "beside": beside}


def right(matrix: Tensor, dtype: str, uses: int, scratch: Scratch) -> tuple[list[Step], Panels]:
    """Return `matrix`, real (rows, columns), as right factor of a product with `uses` rows; packed if faster.

    `dtype`: that of the left factor.
    """
    rows, columns = matrix.shape
    lanes, panel, *_ = microkernel.family(dtype)
    if dtype != "bfloat16" and columns % lanes == 0 and not (columns > panel and uses >= PACKED):
        item = bytes_of(matrix.dtype)
        return [], Panels(matrix.address, 0, panel * item, 0, 0, columns * item)
    step, panels = pack(Source(matrix.address, (1, 1, 1, rows, columns), (0, 0, 0, columns, 1)), dtype, scratch)
    return [step], panels


def pack(source: Source, dtype: str, scratch: Scratch) -> tuple[Step, Panels]:
    """Return the step that packs `source` into panels in scratch, zero-padded to whole panels.

    For bfloat16, the source is float32; pairs of its rows are packed. Raises ValueError for an odd number of rows.
    """
    groups, taps_y, taps_x, rows, columns = source.sizes
    panel, item = microkernel.family(dtype).panel, bytes_of(dtype)
    count, length = -(-columns // panel), taps_y * taps_x * rows
    terms = terms_of(dtype)
    if rows % terms:
        raise ValueError(f"products of bfloat16 sum pairs of terms; received {rows}")
    out = scratch.take(groups * count * length * panel * item)
    strip = scratch.per_thread(STRIP * panel * bytes_of("float32")) if terms > 1 else (0, 0)
    names = "group_step", "y_step", "x_step", "row_step", "column_step"
    step = pack_worker.step(
        dtype,
        groups * count * -(-length // STRIP),
        transpose=microkernel.family(dtype).transpose,
        pairs=microkernel.family(dtype).pairs,
        strip=strip[0],
        strip_step=strip[1],
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
    return step, Panels(out, count * length * row, length * row, taps_x * rows * row, rows * row, terms * row)


def interleaved(matrix: Tensor, lanes: Lanes, width: int, scratch: Scratch) -> tuple[Step, Panels]:
    """Return the step that packs pairs of rows of `matrix`, bfloat16 (rows, columns), into panels of `width` columns.

    The last row of a lane may be alone; its partner is 0. Columns of the last panel beyond the matrix are not written.
    """
    rows, columns = matrix.shape
    lane = lanes.images * (rows // lanes.batch)
    before, count = lanes.number - 1, -(-columns // width)
    pairs = before * -(-lane // 2) + -(-(rows - before * lane) // 2)
    # As in `partial_sums`, a smaller batch may have more lanes.
    row = width * bytes_of("float32")
    out = scratch.take((rows // 2 + lanes.most) * count * row)
    strips = max(1, -(-lane // STRIP))
    step = interleave_worker.step(
        matrix.dtype,
        lanes.number * strips,
        interleave=microkernel.family(matrix.dtype).interleave,
        x=matrix.address,
        out=out,
        rows=rows,
        lane=lane,
        columns=columns,
        width=width,
        pairs=pairs,
        strips=strips,
    )
    return step, Panels(out, 0, pairs * row, 0, 0, row)


def _product(
    dtype: str,
    a: Factor,
    b: Panels,
    size: tuple[int, int, int],
    out: Tensor,
    scratch: Scratch,
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
        out=out.address,
        rows=rows,
        images=lanes.batch,
        per_image=inner // lanes.batch,
        columns=columns,
        lane=lanes.images,
        row_tile=row_tile,
        column_tile=column_tile,
        tile_panels=column_tile // panel,
        **epilogue.fields(dtype_of_sums(dtype)),
        **rounding(dtype, out.dtype, row_tile * column_tile, scratch, slopes=epilogue.slopes is not None),
    )


@worker(PRODUCT)
def product_worker(real):
    """Compute a tile of rows and columns of one partial product."""
    item, cell = real.bitwidth // 8, computed(real).bitwidth // 8
    terms = cell // item

    def product(parameters, chunk, _, thread):
        p = fields(parameters, PRODUCT)
        column_tiles = -(-p.columns // p.column_tile)
        tile = chunk % column_tiles
        left = tile * p.column_tile
        row_tiles = -(-p.rows // p.row_tile)
        top = chunk // column_tiles % row_tiles * p.row_tile
        part = chunk // column_tiles // row_tiles
        first = part * -(-p.lane * p.per_image // terms)
        count = -(-min(p.lane, p.images - part * p.lane) * p.per_image // terms)
        rows, columns = min(p.row_tile, p.rows - top), min(p.column_tile, p.columns - left)
        place = (part * p.rows + top) * p.columns + left
        if p.narrow != 0:
            out, step = p.sums + thread * p.sums_step, columns * cell
        else:
            out, step = p.out + place * cell, p.columns * cell
        call(
            p.product,
            (
                out,
                step,
                p.bias + left * cell if p.bias != 0 else 0,
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
                count,
                1,
            ),
        )
        if p.narrow != 0:
            if p.after != 0:
                call(p.after, (out, out + p.beside, rows * columns))
            call(p.narrow, (p.out + place * item, p.columns * item, out, step, rows, columns))
            if p.slopes != 0:
                call(p.narrow, (p.slopes + place * item, p.columns * item, out + p.beside, step, rows, columns))
        elif p.after != 0:
            for row in range(rows):
                call(p.after, (out + row * step, 0, columns))

    return product


@emitted()
def _copy_rows(code: Code, target: list[Vector], source: list[Vector], count: Vector, width: Vector) -> None:
    """Copy `count` rows of `width` elements, with zeros after them. target: (out, panel). source: (x, row in bytes)."""
    (out, panel), (x, step), kept = target, source, code.wide

    def rows(read: Callable[[Vector, Vector, Vector | None], Vector]) -> None:
        with code.loop(count) as row:
            place, line = x + step * row, out + panel * row * kept.item

            def body(index: Vector, mask: Vector | None) -> None:
                kept.store(read(place, index, mask), line, index, mask)

            code.sweep(code.word(0), panel, body)

    def part(place: Vector, index: Vector, mask: Vector | None) -> Vector:
        return kept.load(place, index, code.first(width - index))

    with code.builder.if_else((width < panel).value) as (then, otherwise):
        with then:
            rows(part)
        with otherwise:
            rows(kept.load)


@worker(PACK)
def pack_worker(real):
    """Pack a strip of rows of one panel; (taps_y, taps_x, rows) is treated as one axis."""
    item, cell = real.bitwidth // 8, computed(real).bitwidth // 8

    def pack(parameters, chunk, _, thread):
        p = fields(parameters, PACK)
        panels, length = -(-p.columns // p.panel), p.taps_y * p.taps_x * p.rows
        strips = -(-length // STRIP)
        strip, panel, group = chunk % strips, chunk // strips % panels, chunk // strips // panels
        left = panel * p.panel
        width = min(p.panel, p.columns - left)
        first, last = strip * STRIP, min(length, (strip + 1) * STRIP)
        target = p.out + ((group * panels + panel) * length + first) * p.panel * item
        rows = target if p.pairs == 0 else p.strip + thread * p.strip_step
        line = first
        while line < last:
            tap, row = line // p.rows, line % p.rows
            count = min(last - line, p.rows - row)
            offset = group * p.group_step + tap // p.taps_x * p.y_step + tap % p.taps_x * p.x_step + row * p.row_step
            out = rows + (line - first) * p.panel * cell
            x = p.x + (offset + left * p.column_step) * cell
            if p.column_step == 1:
                _copy_rows((out, p.panel), (x, p.row_step * cell), count, width, real)
            else:
                call(p.transpose, (out, p.panel * cell, x, p.column_step * cell, count, width))
                if width < p.panel:
                    for r in range(count):
                        clear(out + (r * p.panel + width) * cell, (p.panel - width) * cell)
            line += count
        if p.pairs != 0:
            row = p.panel * cell
            call(p.pairs, (target, row, rows, 2 * row, row, (last - first) // 2, p.panel))

    return pack


@worker(INTERLEAVE)
def interleave_worker(real):
    """Pack a strip of a lane's rows in pairs; the last one may be alone."""
    item, cell = real.bitwidth // 8, 2 * real.bitwidth // 8

    def interleave(parameters, chunk, _, thread):
        p = fields(parameters, INTERLEAVE)
        lane, strip = chunk // p.strips, chunk % p.strips
        start = lane * p.lane
        first, last = start + strip * STRIP, min(p.rows, start + p.lane, start + (strip + 1) * STRIP)
        pair, step = lane * -(-p.lane // 2) + strip * STRIP // 2, p.columns * item
        for panel in range(-(-p.columns // p.width)):
            left = panel * p.width
            x, row = p.x + first * step + left * item, p.width * cell
            out, width = p.out + (panel * p.pairs + pair) * row, min(p.width, p.columns - left)
            both = (last - first) // 2
            if both > 0:
                call(p.interleave, (out, row, x, 2 * step, step, both, width))
            if both >= 0 and (last - first) % 2 == 1:
                call(p.interleave, (out + both * row, row, x + 2 * both * step, 0, 0, 1, width))

    return interleave
