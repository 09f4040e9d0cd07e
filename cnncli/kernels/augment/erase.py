"""Random erasing of rectangles, in-place (Zhong et al. 2017).

Random numbers of each image: see draws.py. The noise of an element depends on its position, in a separate stream.
"""

from math import cos, log, pi, sin, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit, types

from cnncli.kernels.augment.draws import DRAWS, Among, Range, between, chosen, drawn, each_image
from cnncli.kernels.batch.random import fractions
from cnncli.kernels.jit.runtime import Step, Tensor, block, fields, view, worker

ERASE = block(
    DRAWS + "noise noisy height width channels low:f high:f small:f large:f value:f least:f most:f deviation:f"
)
PORTION = 1 << 14
"""Elements per chunk."""


class Patch(NamedTuple):
    """Parameters of erasing: ranges of the probability and of the area, as a fraction of the image's.

    The rectangle is filled with `value`, or if None with normal noise of standard deviation `deviation`. Both are
    clipped to `limits`.
    """

    odds: Range
    area: Range
    value: float | None
    deviation: float
    limits: Range


def erase(x: Tensor, clock: Tensor, stream: int, noise: int, patch: Patch, among: Among | None = None) -> list[Step]:
    """Erase a rectangle in some of the images of x, real (N, H, W, C).

    Its sides are the square roots of two areas, as fractions of the image's. clock: int64 (3,), see draws.py, read at
    run time. `stream`, `noise`: the streams of the rectangles and of the noise. `among`: see draws.py.
    """
    _, height, width, channels = x.shape
    return [
        each_image(
            *(erase_worker, x, clock, stream, among, PORTION),
            noise=noise,
            noisy=patch.value is None,
            height=height,
            width=width,
            channels=channels,
            low=patch.odds[0],
            high=patch.odds[1],
            small=patch.area[0],
            large=patch.area[1],
            value=min(max(patch.value or 0.0, patch.limits[0]), patch.limits[1]),
            least=patch.limits[0],
            most=patch.limits[1],
            deviation=patch.deviation,
        )
    ]


@njit
def _stretch(length, area, fraction):
    """Return the first cell and the last + 1 of a randomly placed side along an axis."""
    side = sqrt(area) * length
    first = fraction * (length - side)
    return np.int64(np.ceil(first)), np.int64(np.ceil(first + side))


@njit
def normals(drawn):
    """Convert four numbers in (0, 1) to four normal ones (Box and Muller 1958)."""
    u, v, s, t = drawn
    first, second = sqrt(-2 * log(u)), sqrt(-2 * log(s))
    return first * cos(2 * pi * v), first * sin(2 * pi * v), second * cos(2 * pi * t), second * sin(2 * pi * t)


@njit
def _filled(p, clock, image, start, stop, before, real):
    """Fill elements start … stop - 1 of an image; `before` is the number of elements in the batch before it."""
    numbers, four = (0.0, 0.0, 0.0, 0.0), -1
    for k in range(start, stop):
        if p.noisy:
            place = before + k
            if place // 4 != four:
                four = place // 4
                numbers = normals(fractions(clock[0], clock[1], p.noise, four))
            image[k] = real(min(max(numbers[place % 4] * p.deviation, p.least), p.most))
        else:
            image[k] = real(p.value)


@worker(ERASE)
def erase_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def erase(parameters, start, stop, thread):
        p = fields(parameters, ERASE)
        clock, size = view(p.clock, 3, types.int64), p.height * p.width * p.channels
        for i in range(start, stop):
            across, down, left, top = drawn(p, i, 0, 2)
            odds, threshold, _, _ = drawn(p, i, 1, 2)
            if threshold >= between(p.low, p.high, odds) or not chosen(p, i):
                continue
            first, last = _stretch(p.width, between(p.small, p.large, across), left)
            upper, lower = _stretch(p.height, between(p.small, p.large, down), top)
            image, before = view(p.x + i * size * item, size, real), (clock[2] + i) * size
            for row in range(upper, lower):
                line = row * p.width
                _filled(p, clock, image, (line + first) * p.channels, (line + last) * p.channels, before, real)

    return erase
