"""Operations on the 256 levels of images: solarization, posterization, stretching and equalization, in-place.

Random numbers: see draws.py. Arithmetic is in float64; images are rounded once.
"""

from typing import Any

import numpy as np
from numba import types

from cnncli.kernels.augment.draws import DRAWS, Among, Range, between, chosen, drawn, each_image
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, fields, view, worker

POINTS = block(DRAWS + "elements posterizing low:f high:f dark:f bright:f start:f unit:f")
STRETCH = block(DRAWS + "pixels channels least:f most:f")
EQUAL = block(DRAWS + "pixels channels bins scratch stride start:f unit:f")
PORTION = 1 << 14
"""Elements per chunk: about 10 µs of work."""
NEARLY = 2.0**-10
"""Added to a level before truncation to an integer: k / 255 · 255 is not always k."""


def solarize(
    x: Tensor, clock: Tensor, stream: int, addition: Range, threshold: Range, ends: Range, among: Among | None = None
) -> list[Step]:
    """Add levels drawn from `addition` to each image of x, real (N, H, W, C), clip, and invert levels ≥ `threshold`.

    `ends`: the values of levels 0 and 255. clock: int64 (3,), see draws.py, read at run time. `among`: see draws.py.
    """
    (low, high), (dark, bright) = addition, threshold
    return _points(x, clock, stream, among, ends, posterizing=0, low=low, high=high, dark=dark, bright=bright)


def posterize(
    x: Tensor, clock: Tensor, stream: int, bits: tuple[int, int], ends: Range, among: Among | None = None
) -> list[Step]:
    """Keep the most significant of the 8 bits of each level of x, real (N, H, W, C): bits[0] to bits[1] of them.

    `ends`: the values of levels 0 and 255. clock: int64 (3,), see draws.py, read at run time. `among`: see draws.py.
    """
    low, high = bits
    return _points(x, clock, stream, among, ends, posterizing=1, low=low, high=high + 1, dark=0.0, bright=0.0)


def _points(x: Tensor, clock: Tensor, stream: int, among: Among | None, ends: Range, **span: Any) -> list[Step]:
    _, height, width, channels = x.shape
    return [
        each_image(
            *(points_worker, x, clock, stream, among, PORTION),
            elements=height * width * channels,
            start=ends[0],
            unit=(ends[1] - ends[0]) / 255,
            **span,
        )
    ]


def stretch(x: Tensor, clock: Tensor, limits: Range, among: Among | None = None) -> list[Step]:
    """Stretch each channel of each image of x, real (N, H, W, C), to `limits`, except constant channels.

    `among`: see draws.py; clock: int64 (3,), see draws.py, read at run time.
    """
    _, height, width, channels = x.shape
    return [
        each_image(
            *(stretch_worker, x, clock, 0, among, PORTION),
            pixels=height * width,
            channels=channels,
            least=limits[0],
            most=limits[1],
        )
    ]


def equalize(
    x: Tensor, clock: Tensor, scratch: Scratch, bins: int, ends: Range, among: Among | None = None
) -> list[Step]:
    """Equalize the histogram, of `bins` bins, of each channel of each image of x, real (N, H, W, C).

    A channel within a single bin is unchanged. `ends`: the values of levels 0 and 255. `among`: see draws.py; clock:
    int64 (3,), see draws.py, read at run time.
    """
    _, height, width, channels = x.shape
    place, stride = scratch.per_thread(8 * bins + 4 * height * width)
    return [
        each_image(
            *(equalize_worker, x, clock, 0, among, PORTION),
            pixels=height * width,
            channels=channels,
            bins=bins,
            scratch=place,
            stride=stride,
            start=ends[0],
            unit=(ends[1] - ends[0]) / 255,
        )
    ]


@worker(POINTS)
def points_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def points(parameters, start, stop, thread):
        p = fields(parameters, POINTS)
        first, unit = p.start, p.unit
        for i in range(start, stop):
            if not chosen(p, i):
                continue
            image, numbers = view(p.x + i * p.elements * item, p.elements, real), drawn(p, i)
            number = between(p.low, p.high, numbers[0])
            if p.posterizing:
                step = 2.0 ** (8 - np.floor(number))
                for k in range(p.elements):
                    level = min(max((image[k] - first) / unit + NEARLY, 0.0), 255.0)
                    image[k] = real(np.floor(level / step) * step * unit + first)
            else:
                threshold = between(p.dark, p.bright, numbers[1])
                for k in range(p.elements):
                    level = min(max((image[k] - first) / unit + number, 0.0), 255.0)
                    image[k] = real((level if level < threshold else 255.0 - level) * unit + first)

    return points


@worker(STRETCH)
def stretch_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def stretch(parameters, start, stop, thread):
        p = fields(parameters, STRETCH)
        size, least, most = p.pixels * p.channels, p.least, p.most
        for i in range(start, stop):
            if not chosen(p, i):
                continue
            image = view(p.x + i * size * item, size, real)
            for channel in range(p.channels):
                low = high = image[channel]
                for k in range(channel, size, p.channels):
                    low, high = min(low, image[k]), max(high, image[k])
                if low == high:
                    continue
                scale = (most - least) / (np.float64(high) - low)
                for k in range(channel, size, p.channels):
                    image[k] = real(min(max((np.float64(image[k]) - low) * scale + least, least), most))

    return stretch


@worker(EQUAL)
def equalize_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def equalize(parameters, start, stop, thread):
        p = fields(parameters, EQUAL)
        size, scale, place = p.pixels * p.channels, (p.bins - 1) / 255 / p.unit, p.scratch + thread * p.stride
        counts, found = view(place, p.bins, types.int64), view(place + 8 * p.bins, p.pixels, types.uint32)
        for i in range(start, stop):
            if not chosen(p, i):
                continue
            image = view(p.x + i * size * item, size, real)
            for channel in range(p.channels):
                for cell in range(p.bins):
                    counts[cell] = 0
                for pixel in range(p.pixels):
                    cell = (image[pixel * p.channels + channel] - p.start) * scale + NEARLY
                    found[pixel] = np.int64(min(max(cell, 0.0), p.bins - 1.0))
                    counts[found[pixel]] += 1
                lowest = 0
                while counts[lowest] == 0:
                    lowest += 1
                rest = p.pixels - counts[lowest]
                if rest == 0:
                    continue
                total = -counts[lowest]
                for cell in range(p.bins):
                    # Replace the count by the new level.
                    total += counts[cell]
                    counts[cell] = np.int64(np.rint(max(total, 0) * 255 / rest))
                for pixel in range(p.pixels):
                    image[pixel * p.channels + channel] = real(counts[found[pixel]] * p.unit + p.start)

    return equalize
