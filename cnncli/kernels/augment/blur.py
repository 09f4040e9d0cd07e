"""Random blurring and sharpening of images, in-place (see draws.py): a weighted mean over a square, blended with the
image. Pixels outside the image are zero.
"""

from math import exp
from typing import Any

from numba import njit, types

from cnncli.kernels.augment.draws import DRAWS, Among, Range, between, chosen, drawn, each_image
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, fields, view, worker

BLUR = block(DRAWS + "height width channels size gaussian scratch stride rare:f often:f low:f high:f least:f most:f")
PORTION = 1 << 13
"""Elements per chunk: about 20 µs of work."""
NARROWEST = 1e-6
"""Added to the standard deviation, as in Keras."""


def blur(
    x: Tensor,
    clock: Tensor,
    scratch: Scratch,
    stream: int,
    *,
    odds: Range,
    size: int,
    sigma: Range,
    limits: Range,
    among: Among | None = None,
) -> list[Step]:
    """Blur images of x, real (N, H, W, C), with Gaussians over `size` pixels, and clip all images to `limits`.

    `odds`: range of the probability of blurring. Horizontal and vertical standard deviations are drawn from `sigma`.
    clock: int64 (3,), see draws.py, read at run time. `among`: see draws.py.
    """
    (rare, often), (low, high) = odds, sigma
    span: dict[str, Any] = {"rare": rare, "often": often, "low": low, "high": high}
    return _mixed(x, clock, scratch, stream, among, limits, size=size, gaussian=1, **span)


def sharpen(
    x: Tensor,
    clock: Tensor,
    scratch: Scratch,
    stream: int,
    *,
    factor: Range,
    limits: Range,
    among: Among | None = None,
) -> list[Step]:
    """Blend x, real (N, H, W, C), with its mean over 3 × 3 pixels, the centre weighted 5: 0 the mean, 1 x, 2 sharper.

    The blending factor is twice a number drawn from `factor`; the result is clipped to `limits`. clock: int64 (3,),
    see draws.py, read at run time. `among`: see draws.py.
    """
    span: dict[str, Any] = {"rare": 1.0, "often": 1.0, "low": factor[0], "high": factor[1]}
    return _mixed(x, clock, scratch, stream, among, limits, size=3, gaussian=0, **span)


def _mixed(
    x: Tensor,
    clock: Tensor,
    scratch: Scratch,
    stream: int,
    among: Among | None,
    limits: Range,
    *,
    size: int,
    **parameters: Any,
) -> list[Step]:
    _, height, width, channels = x.shape
    place, stride = scratch.per_thread(16 * size + (height + 1) * width * channels * bytes_of(x.dtype))
    return [
        each_image(
            *(blur_worker, x, clock, stream, among, PORTION),
            height=height,
            width=width,
            channels=channels,
            size=size,
            scratch=place,
            stride=stride,
            least=limits[0],
            most=limits[1],
            **parameters,
        )
    ]


@njit
def _fill(array, value):
    for k in range(array.size):
        array[k] = value


@njit
def bell(weights, sigma):
    """Fill `weights` with a Gaussian whose sum is 1."""
    middle, total = (weights.size - 1) / 2, 0.0
    for tap in range(weights.size):
        weights[tap] = exp(-0.5 * ((tap - middle) / sigma) ** 2)
        total += weights[tap]
    for tap in range(weights.size):
        weights[tap] /= total


@njit
def _weigh(p, image, across, down):
    """Fill in the horizontal and vertical weights; return the factors of the image and of the weighted sum."""
    numbers = drawn(p, image, 0, 2)
    if p.gaussian:
        done = numbers[1] < between(p.rare, p.often, numbers[0])
        bell(across, between(p.low, p.high, numbers[2]) + NARROWEST)
        bell(down, between(p.low, p.high, numbers[3]) + NARROWEST)
        return 1.0 - done, 1.0 * done
    _fill(across, 1.0)
    _fill(down, 1.0)
    share = 1.0 - 2.0 * between(p.low, p.high, numbers[0])
    return 1.0 - share + share * 4.0 / 13.0, share / 13.0


@njit
def _add(out, x, size, weight):
    for k in range(size):
        out[k] += weight * x[k]


@worker(BLUR)
def blur_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def blur(parameters, start, stop, thread):
        p = fields(parameters, BLUR)
        line, half, least, most = p.width * p.channels, p.size // 2, real(p.least), real(p.most)
        place = p.scratch + thread * p.stride
        across, down = view(place, p.size, types.float64), view(place + 8 * p.size, p.size, types.float64)
        rows = place + 16 * p.size
        total = view(rows + p.height * line * item, line, real)
        for i in range(start, stop):
            if not chosen(p, i):
                continue
            source = p.x + i * p.height * line * item
            own, rest = _weigh(p, i, across, down)
            for row in range(p.height):
                blurred = view(rows + row * line * item, line, real)
                _fill(blurred, real(0))
                for tap in range(p.size):
                    shift = (tap - half) * p.channels
                    first, size = max(0, -shift), line - abs(shift)
                    if size > 0:
                        out = view(rows + (row * line + first) * item, size, real)
                        _add(
                            out, view(source + (row * line + first + shift) * item, size, real), size, real(across[tap])
                        )
            for row in range(p.height):
                _fill(total, real(0))
                for other in range(max(0, row - half), min(p.height, row + half + 1)):
                    _add(total, view(rows + other * line * item, line, real), line, real(down[other - row + half]))
                image = view(source + row * line * item, line, real)
                for k in range(line):
                    image[k] = min(max(real(own) * image[k] + real(rest) * total[k], least), most)

    return blur
