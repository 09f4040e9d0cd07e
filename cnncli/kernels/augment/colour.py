"""Random changes of hue, saturation and grey level, in-place (see draws.py).

Arithmetic is in float64; images are rounded once.
"""

from typing import Any

from numba import njit

from cnncli.kernels.augment.draws import DRAWS, Among, Range, between, chosen, drawn, each_image
from cnncli.kernels.jit.runtime import Step, Tensor, block, fields, view, worker

COLOUR = block(DRAWS + "pixels saturating low:f high:f start:f width:f")
GREY = block(DRAWS + "pixels rare:f often:f low:f high:f least:f most:f")
PORTION = 1 << 13
"""Elements per chunk: about 20 µs of work."""
TINY = 1e-7
"""Keras' epsilon, which avoids division by 0 for a factor of 1."""


def turn_hue(
    x: Tensor, clock: Tensor, stream: int, factor: Range, ends: Range, among: Among | None = None
) -> list[Step]:
    """Shift the hue of each image of x, real (N, H, W, 3), by half of a number drawn from `factor`, with random sign.

    1 is a full circle. `ends`: the values of 0 and 1; results stay within them. clock: int64 (3,), see draws.py, read
    at run time. `among`: see draws.py.
    """
    return _coloured(x, clock, stream, among, ends, saturating=0, low=factor[0], high=factor[1])


def saturate(
    x: Tensor, clock: Tensor, stream: int, factor: Range, ends: Range, among: Among | None = None
) -> list[Step]:
    """Multiply the saturation of each image of x, real (N, H, W, 3), by f / (1 - f), f from `factor`, within [0, 1].

    `ends`: the values of 0 and 1. clock: int64 (3,), see draws.py, read at run time. `among`: see draws.py.
    """
    return _coloured(x, clock, stream, among, ends, saturating=1, low=factor[0], high=factor[1])


def _coloured(x: Tensor, clock: Tensor, stream: int, among: Among | None, ends: Range, **parameters: Any) -> list[Step]:
    _, height, width, _ = x.shape
    return [
        each_image(
            *(colour_worker, x, clock, stream, among, PORTION),
            pixels=height * width,
            start=ends[0],
            width=ends[1] - ends[0],
            **parameters,
        )
    ]


def degenerate(
    x: Tensor, clock: Tensor, stream: int, odds: Range, factor: Range, limits: Range, among: Among | None = None
) -> list[Step]:
    """Blend images of x, real (N, H, W, 3), with grey; the weight of grey is drawn from `factor`.

    The result is clipped to `limits`. `odds`: range of the probability of the change. clock: int64 (3,), see draws.py,
    read at run time. `among`: see draws.py.
    """
    _, height, width, _ = x.shape
    return [
        each_image(
            *(grey_worker, x, clock, stream, among, PORTION),
            pixels=height * width,
            rare=odds[0],
            often=odds[1],
            low=factor[0],
            high=factor[1],
            least=limits[0],
            most=limits[1],
        )
    ]


@njit
def _hue(red, green, blue, value, spread):
    """The hue in [0, 1), red is 0, as in TensorFlow's rgb_to_hsv.

    `value` is the maximum of the three, `spread` maximum minus minimum.
    """
    if spread <= 0:
        return 0.0
    if red == value:
        hue = (green - blue) / (6 * spread)
    elif green == value:
        hue = (blue - red) / (6 * spread) + 2 / 6
    else:
        hue = (red - green) / (6 * spread) + 4 / 6
    return hue + 1 if hue < 0 else hue


@njit
def _rgb(hue, saturation, value):
    """(red, green, blue) as in TensorFlow's hsv_to_rgb."""
    sixths = hue * 6
    red = min(max(abs(sixths - 3) - 1, 0.0), 1.0)
    green = min(max(2 - abs(sixths - 2), 0.0), 1.0)
    blue = min(max(2 - abs(sixths - 4), 0.0), 1.0)
    grey = 1 - saturation
    return (grey + saturation * red) * value, (grey + saturation * green) * value, (grey + saturation * blue) * value


@njit
def _change(p, image):
    """Draw the offset of the hue and the factor of the saturation."""
    numbers = drawn(p, image)
    factor = between(p.low, p.high, numbers[0])
    if p.saturating:
        return 0.0, factor / (1 - factor + TINY)
    return (-0.5 if numbers[1] > 0.5 else 0.5) * factor, 1.0


@worker(COLOUR)
def colour_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def colour(parameters, start, stop, thread):
        p = fields(parameters, COLOUR)
        size, first, width, scale = 3 * p.pixels, p.start, p.width, 1 / p.width
        for i in range(start, stop):
            if not chosen(p, i):
                continue
            image, (turn, factor) = view(p.x + i * size * item, size, real), _change(p, i)
            for k in range(0, size, 3):
                red, green, blue = image[k] - first, image[k + 1] - first, image[k + 2] - first
                red, green, blue = red * scale, green * scale, blue * scale
                value = max(red, green, blue)
                spread = value - min(red, green, blue)
                hue = _hue(red, green, blue, value, spread) + turn
                hue += (hue < 0.0) * 1.0 - (hue > 1.0) * 1.0
                saturation = spread / value if value > 0 else 0.0
                if p.saturating:
                    saturation = min(max(saturation * factor, 0.0), 1.0)
                red, green, blue = _rgb(hue, saturation, value)
                if not p.saturating:
                    red, green, blue = min(max(red, 0.0), 1.0), min(max(green, 0.0), 1.0), min(max(blue, 0.0), 1.0)
                image[k], image[k + 1], image[k + 2] = (
                    real(red * width + first),
                    real(green * width + first),
                    real(blue * width + first),
                )

    return colour


@worker(GREY)
def grey_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def grey(parameters, start, stop, thread):
        p = fields(parameters, GREY)
        size, least, most = 3 * p.pixels, p.least, p.most
        for i in range(start, stop):
            odds, threshold, amount, _ = drawn(p, i)
            if threshold >= between(p.rare, p.often, odds) or not chosen(p, i):
                continue
            image, factor = view(p.x + i * size * item, size, real), between(p.low, p.high, amount)
            for k in range(0, size, 3):
                luma = 0.2989 * image[k] + 0.587 * image[k + 1] + 0.114 * image[k + 2]
                for channel in range(k, k + 3):
                    value = image[channel] + factor * (luma - image[channel])
                    image[channel] = real(min(max(value, least), most))

    return grey
