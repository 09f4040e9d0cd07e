"""Images made brighter or darker, or of more or less contrast, at random and in place.

What is drawn for each image comes from (seed, step), the stream and the image's place in the batch, in float64.
"""

from numba import njit, types

from cnncli.kernels.random import fractions
from cnncli.kernels.runtime import Step, Tensor, Worker, block, fields, images, view, worker

TONE = block("x clock stream pixels channels low:f high:f least:f most:f")
PORTION = 1 << 14
"""Elements in a chunk, some 10 µs of work."""

Range = tuple[float, float]


def brighten(x: Tensor, clock: Tensor, stream: int, change: Range, limits: Range) -> list[Step]:
    """Add to each image of x, real (N, H, W, C), a number drawn within `change`, and clip to `limits`.

    clock: int64 (2,), [seed, step], read at run time.
    """
    return [_step(brighten_worker, x, clock, stream, change, limits)]


def contrast(x: Tensor, clock: Tensor, stream: int, factor: Range, limits: Range) -> list[Step]:
    """Multiply each channel's distance from its mean by a number drawn within `factor`, and clip to `limits`.

    x: real (N, H, W, C). clock: int64 (2,), [seed, step], read at run time. A mean is one chain of sums in float64.
    """
    return [_step(contrast_worker, x, clock, stream, factor, limits)]


def _step(work: Worker, x: Tensor, clock: Tensor, stream: int, drawn: Range, limits: Range) -> Step:
    batch, height, width, channels = x.shape
    return work.step(
        x.dtype,
        images(batch, max(1, PORTION // (height * width * channels))),
        x=x.address,
        clock=clock.address,
        stream=stream,
        pixels=height * width,
        channels=channels,
        low=drawn[0],
        high=drawn[1],
        least=limits[0],
        most=limits[1],
    )


@njit
def _drawn(p, image):
    clock = view(p.clock, 2, types.int64)
    return p.low + (p.high - p.low) * fractions(clock[0], clock[1], p.stream, image)[0]


@worker(TONE)
def brighten_worker(real):
    """Some images."""
    item = real.bitwidth // 8

    def brighten(parameters, start, stop, thread):
        p = fields(parameters, TONE)
        size, least, most = p.pixels * p.channels, real(p.least), real(p.most)
        for i in range(start, stop):
            image, change = view(p.x + i * size * item, size, real), real(_drawn(p, i))
            for k in range(size):
                image[k] = min(max(image[k] + change, least), most)

    return brighten


@worker(TONE)
def contrast_worker(real):
    """Some images."""
    item = real.bitwidth // 8

    def contrast(parameters, start, stop, thread):
        p = fields(parameters, TONE)
        size, least, most = p.pixels * p.channels, real(p.least), real(p.most)
        for i in range(start, stop):
            image, factor = view(p.x + i * size * item, size, real), real(_drawn(p, i))
            for channel in range(p.channels):
                total = 0.0
                for k in range(channel, size, p.channels):
                    total += image[k]
                mean = real(total / p.pixels)
                for k in range(channel, size, p.channels):
                    image[k] = min(max((image[k] - mean) * factor + mean, least), most)

    return contrast
