"""Max and average pooling, channels last.

Both gradients fill some lines of the image at a time: each window adds to its pixels there, row by row.
"""

from math import inf
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnncli.kernels.lanes import INDEX, Vector
from cnncli.kernels.runtime import SPAN, Step, Tensor, Worker, block, fields, worker
from cnncli.kernels.sweeps import WORD, Code, elementwise

SIZES = "batch height width channels rows columns kh kw sy sx top left"
MAX = block(f"x out winner lines {SIZES}")
MAX_GRADIENT = block(f"grad winner out lines {SIZES}")
AVERAGE = block(f"x out lines {SIZES}")
AVERAGE_GRADIENT = block(f"grad out lines {SIZES}")


class Window(NamedTuple):
    """Where the windows lie; pairs are (vertical, horizontal).

    `padding` counts the cells above and left of the image; those below and on the right follow from the output's shape.
    """

    size: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int]


def max_forward(x: Tensor, out: Tensor, winner: Tensor, window: Window) -> list[Step]:
    """The largest value of each window, and which cell holds it. x: real (N, H, W, C); out: (N, OH, OW, C).

    winner: int32, shaped as out: the cell's row · window width + column, the first among equals. A NaN beats every
    number. A window that lies outside the image gives -inf and winner -1.
    """
    return _steps(max_worker, x, out, window, out=out, x=x, winner=winner)


def max_backward(grad: Tensor, winner: Tensor, out: Tensor, window: Window) -> list[Step]:
    """The gradient goes to each window's winner.

    grad: real (N, OH, OW, C); winner: int32, shaped as grad; out: (N, H, W, C).
    """
    return _steps(max_gradient_worker, out, grad, window, out=out, grad=grad, winner=winner)


def average_forward(x: Tensor, out: Tensor, window: Window) -> list[Step]:
    """The mean of each window's cells inside the image; 0 where there is none.

    x: real (N, H, W, C); out: (N, OH, OW, C).
    """
    return _steps(average_worker, x, out, window, out=out, x=x)


def average_backward(grad: Tensor, out: Tensor, window: Window) -> list[Step]:
    """The gradient of each window, shared among its cells. grad: real (N, OH, OW, C); out: (N, H, W, C)."""
    return _steps(average_gradient_worker, out, grad, window, out=out, grad=grad)


def _steps(
    pooling: Worker, image: Tensor, pooled: Tensor, window: Window, *, out: Tensor, **others: Tensor
) -> list[Step]:
    """One step; a chunk fills some lines of pixels of `out`, which has the shape of `image` or of `pooled`."""
    lines = max(1, SPAN // (out.shape[2] * out.shape[3] * window.size[0] * window.size[1]))
    sizes = (*image.shape, *pooled.shape[1:3], *window.size, *window.strides, *window.padding)
    return [
        pooling.step(
            out.dtype,
            -(-out.shape[0] * out.shape[1] // lines),
            lines=lines,
            out=out.address,
            **{name: array.address for name, array in others.items()},
            **dict(zip(SIZES.split(), sizes, strict=True)),
        )
    ]


def _cells(code: Code, sizes: tuple[ir.Value, ...], state: tuple[Vector, ...], add: Any) -> tuple[Vector, ...]:
    """`state` after `add(state, place, number)` for each cell of a rectangle, row by row; kept in registers.

    sizes: (rows, columns, distance of rows in elements, of columns, first cell's number, step of a row, of a column).
    """
    rows, columns, row_step, column_step, first, row_number, column_number = sizes
    builder = code.builder
    kept = [code.variable(vector) for vector in state]
    with cgutils.for_range(builder, rows, intp=WORD) as row:
        place, number = builder.mul(row.index, row_step), builder.add(first, builder.mul(row.index, row_number))
        with cgutils.for_range(builder, columns, intp=WORD) as column:
            before = tuple(Vector(builder, builder.load(variable)) for variable in kept)
            after = add(
                before,
                builder.add(place, builder.mul(column.index, column_step)),
                code.full(builder.trunc(builder.add(number, builder.mul(column.index, column_number)), INDEX), INDEX),
            )
            for variable, vector in zip(kept, after, strict=True):
                builder.store(vector.value, variable)
    return tuple(Vector(builder, builder.load(variable)) for variable in kept)


def _intrinsic(generate_channels: Any) -> Any:
    """A function of (addresses, the sizes of `_cells`, scalars, channels, real) that sweeps over the channels."""

    @intrinsic
    def apply(typing_context, addresses, sizes, scalars, channels, real):
        def generate(context, builder, signature, arguments):
            code = Code(builder, real)
            places, numbers, scalars = (cgutils.unpack_tuple(builder, values) for values in arguments[:3])
            given = [code.full(number) for number in scalars]

            def body(index: ir.Value, mask: Vector | None) -> None:
                generate_channels(code, places, numbers, index, mask, *given)

            code.sweep(WORD(0), arguments[3], body)
            return context.get_dummy_value()

        words = types.UniTuple(types.intp, 7)
        return types.void(types.UniTuple(types.intp, len(addresses)), words, scalars, types.intp, real), generate

    return apply


@_intrinsic
def _largest(code: Code, places: list[ir.Value], sizes: Any, index: ir.Value, mask: Vector | None) -> None:
    x, out, winner = places

    def add(state: tuple[Vector, ...], place: ir.Value, cell: Vector) -> tuple[Vector, ...]:
        best, first = state
        new = code.load(x, code.builder.add(index, place), mask)
        wins = (new.more(best) & best.number()) | (first < 0)
        return new.where(wins, best), cell.where(wins, first)

    best, first = _cells(code, sizes, (code.full(-inf), code.full(-1, INDEX)), add)
    code.store(out, index, mask, best)
    code.store(winner, index, mask, first)


@_intrinsic
def _mean(code: Code, places: list[ir.Value], sizes: Any, index: ir.Value, mask: Vector | None, cells: Vector) -> None:
    x, out = places

    def add(state: tuple[Vector, ...], place: ir.Value, cell: Vector) -> tuple[Vector, ...]:
        return (state[0] + code.load(x, code.builder.add(index, place), mask),)

    (total,) = _cells(code, sizes, (code.full(0.0),), add)
    code.store(out, index, mask, total / cells)


@_intrinsic
def _to_winner(code: Code, places: list[ir.Value], sizes: Any, index: ir.Value, mask: Vector | None) -> None:
    grad, winner, out = places
    given, first = code.load(grad, index, mask), code.load(winner, index, mask, 0, INDEX)

    def add(state: tuple[Vector, ...], place: ir.Value, cell: Vector) -> tuple[Vector, ...]:
        place = code.builder.add(index, place)
        code.store(out, place, mask, code.load(out, place, mask) + given.where(first.same(cell), 0.0))
        return ()

    _cells(code, sizes, (), add)


@_intrinsic
def _to_all(
    code: Code, places: list[ir.Value], sizes: Any, index: ir.Value, mask: Vector | None, cells: Vector
) -> None:
    grad, out = places
    given = code.load(grad, index, mask) / cells

    def add(state: tuple[Vector, ...], place: ir.Value, cell: Vector) -> tuple[Vector, ...]:
        place = code.builder.add(index, place)
        code.store(out, place, mask, code.load(out, place, mask) + given)
        return ()

    _cells(code, sizes, (), add)


_filled = elementwise(lambda number: number)


@worker(MAX)
def max_worker(real):
    """Some lines of output pixels."""
    item = real.bitwidth // 8

    def largest(parameters, chunk, thread):
        p = fields(parameters, MAX)
        channels, line_size = p.channels, p.width * p.channels
        for line in range(chunk * p.lines, min(p.batch * p.rows, (chunk + 1) * p.lines)):
            y, image = line % p.rows * p.sy - p.top, line // p.rows * p.height
            first, last = max(0, -y), min(p.kh, p.height - y)
            for column in range(p.columns):
                x = column * p.sx - p.left
                left, right = max(0, -x), min(p.kw, p.width - x)
                pixel = (line * p.columns + column) * channels
                cell = ((image + y + first) * p.width + x + left) * channels
                places = p.x + cell * item, p.out + pixel * item, p.winner + pixel * 4
                sizes = last - first, right - left, line_size, channels, first * p.kw + left, p.kw, 1
                _largest(places, sizes, (), channels, real)

    return largest


@worker(MAX_GRADIENT)
def max_gradient_worker(real):
    """Some lines of input pixels."""
    item = real.bitwidth // 8

    def scatter(parameters, chunk, thread):
        p = fields(parameters, MAX_GRADIENT)
        channels, line_size, end = p.channels, p.width * p.channels, min(p.batch * p.height, (chunk + 1) * p.lines)
        line = chunk * p.lines
        _filled(0, (), (p.out,), line * line_size, end * line_size, (real(0),), real)
        while line < end:
            # The lines y … bottom - 1 of one image, counted from the padding's first.
            image, y = line // p.height, line % p.height + p.top
            bottom = min(p.height + p.top, y + end - line)
            for row in range(max(0, -((p.kh - 1 - y) // p.sy)), min(p.rows, (bottom - 1) // p.sy + 1)):
                top = row * p.sy
                first, last = max(0, y - top), min(p.kh, bottom - top)
                for column in range(p.columns):
                    x = column * p.sx - p.left
                    left, right = max(0, -x), min(p.kw, p.width - x)
                    pixel = ((image * p.rows + row) * p.columns + column) * channels
                    cell = ((image * p.height + top - p.top + first) * p.width + x + left) * channels
                    places = p.grad + pixel * item, p.winner + pixel * 4, p.out + cell * item
                    sizes = last - first, right - left, line_size, channels, first * p.kw + left, p.kw, 1
                    _to_winner(places, sizes, (), channels, real)
            line += bottom - y

    return scatter


@worker(AVERAGE)
def average_worker(real):
    """Some lines of output pixels."""
    item = real.bitwidth // 8

    def average(parameters, chunk, thread):
        p = fields(parameters, AVERAGE)
        channels, line_size = p.channels, p.width * p.channels
        for line in range(chunk * p.lines, min(p.batch * p.rows, (chunk + 1) * p.lines)):
            y, image = line % p.rows * p.sy - p.top, line // p.rows * p.height
            first, last = max(0, y), min(p.height, y + p.kh)
            for column in range(p.columns):
                x = column * p.sx - p.left
                left, right = max(0, x), min(p.width, x + p.kw)
                mean = p.out + (line * p.columns + column) * channels * item
                cell = p.x + ((image + first) * p.width + left) * channels * item
                cells = real(max(1, max(0, last - first) * max(0, right - left)))
                sizes = last - first, right - left, line_size, channels, 0, 0, 0
                _mean((cell, mean), sizes, (cells,), channels, real)

    return average


@worker(AVERAGE_GRADIENT)
def average_gradient_worker(real):
    """Some lines of input pixels."""
    item = real.bitwidth // 8

    def scatter(parameters, chunk, thread):
        p = fields(parameters, AVERAGE_GRADIENT)
        channels, line_size, end = p.channels, p.width * p.channels, min(p.batch * p.height, (chunk + 1) * p.lines)
        line = chunk * p.lines
        _filled(0, (), (p.out,), line * line_size, end * line_size, (real(0),), real)
        while line < end:
            # The lines y … bottom - 1 of one image, counted from the padding's first.
            image, y = line // p.height, line % p.height + p.top
            bottom = min(p.height + p.top, y + end - line)
            for row in range(max(0, -((p.kh - 1 - y) // p.sy)), min(p.rows, (bottom - 1) // p.sy + 1)):
                top = row * p.sy
                first, last = max(0, y - top), min(p.kh, bottom - top)
                for column in range(p.columns):
                    x = column * p.sx - p.left
                    left, right = max(0, -x), min(p.kw, p.width - x)
                    pixel = ((image * p.rows + row) * p.columns + column) * channels
                    cell = ((image * p.height + top - p.top + first) * p.width + x + left) * channels
                    height = min(p.kh, p.height + p.top - top) - max(0, p.top - top)
                    places = p.grad + pixel * item, p.out + cell * item
                    sizes = last - first, right - left, line_size, channels, 0, 0, 0
                    _to_all(places, sizes, (real(height * (right - left)),), channels, real)
            line += bottom - y

    return scatter
