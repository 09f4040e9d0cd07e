"""Random perspective of images, in-place: output pixel (x, y) is the input at (a0·x, b1·y) / (c0·x + c1·y + 1).

Three corners move and the upper left one stays, therefore the system of equations that Keras solves has a closed form.
The coefficients are computed in float64 and rounded to float32 as in Keras.
"""

import numpy as np
from numba import njit

from cnncli.kernels.augment.affine import CONSTANT, PORTION, framed, read_pixel
from cnncli.kernels.augment.draws import DRAWS, Among, Range, between, chosen, drawn, each_image
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, fields, view, worker

WARP = block(DRAWS + "height width channels nearest scratch stride rare:f often:f reach:f first:f value:f")


def warp(
    x: Tensor,
    clock: Tensor,
    scratch: Scratch,
    stream: int,
    *,
    odds: Range,
    scale: float,
    nearest: bool,
    fill: Range,
    among: Among | None = None,
) -> list[Step]:
    """Move the corners of images of x, real (N, H, W, C), H, W > 1, by up to `scale`/2 of the sides, with their pixels.

    `odds`: range of the probability. `fill`: the first channel of pixels outside, and their others. clock: int64 (3,),
    see draws.py, read at run time. `among`: see draws.py.
    """
    _, height, width, channels = x.shape
    place, stride = scratch.per_thread((height + 1) * (width + 1) * channels * bytes_of(x.dtype))
    return [
        each_image(
            *(warp_worker, x, clock, stream, among, PORTION),
            height=height,
            width=width,
            channels=channels,
            nearest=nearest,
            scratch=place,
            stride=stride,
            rare=odds[0],
            often=odds[1],
            reach=0.5 * scale,
            first=fill[0],
            value=fill[1],
        )
    ]


@njit
def _coefficients(p, numbers):
    """Return (a0, b1, c0, c1) for one image; `numbers` in (0, 1).

    They bring the moved corners, (right, 0), (0, bottom), (x, y), back to where they were.
    """
    far, low = p.width - 1.0, p.height - 1.0
    right, bottom = (
        far * (1 + between(-p.reach, p.reach, numbers[0])),
        low * (1 + between(-p.reach, p.reach, numbers[1])),
    )
    x, y = far * (1 + between(-p.reach, p.reach, numbers[2])), low * (1 + between(-p.reach, p.reach, numbers[3]))
    c0, c1 = (y / bottom - 1) / x, (x / right - 1) / y
    return np.float32(far * (c0 + 1 / right)), np.float32(low * (c1 + 1 / bottom)), np.float32(c0), np.float32(c1)


@worker(WARP)
def warp_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def warp(parameters, start, stop, thread):
        p = fields(parameters, WARP)
        size = p.height * p.width * p.channels
        for i in range(start, stop):
            odds, threshold, _, _ = drawn(p, i, 0, 2)
            if threshold >= between(p.rare, p.often, odds) or not chosen(p, i):
                continue
            across, down, by_column, by_row = _coefficients(p, drawn(p, i, 1, 2))
            image = view(p.x + i * size * item, size, real)
            source = framed(p, p.x + i * size * item, p.scratch + thread * p.stride, real, item)
            out = 0
            for row in range(p.height):
                for column in range(p.width):
                    # Where the divisor is 0, the place is infinite or NaN, and thereby outside.
                    divisor = by_column * column + by_row * row + 1.0
                    x, y = across * column / divisor, down * row / divisor
                    read_pixel(image, out, source, x, y, p.height, p.width, p.channels, CONSTANT, p.nearest, real)
                    out += p.channels

    return warp
