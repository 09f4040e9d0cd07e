"""Dense layers: products of matrices in which each element is one chain of fused multiply-adds."""

from typing import NamedTuple

from cnncli.kernels.reduce import ITEM, PARTIALS, accumulate, partial_sums, start
from cnncli.kernels.runtime import Scratch, Step, Tensor, block, fields, view, worker

GRAIN = 1 << 16
"""Multiply-adds that are worth a chunk of their own: a few microseconds."""
BLOCK = 4096
"""Elements of the right matrix that serve many rows while they lie in the L1 cache."""
STRIP = 16
"""Columns of a matrix transposed together: one cache line of float32."""

PRODUCT = block("a row_step step b bias out rows images per_image columns partials row_tile column_tile")
TRANSPOSE = block("x out taps rows columns")


class Factor(NamedTuple):
    """The left factor of a product: element [r, k] lies `r · row_step + k · step` elements after `address`."""

    address: int
    row_step: int
    step: int


def forward(x: Tensor, kernel: Tensor, bias: Tensor | None, out: Tensor) -> list[Step]:
    """out = x · kernel + bias. x: real (N, ..., in); kernel: (in, units); bias: (units,); out: (N, ..., units).

    Each element starts from its bias and adds the inputs in order.
    """
    inputs, units = kernel.shape
    size = (x.size // inputs, inputs, units)
    return [_product(Factor(x.address, inputs, 1), kernel, size, out.address, bias=bias.address if bias else 0)]


def grad_input(grad: Tensor, kernel: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
    """out = grad · kernelᵀ. grad: real (N, ..., units); kernel: (in, units); out: (N, ..., in)."""
    inputs, units = kernel.shape
    turned = kernel._replace(address=scratch.take(kernel.size * ITEM[kernel.dtype]), shape=(units, inputs))
    size = (grad.size // units, units, inputs)
    return [transpose(kernel, turned), _product(Factor(grad.address, units, 1), turned, size, out.address)]


def grad_weight(x: Tensor, grad: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
    """out = xᵀ · grad, summed over the batch. x: real (N, ..., in); grad: (N, ..., units); out: (in, units).

    The batch is split into partial sums only where there are fewer than 8 inputs to divide.
    """
    inputs, units = out.shape
    batch, rows = x.shape[0], x.size // inputs
    partials = min(batch, max(1, PARTIALS // inputs))
    target, after = partial_sums(out, partials, scratch)
    size = (inputs, rows, units)
    return [_product(Factor(x.address, 1, inputs), grad, size, target, images=batch, partials=partials), *after]


def _product(
    a: Factor, b: Tensor, size: tuple[int, int, int], out: int, *, bias: int = 0, images: int = 1, partials: int = 1
) -> Step:
    """out (rows, columns) = a (rows, inner) · b (inner, columns) + bias (columns,); size: (rows, inner, columns).

    `inner` is divided at whole images into `partials` sums that lie one after the other in `out`.
    """
    rows, inner, columns = size
    row_tile, column_tile = rows, columns
    if rows * inner * columns > GRAIN:
        if rows >= 2 * STRIP:
            row_tile = max(STRIP, GRAIN // (inner * columns))
        else:
            column_tile = max(2 * STRIP, GRAIN // (rows * inner) // STRIP * STRIP)
    return product_worker.step(
        b.dtype,
        partials * -(-rows // row_tile) * -(-columns // column_tile),
        a=a.address,
        row_step=a.row_step,
        step=a.step,
        b=b.address,
        bias=bias,
        out=out,
        rows=rows,
        images=images,
        per_image=inner // images,
        columns=columns,
        partials=partials,
        row_tile=row_tile,
        column_tile=column_tile,
    )


def transpose(x: Tensor, out: Tensor) -> Step:
    """out[-1 - t, c, r] = x[t, r, c]: each matrix of a stack transposed, the stack reversed.

    x: real (..., rows, columns), the leading axes counted as one; out: (..., columns, rows).
    """
    rows, columns = x.shape[-2:]
    taps = x.size // (rows * columns)
    return transpose_worker.step(
        x.dtype, taps * -(-columns // STRIP), x=x.address, out=out.address, taps=taps, rows=rows, columns=columns
    )


@worker(PRODUCT)
def product_worker(real):  # type: ignore[no-untyped-def]
    """A tile of rows and columns of one partial product."""
    item = real.bitwidth // 8

    def product(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, PRODUCT)
        column_tiles = -(-p.columns // p.column_tile)
        left = chunk % column_tiles * p.column_tile
        width = min(p.column_tile, p.columns - left)
        row_tiles = -(-p.rows // p.row_tile)
        top = chunk // column_tiles % row_tiles * p.row_tile
        bottom = min(p.rows, top + p.row_tile)
        part = chunk // column_tiles // row_tiles
        first = part * p.images // p.partials * p.per_image
        last = (part + 1) * p.images // p.partials * p.per_image

        out = p.out + (part * p.rows * p.columns + left) * item
        for r in range(top, bottom):
            start(out + r * p.columns * item, 1, width * item, p.bias + left * item if p.bias != 0 else 0)
        depth = max(8, BLOCK // width)
        for k in range(first, last, depth):
            for r in range(top, bottom):
                accumulate(
                    out + r * p.columns * item,
                    width,
                    p.a + (r * p.row_step + k * p.step) * item,
                    p.step * item,
                    p.b + (k * p.columns + left) * item,
                    p.columns * item,
                    min(depth, last - k),
                    real,
                )

    return product


@worker(TRANSPOSE)
def transpose_worker(real):  # type: ignore[no-untyped-def]
    """A strip of columns of one matrix."""

    def transpose(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, TRANSPOSE)
        x, out = view(p.x, (p.taps, p.rows, p.columns), real), view(p.out, (p.taps, p.columns, p.rows), real)
        tap, first = chunk % p.taps, chunk // p.taps * STRIP
        last = min(p.columns, first + STRIP)
        for r in range(p.rows):
            for c in range(first, last):
                out[p.taps - 1 - tap, c, r] = x[tap, r, c]

    return transpose
