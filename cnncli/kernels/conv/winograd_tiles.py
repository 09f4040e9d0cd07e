"""The transforms of `winograd`, vectorized along the channels: sums of a tile's elements in a fixed order."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from cnncli.kernels.conv.pool_blocks import pooled
from cnncli.kernels.jit.target import machine
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import INT, Vector

Transform: TypeAlias = Callable[[Sequence[Vector]], list[Vector]]
"""The transform of one column of a tile."""


def _twice(
    transform: Callable[[Sequence[Vector]], list[Vector]], square: Sequence[Sequence[Vector]]
) -> list[list[Vector]]:
    """T d Tᵀ: transform each column, then each row of the result."""
    columns = [transform(column) for column in zip(*square, strict=True)]
    return [transform(row) for row in zip(*columns, strict=True)]


def _flat(square: Sequence[Sequence[Vector]]) -> list[Vector]:
    """The elements of a square, row by row."""
    return [value for row in square for value in row]


def _input_transform(d: Sequence[Vector]) -> list[Vector]:
    """Bᵀ d."""
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _kernel_transform(g: Sequence[Vector]) -> list[Vector]:
    """G g."""
    ends = g[0] + g[2]
    return [g[0], (ends + g[1]) * 0.5, (ends - g[1]) * 0.5, g[2]]


def _output_transform(m: Sequence[Vector]) -> list[Vector]:
    """Aᵀ m."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]


def _gradient_transform(y: Sequence[Vector]) -> list[Vector]:
    """A y, the adjoint of `_output_transform`."""
    return [y[0], y[0] + y[1], y[0] - y[1], -y[1]]


def _weight_transform(u: Sequence[Vector]) -> list[Vector]:
    """Gᵀ u, the adjoint of `_kernel_transform`."""
    total, difference = (u[1] + u[2]) * 0.5, (u[1] - u[2]) * 0.5
    return [u[0] + total, difference, total + u[3]]


@emitted()
def spread_kernel(code: Code, x: Vector, tap: Vector, out: Vector, step: Vector, start: Vector, stop: Vector) -> None:
    """G g Gᵀ of kernels, elements `start` to `stop`; strides in bytes: `tap` between taps, `step` between positions."""

    def body(index: Vector, mask: Vector | None) -> None:
        square = [[code.load(x + tap * (3 * i + j), index, mask) for j in range(3)] for i in range(3)]
        for position, value in enumerate(_flat(_twice(_kernel_transform, square))):
            code.store(value, out + step * position, index, mask)

    code.sweep(start, stop, body)


@emitted()
def spread_kernel_pairs(
    code: Code, x: Vector, tap: Vector, out: Vector, step: Vector, row: Vector, pairs: Vector
) -> None:
    """As `spread_kernel`, of pairs of rows of `row` bytes, into rows of pairs of bfloat16 numbers."""
    with code.loop(pairs) as pair:

        def body(index: Vector, mask: Vector | None) -> None:
            first, second = (
                _flat(
                    _twice(
                        _kernel_transform,
                        [
                            [code.load(x + tap * (3 * i + j) + row * (pair * 2 + k), index, mask) for j in range(3)]
                            for i in range(3)
                        ],
                    )
                )
                for k in range(2)
            )
            for position, both in enumerate(zip(first, second, strict=True)):
                code.store(_pair(*both), out + step * position + row * pair, index, mask)

        code.sweep(code.word(0), row // code.item, body)


def _pair(first: Vector, second: Vector) -> Vector:
    """Two float32 numbers, rounded to bfloat16, in 32 bits; the first one low."""
    return (second.bfloat16().widened(INT) << 16) | first.bfloat16().widened(INT)


@emitted()
def spread_tile(code: Code, x: Vector, row: Vector, pixel: Vector, out: Vector, step: Vector, channels: Vector) -> None:
    """Bᵀ d B of the tile at x; strides in bytes: `row`, `pixel`, and `step` between positions of the result."""
    code.lanes = machine().width // max(code.item, 4)

    def body(index: Vector, mask: Vector | None) -> None:
        square = [[code.load(x + row * i + pixel * j, index, mask) for j in range(4)] for i in range(4)]
        for position, value in enumerate(_flat(_twice(_input_transform, square))):
            code.store(value, out + step * position, index, mask)

    code.sweep(code.word(0), channels, body)


def _store_pairs(
    code: Code,
    transform: Transform,
    columns: Sequence[Sequence[Vector]],
    place: tuple[Vector, Vector],
    index: Vector,
    mask: Vector | None,
) -> None:
    """Transform two squares, two columns apart, and store pairs of their elements; place: (out, step)."""
    out, step = place
    size = len(columns[0])
    half = [transform(column) for column in columns]
    squares = [
        [value for row in zip(*half[2 * k : 2 * k + size], strict=True) for value in transform(row)] for k in range(2)
    ]
    for position, both in enumerate(zip(*squares, strict=True)):
        code.store(_pair(*both), out + step * position, index, mask)


@emitted()
def spread_tile_pair(
    code: Code, x: Vector, row: Vector, pixel: Vector, out: Vector, step: Vector, channels: Vector
) -> None:
    """As `spread_tile`, of the tile at x and the next one, into pairs of bfloat16 numbers."""
    code.lanes = machine().width // 4

    def body(index: Vector, mask: Vector | None) -> None:
        columns = [[code.load(x + row * i + pixel * j, index, mask) for i in range(4)] for j in range(6)]
        _store_pairs(code, _input_transform, columns, (out, step), index, mask)

    code.sweep(code.word(0), channels, body)


@emitted()
def spread_gradient_pair(
    code: Code, x: Vector, row: Vector, pixel: Vector, out: Vector, step: Vector, filters: Vector
) -> None:
    """As `spread_gradient`, of the square at x and the next one, into pairs of bfloat16 numbers."""
    code.lanes = machine().width // 4

    def body(index: Vector, mask: Vector | None) -> None:
        columns = [[code.load(x + row * i + pixel * j, index, mask) for i in range(2)] for j in range(4)]
        _store_pairs(code, _gradient_transform, columns, (out, step), index, mask)

    code.sweep(code.word(0), filters, body)


def _pixels(code: Code, x: Vector, step: Vector, index: Vector, mask: Vector | None) -> list[Vector]:
    """Aᵀ m A: the four pixels of a tile, row by row."""
    square = [[code.load(x + step * (4 * i + j), index, mask, scalar=code.scalar) for j in range(4)] for i in range(4)]
    return _flat(_twice(_output_transform, square))


@emitted()
def gather_tile(code: Code, x: Vector, step: Vector, targets: list[Vector], filters: Vector) -> None:
    """Compute the four pixels of a tile from its products and store each at its address."""
    code.lanes = machine().width // max(code.item, 4)

    def body(index: Vector, mask: Vector | None) -> None:
        for value, target in zip(_pixels(code, x, step, index, mask), targets, strict=True):
            code.store(value, target, index, mask)

    code.sweep(code.word(0), filters, body)


@emitted()
def gather_pooled(code: Code, x: Vector, step: Vector, out: Vector, winner: Vector, filters: Vector) -> None:
    """Compute ReLU of the maximum of a tile's pixels, and the index of the maximum."""

    def body(index: Vector, mask: Vector | None) -> None:
        best, which = pooled(code, _pixels(code, x, step, index, mask))
        code.store(best, out, index, mask)
        code.store(which, winner, index, mask)

    code.sweep(code.word(0), filters, body)


@emitted()
def spread_gradient(
    code: Code, x: Vector, row: Vector, pixel: Vector, out: Vector, step: Vector, filters: Vector
) -> None:
    """A y Aᵀ of the four gradients at x; strides in bytes: `row`, `pixel`, `step` between positions of the result."""
    code.lanes = machine().width // max(code.item, 4)

    def body(index: Vector, mask: Vector | None) -> None:
        square = [[code.load(x + row * i + pixel * j, index, mask) for j in range(2)] for i in range(2)]
        for position, value in enumerate(_flat(_twice(_gradient_transform, square))):
            code.store(value, out + step * position, index, mask)

    code.sweep(code.word(0), filters, body)


@emitted()
def gather_weight(code: Code, x: Vector, out: Vector, step: Vector, start: Vector, stop: Vector) -> None:
    """Gᵀ u G of elements `start` to `stop`; `step`: stride in bytes of the positions of x and the taps of out."""

    def body(index: Vector, mask: Vector | None) -> None:
        square = [[code.load(x + step * (4 * i + j), index, mask) for j in range(4)] for i in range(4)]
        for tap, value in enumerate(_flat(_twice(_weight_transform, square))):
            code.store(value, out + step * tap, index, mask)

    code.sweep(start, stop, body)


def _halved_input_transform(d: Sequence[Vector]) -> list[Vector]:
    """Five pixels for two outputs with strides of 2: of the even ones F(2, 2)'s, and the odd ones."""
    return [d[0] - d[2], d[2], d[4] - d[2], d[1], d[3]]


def _halved_kernel_transform(g: Sequence[Vector]) -> list[Vector]:
    """The factors of `_halved_input_transform`; those of odd pixels are equal."""
    return [g[0], g[0] + g[2], g[2], g[1]]


def _halved_output_transform(m: Sequence[Vector]) -> list[Vector]:
    return [m[0] + m[1] + m[3], m[1] + m[2] + m[4]]


def _halved_gradient_transform(y: Sequence[Vector]) -> list[Vector]:
    """The different elements of the adjoint of `_halved_output_transform`."""
    return [y[0], y[0] + y[1], y[1]]


def _halved_weight_transform(u: Sequence[Vector]) -> list[Vector]:
    """The adjoint of `_halved_kernel_transform`."""
    return [u[0] + u[1], u[3], u[1] + u[2]]


def _doubled_input_transform(y: Sequence[Vector]) -> list[Vector]:
    """Three gradients for four pixels: the different elements of the adjoint of F(2, 2)'s, and of the odd ones."""
    return [y[0] - y[1], y[1], y[2] - y[1], y[2]]


def _doubled_output_transform(m: Sequence[Vector]) -> list[Vector]:
    return [m[0] + m[1], m[3], m[1] + m[2], m[4]]


def _between(transform: Transform, size: int) -> Any:
    """Return a function (x, row, pixel, out, row of out, pixel of out, start, stop): T d Tᵀ of a square of `size`.

    Strides are in bytes.
    """

    @emitted()
    def apply(
        code: Code,
        x: Vector,
        row: Vector,
        pixel: Vector,
        out: Vector,
        out_row: Vector,
        out_pixel: Vector,
        start: Vector,
        stop: Vector,
    ) -> None:
        def body(index: Vector, mask: Vector | None) -> None:
            square = [[code.load(x + row * i + pixel * j, index, mask) for j in range(size)] for i in range(size)]
            for i, values in enumerate(_twice(transform, square)):
                for j, value in enumerate(values):
                    code.store(value, out + out_row * i + out_pixel * j, index, mask)

        code.sweep(start, stop, body)

    return apply


halved_input = _between(_halved_input_transform, 5)
halved_kernel = _between(_halved_kernel_transform, 3)
halved_output = _between(_halved_output_transform, 5)
halved_gradient = _between(_halved_gradient_transform, 2)
halved_weight = _between(_halved_weight_transform, 4)
doubled_input = _between(_doubled_input_transform, 3)
doubled_output = _between(_doubled_output_transform, 5)
