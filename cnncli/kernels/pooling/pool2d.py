"""Max and average pooling, channels last.

Both gradients process some lines of the image at a time: each window adds to its pixels in them, row by row.
"""

from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple, TypeAlias

from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, Work, Worker, block, computed, fields, worker
from cnncli.kernels.vector.emit import Code, Variable, emitted
from cnncli.kernels.vector.lanes import INT, Vector
from cnncli.kernels.vector.sweeps import elementwise

SIZES = "batch height width channels rows columns kh kw sy sx top left"
POOL = block(f"x out winner {SIZES}")
GRADIENT = block(f"grad winner out {SIZES}")

Size: TypeAlias = tuple[int, int]
"""Rows and columns of a window, constants in compiled code."""
LOOPS = (0, 0)
"""The size of no window: code has loops over the cells."""
USUAL = (2, 2), (3, 3)
"""Sizes of windows that are pooled without loops over their cells where they are inside the image: 3 times as fast.

Gradients keep their loops: of a large image, a thread has so few lines at a time that most windows reach beyond them.
Of a small one, they would take a fifth less."""


class Window(NamedTuple):
    """Geometry of the windows; pairs are (vertical, horizontal).

    `padding`: cells above and left of the image; those below and on the right follow from the output's shape.
    """

    size: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int]


def max_forward(x: Tensor, out: Tensor, winner: Tensor, window: Window) -> list[Step]:
    """The maximum of each window, and the index of its cell. x: real (N, H, W, C); out: (N, OH, OW, C).

    winner: int32, shape of out: the cell's row · window width + column; ties go to the first. NaN is greater than every
    number. A window outside the image gives -inf and winner -1.
    """
    return _steps(forward_worker, ("max", *_size(window)), x, out, window, winner, out=out, x=x)


def max_backward(grad: Tensor, winner: Tensor, out: Tensor, window: Window) -> list[Step]:
    """Add each window's gradient to its winner.

    grad: real (N, OH, OW, C); winner: int32, shape of grad; out: (N, H, W, C).
    """
    return _steps(gradient_worker, ("max",), out, grad, window, winner, out=out, grad=grad)


def average_forward(x: Tensor, out: Tensor, window: Window) -> list[Step]:
    """The mean of each window's cells inside the image; 0 if there is none.

    x: real (N, H, W, C); out: (N, OH, OW, C).
    """
    return _steps(forward_worker, ("average", *_size(window)), x, out, window, None, out=out, x=x)


def average_backward(grad: Tensor, out: Tensor, window: Window) -> list[Step]:
    """Distribute each window's gradient evenly over its cells. grad: real (N, OH, OW, C); out: (N, H, W, C)."""
    return _steps(gradient_worker, ("average",), out, grad, window, None, out=out, grad=grad)


def _steps(
    pooling: Worker,
    variant: tuple[str | int, ...],
    image: Tensor,
    pooled: Tensor,
    window: Window,
    winner: Tensor | None,
    *,
    out: Tensor,
    **source: Tensor,
) -> list[Step]:
    """Return one step; a unit is a line of pixels of `out`, which has the shape of `image` or `pooled`."""
    lines = max(1, SPAN // (out.shape[2] * out.shape[3] * window.size[0] * window.size[1]))
    sizes = (*image.shape, *pooled.shape[1:3], *window.size, *window.strides, *window.padding)
    return [
        pooling.step(
            out.dtype,
            Work(out.shape[0] * out.shape[1], lines, out.shape[0]),
            *variant,
            out=out.address,
            winner=winner.address if winner else 0,
            **{name: array.address for name, array in source.items()},
            **dict(zip(SIZES.split(), sizes, strict=True)),
        )
    ]


def _size(window: Window) -> Size:
    """The constants of a forward pass: the size of windows, or LOOPS."""
    return window.size if window.size in USUAL else LOOPS


def _channels(write: Callable[..., None]) -> Any:
    """Return a function (kh, kw, addresses, the sizes of `_cells`, scalars, channels, real) that loops over channels.

    kh and kw are constants: the size of windows, for which there is code without loops over cells, or LOOPS.
    """

    @emitted()
    def apply(
        code: Code,
        kh: int,
        kw: int,
        places: list[Vector],
        sizes: list[Vector],
        scalars: list[Vector],
        channels: Vector,
    ) -> None:
        given = [code.full(number) for number in scalars]

        def sweep(window: Size) -> None:
            code.sweep(code.word(0), channels, lambda *part: write(code, window, places, sizes, part, *given))

        whole = {kh * kw: lambda: sweep((kh, kw))} if (kh, kw) != LOOPS else {}
        code.choose(sizes[0] * sizes[1], whole, lambda: sweep(LOOPS))

    return apply


def _cells(code: Code, window: Size, sizes: list[Vector], state: tuple[Vector, ...], add: Any) -> tuple[Vector, ...]:
    """Fold `state = add(state, place, number)` over the cells of a rectangle, row by row, in registers.

    sizes: (rows, columns, row stride in elements, column stride, first cell's number or -1 without cells, its step per
    row, per column). window: a constant size that the rectangle has, or LOOPS.
    """
    rows, columns, row_step, column_step, first, row_number, column_number = sizes
    if window != LOOPS:
        kh, kw = window
        for i in range(kh):
            for j in range(kw):
                state = add(state, row_step * i + column_step * j, code.full(i * kw + j, INT))
        return state
    kept = [Variable(vector) for vector in state]
    with code.loop(rows) as row:
        place, number = row * row_step, first + row * row_number
        with code.loop(columns) as column:
            cell = (number + column * column_number).narrowed(INT)
            before = tuple(variable.get() for variable in kept)
            after = add(before, place + column * column_step, code.full(cell))
            for variable, vector in zip(kept, after, strict=True):
                variable.set(vector)
    return tuple(variable.get() for variable in kept)


@_channels
def _largest(code: Code, window: Size, places: list[Vector], sizes: list[Vector], part: Any) -> None:
    (x, out, winner), (index, mask) = places, part

    def add(state: tuple[Vector, ...], place: Vector, cell: Vector) -> tuple[Vector, ...]:
        best, first = state
        new = code.load(x, index + place, mask)
        wins = new.more(best) & best.number()
        return new.where(wins, best), cell.where(wins, first)

    # The first cell is the winner until another one is larger.
    start = code.full(-inf), code.full(sizes[4].narrowed(INT))
    best, first = _cells(code, window, sizes, start, add)
    code.store(best, out, index, mask)
    code.store(first, winner, index, mask)


@_channels
def _mean(code: Code, window: Size, places: list[Vector], sizes: list[Vector], part: Any, cells: Vector) -> None:
    (x, out), (index, mask) = places, part

    def add(state: tuple[Vector, ...], place: Vector, cell: Vector) -> tuple[Vector, ...]:
        return (state[0] + code.load(x, index + place, mask),)

    (total,) = _cells(code, window, sizes, (code.full(0.0),), add)
    code.store(total / cells, out, index, mask)


@_channels
def _to_winner(code: Code, window: Size, places: list[Vector], sizes: list[Vector], part: Any) -> None:
    (grad, winner, out), (index, mask) = places, part
    given, first = code.load(grad, index, mask), code.load(winner, index, mask, 0, INT)

    def add(state: tuple[Vector, ...], place: Vector, cell: Vector) -> tuple[Vector, ...]:
        there = index + place
        code.store(code.load(out, there, mask) + given.where(first.same(cell), 0.0), out, there, mask)
        return ()

    _cells(code, window, sizes, (), add)


@_channels
def _to_all(code: Code, window: Size, places: list[Vector], sizes: list[Vector], part: Any, cells: Vector) -> None:
    (grad, out), (index, mask) = places, part
    given = code.load(grad, index, mask) / cells

    def add(state: tuple[Vector, ...], place: Vector, cell: Vector) -> tuple[Vector, ...]:
        there = index + place
        code.store(code.load(out, there, mask) + given, out, there, mask)
        return ()

    _cells(code, window, sizes, (), add)


_filled = elementwise(lambda number: number)


@worker(POOL)
def forward_worker(real, kind, kh, kw):
    """Process some lines of output pixels."""
    item, number = real.bitwidth // 8, computed(real)

    def pool(parameters, start, stop, thread):
        p = fields(parameters, POOL)
        channels, line_size = p.channels, p.width * p.channels
        for line in range(start, stop):
            y, image = line % p.rows * p.sy - p.top, line // p.rows * p.height
            first, last = max(0, -y), min(p.kh, p.height - y)
            for column in range(p.columns):
                x = column * p.sx - p.left
                left, right = max(0, -x), min(p.kw, p.width - x)
                pixel = (line * p.columns + column) * channels
                cell, out = p.x + ((image + y + first) * p.width + x + left) * channels * item, p.out + pixel * item
                rows, columns = max(0, last - first), max(0, right - left)
                number_of_first = first * p.kw + left if rows * columns > 0 else -1
                sizes = rows, columns, line_size, channels, number_of_first, p.kw, 1
                if kind == "max":
                    _largest(kh, kw, (cell, out, p.winner + pixel * 4), sizes, (), channels, real)
                else:
                    cells = number(max(1, rows * columns))
                    _mean(kh, kw, (cell, out), sizes, (cells,), channels, real)

    return pool


@worker(GRADIENT)
def gradient_worker(real, kind):
    """Process some lines of input pixels."""
    item, number = real.bitwidth // 8, computed(real)

    def scatter(parameters, line, end, thread):
        p = fields(parameters, GRADIENT)
        channels, line_size = p.channels, p.width * p.channels
        _filled(0, (), (p.out,), line * line_size, end * line_size, (number(0),), real)
        while line < end:
            # The lines y … bottom - 1 of one image, counted from the first line of the padding.
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
                    grad, out = p.grad + pixel * item, p.out + cell * item
                    sizes = last - first, right - left, line_size, channels, first * p.kw + left, p.kw, 1
                    # Always with LOOPS.
                    if kind == "max":
                        _to_winner(0, 0, (grad, p.winner + pixel * 4, out), sizes, (), channels, real)
                    else:
                        height = min(p.kh, p.height + p.top - top) - max(0, p.top - top)
                        _to_all(0, 0, (grad, out), sizes, (number(height * (right - left)),), channels, real)
            line += bottom - y

    return scatter
