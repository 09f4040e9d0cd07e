"""A part of an image in planes: all pixels of one vector of channels are contiguous, with zero padding.

For code that reads such a part, pixel strides are compile-time constants, borders need no special case, and the data
stays in the L1 cache. bfloat16 becomes float32 there.
"""

from numba import njit

from cnncli.kernels.jit.dtypes import bytes_of, dtype_of_sums
from cnncli.kernels.jit.runtime import Scratch, Tensor
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import LINE, Vector

BLOCK = 256
"""Bytes of a pixel processed at a time."""
NEAR = 1 << 14
"""Bytes of a plane copied at a time: it stays in the L1 cache."""
LEAST = 8
"""Lines computed from one copy even if that is larger: neighbours share lines, which would be copied again for each."""

IMAGE = "x height width channels block sy sx copied_columns scratch scratch_step plane"
"""An image, the channels processed at a time, the window's strides, and scratch for the copied part."""


def image_fields(x: Tensor, strides: tuple[int, int], part: tuple[int, int], scratch: Scratch) -> dict[str, int]:
    """Return the fields of IMAGE; `part`: lines and columns copied at a time."""
    _, height, width, channels = x.shape
    item = bytes_of(dtype_of_sums(x.dtype))
    block = min(channels, BLOCK // item)
    plane = part[0] * part[1] * LINE
    place, step = scratch.per_thread(plane * -(-block * item // LINE))
    values = (x.address, height, width, channels, block, *strides, part[1], place, step, plane)
    return dict(zip(IMAGE.split(), values, strict=True))


def lines_of(rows: int, stride: int, reach: int, across: int) -> int:
    """Return how many of `rows` are computed from one copy of lines of `across` pixels."""
    return min(rows, max(LEAST, (NEAR // (across * LINE) - reach) // stride + 1))


@njit
def copy_part(out, plane, image, rows, columns, width, real):
    """Copy `width` channels of a part of an image into planes, with zeros outside the image.

    image: (address, height, width, bytes of a pixel). rows, columns: (first, how many).
    """
    (x, high, wide, step), (top, lines), (left, across) = image, rows, columns
    start = min(max(0, -left), across)
    stop = max(start, min(across, wide - left))
    for y in range(lines):
        line = out + y * across * LINE
        if 0 <= top + y < high:
            no_pixels((line, plane), start, width, real)
            source = x + ((top + y) * wide + left + start) * step
            to_planes((line + start * LINE, plane), (source, step), stop - start, width, real)
            no_pixels((line + stop * LINE, plane), across - stop, width, real)
        else:
            no_pixels((line, plane), across, width, real)


@emitted()
def to_planes(code: Code, target: list[Vector], source: list[Vector], count: Vector, width: Vector) -> None:
    """Copy `count` pixels of `width` channels. target: (out, distance of planes). source: (x, distance of pixels)."""
    (out, plane), (x, step) = target, source
    with code.loop(count) as q:

        def copy(index: Vector, mask: Vector | None) -> None:
            code.wide.store(code.load(x + step * q, index, mask), out + q * LINE + index // code.lanes * plane)

        code.sweep(code.word(0), width, copy)


@emitted()
def no_pixels(code: Code, target: list[Vector], count: Vector, width: Vector) -> None:
    """Write zeros for `count` pixels of `width` channels. target: (out, distance of planes)."""
    out, plane = target
    with code.loop((width + (code.lanes - 1)) // code.lanes) as v, code.loop(count) as q:
        code.wide.store(code.full(0.0), out + plane * v + q * LINE)
