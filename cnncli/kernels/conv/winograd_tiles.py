"""The transforms of `winograd`, vectorized along the channels: sums of a tile's elements in a fixed order.

A transform is defined for an axis. That of a square, T d Tᵀ, applies it to each column, then to each row of the result.
"""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import NamedTuple, TypeAlias

from cnncli.kernels.conv.pool_blocks import pooled
from cnncli.kernels.jit.target import machine
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import INT, Vector

Transform: TypeAlias = Callable[..., list[Vector]]
"""The transform of a row or column of a tile."""
TRANSFORMS: list[Transform] = []
"""All transforms; compiled code takes their numbers as constants."""


def _numbered(transform: Transform) -> int:
    """Add `transform` to TRANSFORMS; return its number."""
    TRANSFORMS.append(transform)
    return len(TRANSFORMS) - 1


@_numbered
def of_image(a: Vector, b: Vector, c: Vector, d: Vector) -> list[Vector]:
    """Bᵀ d."""
    return [a - c, b + c, c - b, b - d]


@_numbered
def of_kernel(a: Vector, b: Vector, c: Vector) -> list[Vector]:
    """G g."""
    ends = a + c
    return [a, (ends + b) * 0.5, (ends - b) * 0.5, c]


@_numbered
def of_products(a: Vector, b: Vector, c: Vector, d: Vector) -> list[Vector]:
    """Aᵀ m."""
    return [a + b + c, b - c - d]


@_numbered
def of_gradient(a: Vector, b: Vector) -> list[Vector]:
    """A y, the adjoint of `of_products`."""
    return [a, a + b, a - b, -b]


@_numbered
def of_sums(a: Vector, b: Vector, c: Vector, d: Vector) -> list[Vector]:
    """Gᵀ u, the adjoint of `of_kernel`."""
    total, difference = (b + c) * 0.5, (b - c) * 0.5
    return [a + total, difference, total + d]


@_numbered
def of_strided_image(a: Vector, b: Vector, c: Vector, d: Vector, e: Vector) -> list[Vector]:
    """Five pixels for two outputs with strides of 2: of the even ones F(2, 2)'s, and the odd ones."""
    return [a - c, c, e - c, b, d]


@_numbered
def of_strided_kernel(a: Vector, b: Vector, c: Vector) -> list[Vector]:
    """The factors of `of_strided_image`; those of odd pixels are equal."""
    return [a, a + c, c, b]


@_numbered
def of_strided_products(a: Vector, b: Vector, c: Vector, d: Vector, e: Vector) -> list[Vector]:
    """Two outputs."""
    return [a + b + d, b + c + e]


@_numbered
def of_strided_gradient(a: Vector, b: Vector) -> list[Vector]:
    """The different elements of the adjoint of `of_strided_products`."""
    return [a, a + b, b]


@_numbered
def of_strided_sums(a: Vector, b: Vector, c: Vector, d: Vector) -> list[Vector]:
    """The adjoint of `of_strided_kernel`."""
    return [a + b, d, b + c]


@_numbered
def of_transposed_image(a: Vector, b: Vector, c: Vector) -> list[Vector]:
    """Three gradients for four pixels: the different elements of the adjoint of F(2, 2)'s, and of the odd ones."""
    return [a - b, b, c - b, c]


@_numbered
def of_transposed_products(a: Vector, b: Vector, c: Vector, d: Vector, e: Vector) -> list[Vector]:
    """Four pixels."""
    return [a + b, d, b + c, e]


class Form(NamedTuple):
    """A method along an axis: the pixels of tiles, the numbers of the transforms, and which elements are multiplied.

    A tile begins `step` pixels after the one before it, and `size` pixels of the output are computed from it. Product i
    is that of elements `image_of[i]` of the transformed tile and `kernel_of[i]` of the transformed kernel. Only the
    second half of the output depends on it if `late[i]`.
    """

    step: int
    size: int
    image: int
    kernel: int
    products: int
    image_of: tuple[int, ...]
    kernel_of: tuple[int, ...]
    late: tuple[bool, ...]

    @property
    def positions(self) -> int:
        """The number of products of a tile."""
        return len(self.image_of) ** 2

    @property
    def spread(self) -> int:
        """The elements of a transformed tile along an axis."""
        return max(self.image_of) + 1

    @property
    def shared(self) -> int:
        """The number of pixels of a tile that belong to the next one as well."""
        return len(signature(TRANSFORMS[self.image]).parameters) - self.step


def packed(numbers: Sequence[int]) -> int:
    """Return numbers below 8, or truth values, in one: four bits each, the first lowest.

    Workers look numbers up in it; tuples take longer to compile.
    """
    return sum(number << 4 * i for i, number in enumerate(numbers))


EACH = (0, 1, 2, 3)
FORMS = {
    "plain": Form(2, 2, of_image, of_kernel, of_products, EACH, EACH, (False, False, False, True)),
    "strided": Form(
        *(4, 2, of_strided_image, of_strided_kernel, of_strided_products),
        (0, 1, 2, 3, 4),
        (0, 1, 2, 3, 3),
        (False, False, True, False, True),
    ),
    "transposed": Form(
        *(2, 4, of_transposed_image, of_strided_kernel, of_transposed_products),
        (0, 1, 2, 1, 3),
        (2, 1, 0, 3, 3),
        (False, False, True, False, True),
    ),
}
"""F(2×2, 3×3); convolutions with strides of 2; and backwards, input gradients of those."""


def _square(transform: Transform, load: Callable[[int, int], Vector]) -> list[list[Vector]]:
    """T d Tᵀ of the square of elements that `load(row, column)` loads."""
    size = range(len(signature(transform).parameters))
    rows = [[load(i, j) for j in size] for i in size]
    columns = [transform(*column) for column in zip(*rows, strict=True)]
    return [transform(*row) for row in zip(*columns, strict=True)]


@emitted()
def transform_square(
    code: Code, transform: int, x: list[Vector], out: list[Vector], start: Vector, stop: Vector
) -> None:
    """Transform elements `start` to `stop` of each pixel of a square.

    x and out: address, stride of rows and of columns in bytes. If x has a fourth number, the distance to another
    square, both become pairs of bfloat16 numbers.
    """
    code.lanes = machine().width // max(code.item, 4)

    def body(index: Vector, mask: Vector | None) -> None:
        def transformed(place: Vector) -> list[list[Vector]]:
            return _square(TRANSFORMS[transform], lambda i, j: code.load(place + x[1] * i + x[2] * j, index, mask))

        found = transformed(x[0])
        if len(x) > 3:
            other = transformed(x[0] + x[3])
            found = [[_pair(*both) for both in zip(*rows, strict=True)] for rows in zip(found, other, strict=True)]
        for i, row in enumerate(found):
            for j, value in enumerate(row):
                code.store(value, out[0] + out[1] * i + out[2] * j, index, mask)

    code.sweep(start, stop, body)


def _pair(first: Vector, second: Vector) -> Vector:
    """Two float32 numbers, rounded to bfloat16, in 32 bits; the first one low."""
    return (second.bfloat16().widened(INT) << 16) | first.bfloat16().widened(INT)


@emitted()
def gather_tile(
    code: Code, transform: int, size: int, x: list[Vector], out: list[Vector], edges: list[Vector], filters: Vector
) -> None:
    """Compute `size` × `size` pixels of a tile from its products at x; store those outside the image at `out[3]`.

    x, out: address, stride of rows and of columns in bytes. edges: (row, rows, column, columns), the first pixel and
    the size of the image.
    """
    code.lanes = machine().width // max(code.item, 4)
    outside = [[(first + i).outside(count) for i in range(size)] for first, count in (edges[:2], edges[2:])]
    targets = [
        [out[3].where(above | beside, out[0] + out[1] * i + out[2] * j) for j, beside in enumerate(outside[1])]
        for i, above in enumerate(outside[0])
    ]

    def body(index: Vector, mask: Vector | None) -> None:
        pixels = _square(TRANSFORMS[transform], lambda i, j: code.load(x[0] + x[1] * i + x[2] * j, index, mask))
        for values, places in zip(pixels, targets, strict=True):
            for value, place in zip(values, places, strict=True):
                code.store(value, place, index, mask)

    code.sweep(code.word(0), filters, body)


@emitted()
def gather_pooled(code: Code, transform: int, x: list[Vector], out: Vector, winner: Vector, filters: Vector) -> None:
    """Compute ReLU of the maximum of a tile's pixels, and the index of the maximum; x: as of `gather_tile`."""
    products = code.wide

    def body(index: Vector, mask: Vector | None) -> None:
        pixels = _square(TRANSFORMS[transform], lambda i, j: products.load(x[0] + x[1] * i + x[2] * j, index, mask))
        best, which = pooled(code, [value for row in pixels for value in row])
        code.store(best, out, index, mask)
        code.store(which, winner, index, mask)

    code.sweep(code.word(0), filters, body)
