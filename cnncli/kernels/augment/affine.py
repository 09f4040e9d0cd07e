"""Random affine transforms, in-place: output pixel (x, y) is the input at (a0·x + a1·y + a2, b0·x + b1·y + b2).

The six coefficients are drawn per image (see draws.py) in float64 and rounded to float32 as in Keras. Pixels outside
the image are handled as in TensorFlow's ImageProjectiveTransformV3 (tensorflow/core/kernels/image/image_ops.h), which
Keras' layers call.
"""

from math import cos, pi, sin

import numpy as np
from numba import njit, types

from cnncli.kernels.augment.draws import DRAWS, Among, Range, between, chosen, drawn, each_image
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import copy
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, fields, view, worker

AFFINE = block(
    DRAWS + "height width channels move fill nearest scratch stride low_y:f high_y:f low_x:f high_x:f value:f first:f"
)
MOVES = FLIP, SHIFT, TURN, ZOOM, ZOOM_EVENLY, SHEAR, CROP = range(7)
FILLS = REFLECT, WRAP, CONSTANT, NEAREST = range(4)
"""Fill modes for pixels outside a b c d: d c b a (reflect), a b c d (wrap), a constant, the nearest pixel."""
PORTION = 1 << 13
"""Elements per chunk: about 20 µs of work."""

STILL: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""The identity transform."""

Span = tuple[Range, Range]


def transform(
    x: Tensor,
    clock: Tensor,
    scratch: Scratch,
    stream: int,
    *,
    move: int,
    span: Span,
    fill: int = CONSTANT,
    nearest: bool = True,
    value: float = 0.0,
    first: float | None = None,
    among: Among | None = None,
) -> list[Step]:
    """Transform images of x, real (N, H, W, C), with numbers drawn from `span`: vertical and horizontal (low, high).

    FLIP: with probability 1/2, along the axes whose numbers are not 0. SHIFT: fractions of height and width. TURN:
    fraction of a full rotation, from the first pair. ZOOM: factors; ZOOM_EVENLY: one factor, from the first pair.
    SHEAR: with random sign. CROP: whole pixels. clock: int64 (3,), see draws.py, read at run time. `value` is the fill
    value of CONSTANT, `first` that of the first channel, if different. `among`: see draws.py.
    """
    _, height, width, channels = x.shape
    line = (width + 1) * channels
    item = bytes_of(x.dtype)
    place, stride = scratch.per_thread((height + 2) * line * item + width * channels * (item + 8))
    (low_y, high_y), (low_x, high_x) = span
    return [
        each_image(
            *(affine_worker, x, clock, stream, among, PORTION),
            height=height,
            width=width,
            channels=channels,
            move=move,
            fill=fill,
            nearest=nearest,
            scratch=place,
            stride=stride,
            low_y=low_y,
            high_y=high_y,
            low_x=low_x,
            high_x=high_x,
            value=value,
            first=value if first is None else first,
        )
    ]


@njit
def _matrix(p, numbers):
    """Return (a0, a1, a2, b0, b1, b2) for one image; `numbers` in (0, 1)."""
    y, x = between(p.low_y, p.high_y, numbers[0]), between(p.low_x, p.high_x, numbers[1])
    middle_x, middle_y = (p.width - 1) / 2, (p.height - 1) / 2
    if p.move == FLIP:
        turned = numbers[0] <= 0.5
        across, down = 1.0 - 2.0 * (turned and p.high_x != 0), 1.0 - 2.0 * (turned and p.high_y != 0)
        return across, 0.0, middle_x * (1 - across), 0.0, down, middle_y * (1 - down)
    if p.move == SHIFT:
        return 1.0, 0.0, -x * p.width, 0.0, 1.0, -y * p.height
    if p.move == TURN:
        c, s = cos(2 * pi * y), sin(2 * pi * y)
        return c, -s, middle_x - middle_x * c + middle_y * s, s, c, middle_y - middle_x * s - middle_y * c
    if p.move in (ZOOM, ZOOM_EVENLY):
        across = x if p.move == ZOOM else y
        return across, 0.0, middle_x * (1 - across), 0.0, y, middle_y * (1 - y)
    if p.move == SHEAR:
        sign = -1.0 if numbers[2] > 0.5 else 1.0
        return 1.0, sign * x, 0.0, sign * y, 1.0, 0.0
    rows, columns = p.high_y - p.low_y + 1, p.high_x - p.low_x + 1
    return 1.0, 0.0, np.floor(p.low_x + columns * numbers[1]), 0.0, 1.0, np.floor(p.low_y + rows * numbers[0])


@njit(forceinline=True)
def taps(place, length, fill, nearest):
    """Return the two cells around a position, and the weight of the second; index `length` means outside."""
    if not 0 <= place <= length - 1:
        if fill == CONSTANT:
            return _over_the_edge(place, length, nearest)
        place = _within(place, length, fill)
    if nearest:
        first = np.int64(place + 0.5)
        return first, first, 0.0
    first = np.int64(place)
    return first, first + 1, place - first


@njit
def _over_the_edge(place, length, nearest):
    """`taps` of a position outside, for the constant fill mode."""
    if nearest and -0.5 < place < length - 0.5:
        edge = 0 if place < 0 else length - 1
        return edge, edge, 0.0
    if not nearest and -1 < place < 0:
        return length, 0, place + 1
    if not nearest and length - 1 < place < length:
        return length - 1, length, place - (length - 1)
    return length, length, 0.0


@njit
def _within(place, length, fill):
    """Map a position outside an axis of `length` to one inside, according to the fill mode."""
    if fill == REFLECT and length > 1:
        period = 2.0 * length
        if place < 0:
            place += period * np.trunc(-place / period)
            place = place + period if place < -length else -place - 1
        else:
            place -= period * np.trunc(place / period)
            place = period - place - 1 if place >= length else place
    elif fill == WRAP and length > 1:
        # TensorFlow divides by length - 1 rather than length: far outside it wraps once too often.
        if place < 0:
            place += length * (np.trunc(-place / (length - 1)) + 1)
        else:
            place -= length * np.trunc(place / (length - 1))
    return min(max(place, 0.0), length - 1.0)


@njit
def framed(p, x, place, real, item):
    """Copy the image at address x to `place`, with an additional column and row of the constant."""
    line, value, first = (p.width + 1) * p.channels, real(p.value), real(p.first)
    source = view(place, (p.height + 1) * line, real)
    for row in range(p.height):
        size = p.width * p.channels
        copy(place + row * line * item, x + row * size * item, size * item)
        for k in range(row * line + size, (row + 1) * line):
            source[k] = value
        source[row * line + size] = first
    for k in range(p.height * line, (p.height + 1) * line):
        source[k] = first if k % p.channels == 0 else value
    return source


@njit
def _upright(p, matrix, image, source, place, real, item):
    """Transform without rotation or shear: blend two rows, then two elements of the resulting line for each pixel."""
    line, size = (p.width + 1) * p.channels, p.width * p.channels
    blended, weights = view(place, line, real), view(place + line * item, size, real)
    place += (line + size) * item
    # Numba checks signed indices for negative values (wraparound).
    firsts, seconds = view(place, size, types.uint32), view(place + 4 * size, size, types.uint32)
    for column in range(p.width):
        first, second, weight = taps(matrix[0] * column + matrix[2], p.width, p.fill, p.nearest)
        for channel in range(p.channels):
            k = column * p.channels + channel
            firsts[k], seconds[k], weights[k] = first * p.channels + channel, second * p.channels + channel, weight
    for row in range(p.height):
        first, second, weight = taps(matrix[4] * row + matrix[5], p.height, p.fill, p.nearest)
        out, top = image[row * size : (row + 1) * size], source[first * line : (first + 1) * line]
        if p.nearest:
            for k in range(size):
                out[k] = top[firsts[k]]
            continue
        bottom, share = source[second * line : (second + 1) * line], real(weight)
        rest = real(1) - share
        for k in range(line):
            blended[k] = rest * top[k] + share * bottom[k]
        for k in range(size):
            out[k] = (real(1) - weights[k]) * blended[firsts[k]] + weights[k] * blended[seconds[k]]


@njit(forceinline=True)
def read_pixel(image, out, source, x, y, height, width, channels, fill, nearest, real):
    """Write the channels at place (x, y) of `source`, which is `framed`, to `image` from index `out` on."""
    line = (width + 1) * channels
    left, right, across = taps(x, width, fill, nearest)
    top, bottom, down = taps(y, height, fill, nearest)
    wide, high = real(across), real(down)
    above, below = source[top * line : (top + 1) * line], source[bottom * line : (bottom + 1) * line]
    left, right = left * channels, right * channels
    for channel in range(channels):
        first = (real(1) - wide) * above[left + channel] + wide * above[right + channel]
        second = (real(1) - wide) * below[left + channel] + wide * below[right + channel]
        image[out + channel] = (real(1) - high) * first + high * second


@njit
def _turned(p, matrix, image, source, real):
    """Transform with rotation or shear: each pixel from four input pixels."""
    out = 0
    for row in range(p.height):
        for column in range(p.width):
            x = matrix[0] * column + matrix[1] * row + matrix[2]
            y = matrix[3] * column + matrix[4] * row + matrix[5]
            read_pixel(image, out, source, x, y, p.height, p.width, p.channels, p.fill, p.nearest, real)
            out += p.channels


@worker(AFFINE)
def affine_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def affine(parameters, start, stop, thread):
        p = fields(parameters, AFFINE)
        size = p.height * p.width * p.channels
        place = p.scratch + thread * p.stride
        after = place + (p.height + 1) * (p.width + 1) * p.channels * item
        for i in range(start, stop):
            if not chosen(p, i):
                continue
            a0, a1, a2, b0, b1, b2 = _matrix(p, drawn(p, i))
            matrix = np.float32(a0), np.float32(a1), np.float32(a2), np.float32(b0), np.float32(b1), np.float32(b2)
            if (a0, a1, a2, b0, b1, b2) == STILL:
                continue
            image = view(p.x + i * size * item, size, real)
            source = framed(p, p.x + i * size * item, place, real, item)
            if matrix[1] == 0 and matrix[3] == 0:
                _upright(p, matrix, image, source, after, real, item)
            else:
                _turned(p, matrix, image, source, real)

    return affine
