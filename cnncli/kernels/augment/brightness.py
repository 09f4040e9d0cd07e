"""Random brightness, contrast and inversion of images, in-place (see draws.py)."""

from cnncli.kernels.augment.draws import DRAWS, Among, Range, between, chosen, drawn, each_image
from cnncli.kernels.jit.runtime import Step, Tensor, Worker, block, fields, view, worker

TONE = block(DRAWS + "pixels channels low:f high:f least:f most:f")
PORTION = 1 << 14
"""Elements per chunk: about 10 µs of work."""


def brighten(
    x: Tensor, clock: Tensor, stream: int, change: Range, limits: Range, among: Among | None = None
) -> list[Step]:
    """Add a number drawn from `change` to each image of x, real (N, H, W, C), and clip to `limits`.

    clock: int64 (3,), see draws.py, read at run time. `among`: see kernels/augment/draws.py.
    """
    return [_step(brighten_worker, x, clock, stream, among, change, limits)]


def contrast(
    x: Tensor, clock: Tensor, stream: int, factor: Range, limits: Range, among: Among | None = None
) -> list[Step]:
    """Multiply each channel's distance from its mean by a number drawn from `factor`, and clip to `limits`.

    x: real (N, H, W, C). clock: int64 (3,), see draws.py, read at run time. A mean is one chain of sums in float64.
    """
    return [_step(contrast_worker, x, clock, stream, among, factor, limits)]


def invert(x: Tensor, clock: Tensor, stream: int, odds: Range, white: float, among: Among | None = None) -> list[Step]:
    """Invert images of x, real (N, H, W, C): `white` − x.

    `odds`: range of the probability of inversion. clock: int64 (3,), see draws.py, read at run time.
    `among`: see kernels/augment/draws.py.
    """
    return [_step(invert_worker, x, clock, stream, among, odds, (white, white))]


def _step(work: Worker, x: Tensor, clock: Tensor, stream: int, among: Among | None, span: Range, limits: Range) -> Step:
    _, height, width, channels = x.shape
    return each_image(
        *(work, x, clock, stream, among, PORTION),
        pixels=height * width,
        channels=channels,
        low=span[0],
        high=span[1],
        least=limits[0],
        most=limits[1],
    )


@worker(TONE)
def brighten_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def brighten(parameters, start, stop, thread):
        p = fields(parameters, TONE)
        size, least, most = p.pixels * p.channels, real(p.least), real(p.most)
        for i in range(start, stop):
            if not chosen(p, i):
                continue
            image, change = view(p.x + i * size * item, size, real), real(between(p.low, p.high, drawn(p, i)[0]))
            for k in range(size):
                image[k] = min(max(image[k] + change, least), most)

    return brighten


@worker(TONE)
def contrast_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def contrast(parameters, start, stop, thread):
        p = fields(parameters, TONE)
        size, least, most = p.pixels * p.channels, real(p.least), real(p.most)
        for i in range(start, stop):
            if not chosen(p, i):
                continue
            image, factor = view(p.x + i * size * item, size, real), real(between(p.low, p.high, drawn(p, i)[0]))
            for channel in range(p.channels):
                total = 0.0
                for k in range(channel, size, p.channels):
                    total += image[k]
                mean = real(total / p.pixels)
                for k in range(channel, size, p.channels):
                    image[k] = min(max((image[k] - mean) * factor + mean, least), most)

    return contrast


@worker(TONE)
def invert_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def invert(parameters, start, stop, thread):
        p = fields(parameters, TONE)
        size, white = p.pixels * p.channels, real(p.most)
        for i in range(start, stop):
            numbers = drawn(p, i)
            if numbers[1] >= between(p.low, p.high, numbers[0]) or not chosen(p, i):
                continue
            image = view(p.x + i * size * item, size, real)
            for k in range(size):
                image[k] = white - image[k]

    return invert
