"""Random elastic distortion of images, in-place: pixel (x, y) is the input at (x + d, y + d), d a field of noise.

As in Keras on TensorFlow, both coordinates are moved by the same field, the noise is blurred over 6·⌊σ⌋ | 1 pixels,
zero outside, and places outside are handled as by its `map_coordinates`, which differs from `affine`.
"""

import numpy as np
from numba import njit, types

from cnncli.kernels.augment.affine import CONSTANT, PORTION, REFLECT, WRAP, framed
from cnncli.kernels.augment.blur import bell
from cnncli.kernels.augment.draws import DRAWS, Among, Range, between, chosen, drawn, each_image
from cnncli.kernels.augment.erase import normals
from cnncli.kernels.batch.random import fractions
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, fields, view, worker

ELASTIC = block(
    DRAWS + "noise height width channels fill nearest scratch stride rare:f often:f low:f high:f first:f value:f "
    "least:f most:f"
)
MIRROR = 4
"""Fill mode beside those of `affine.FILLS`: d c b a b c d c b a."""
SHIFT, WIDTH = 0.1, 0.05
"""Shares of the longer and of the shorter side: factor of the field, and σ."""


def distort(
    x: Tensor,
    clock: Tensor,
    scratch: Scratch,
    streams: tuple[int, int],
    *,
    odds: Range,
    scale: Range,
    fill: int,
    nearest: bool,
    values: Range,
    limits: Range,
    among: Among | None = None,
) -> list[Step]:
    """Distort images of x, real (N, H, W, C), by a strength drawn from `scale`, and clip all to `limits`.

    `streams`: of numbers of images, and of noise. `odds`: range of the probability. `fill`: one of `affine.FILLS`, or
    `MIRROR`. `values`: the first channel of pixels outside, and their others. clock: int64 (3,), see draws.py, read at
    run time. `among`: see draws.py.
    """
    _, height, width, channels = x.shape
    framed_size = (height + 1) * (width + 1) * channels * bytes_of(x.dtype)
    taps = _taps.py_func(WIDTH * min(height, width) * scale[1])
    place, stride = scratch.per_thread(framed_size + 8 * (2 * height * width + taps))
    return [
        each_image(
            *(elastic_worker, x, clock, streams[0], among, PORTION),
            noise=streams[1],
            height=height,
            width=width,
            channels=channels,
            fill=fill,
            nearest=nearest,
            scratch=place,
            stride=stride,
            rare=odds[0],
            often=odds[1],
            low=scale[0],
            high=scale[1],
            first=values[0],
            value=values[1],
            least=limits[0],
            most=limits[1],
        )
    ]


@njit
def _taps(sigma):
    """The pixels of the blur, also for the planner."""
    return 6 * int(sigma) | 1


@njit
def _blurred(noise, across, weights, height, width, factor):
    """Blur `noise`, (height · width,), in-place, times `factor`; `across`: as large."""
    half = weights.size // 2
    for k in range(noise.size):
        x, total = k % width, 0.0
        for other in range(max(0, x - half), min(width, x + half + 1)):
            total += weights[other - x + half] * noise[k - x + other]
        across[k] = total
    for k in range(noise.size):
        y, total = k // width, 0.0
        for other in range(max(0, y - half), min(height, y + half + 1)):
            total += weights[other - y + half] * across[k + (other - y) * width]
        noise[k] = factor * total


@njit
def _within(index, length, fill):
    """Return the index in an axis of `length`, or `length` for the constant."""
    if 0 <= index < length:
        return index
    if fill == CONSTANT:
        return length
    if fill == REFLECT:
        index = abs(index) % (2 * length)
        return index if index < length else 2 * length - index - 1
    if fill == MIRROR:
        index = abs(index) % max(1, 2 * length - 2)
        return min(index, 2 * length - 2 - index)
    if fill == WRAP:
        return index % length
    return min(max(index, 0), length - 1)


@worker(ELASTIC)
def elastic_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def elastic(parameters, start, stop, thread):
        p = fields(parameters, ELASTIC)
        clock, pixels, channels = view(p.clock, 3, types.int64), p.height * p.width, p.channels
        place, line = p.scratch + thread * p.stride, (p.width + 1) * channels
        field, across = view(place, pixels, types.float64), view(place + 8 * pixels, pixels, types.float64)
        place += 16 * pixels
        least, most = real(p.least), real(p.most)
        for i in range(start, stop):
            if not chosen(p, i):
                continue
            image, numbers = view(p.x + i * pixels * channels * item, pixels * channels, real), drawn(p, i)
            if numbers[1] < between(p.rare, p.often, numbers[0]):
                strength = between(p.low, p.high, numbers[2])
                sigma = WIDTH * strength * min(p.height, p.width)
                taps = _taps(sigma)
                weights = view(place, taps, types.float64)
                bell(weights, sigma)
                source = framed(p, p.x + i * pixels * channels * item, place + 8 * taps, real, item)
                four = (0.0, 0.0, 0.0, 0.0)
                for k in range(pixels):
                    if k % 4 == 0:
                        four = normals(
                            fractions(clock[0], clock[1], p.noise, (clock[2] + i) * ((pixels + 3) // 4) + k // 4)
                        )
                    field[k] = sigma * four[k % 4]
                _blurred(field, across, weights, p.height, p.width, SHIFT * strength * max(p.height, p.width))
                for k in range(pixels):
                    x, y = k % p.width + field[k], k // p.width + field[k]
                    x0, y0 = (np.rint(x), np.rint(y)) if p.nearest else (np.floor(x), np.floor(y))
                    wide, high = (0.0, 0.0) if p.nearest else (x - x0, y - y0)
                    left, right = _within(np.int64(x0), p.width, p.fill), _within(np.int64(x0) + 1, p.width, p.fill)
                    top, bottom = _within(np.int64(y0), p.height, p.fill), _within(np.int64(y0) + 1, p.height, p.fill)
                    for channel in range(channels):
                        above, below = top * line + channel, bottom * line + channel
                        first = (1 - wide) * source[above + left * channels] + wide * source[above + right * channels]
                        second = (1 - wide) * source[below + left * channels] + wide * source[below + right * channels]
                        image[k * channels + channel] = real((1 - high) * first + high * second)
            for k in range(image.size):
                image[k] = min(max(image[k], least), most)

    return elastic
