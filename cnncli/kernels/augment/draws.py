"""Shared by all random changes of images: selection of images in a batch, and random numbers for each.

The numbers of an image depend on (seed, step), a stream and the image's position in the batch, whose rows may be those
of a larger batch from the clock's first row on; they are float64.
"""

from typing import Any

from numba import njit, types

from cnncli.kernels.batch.random import fractions
from cnncli.kernels.jit.runtime import Step, Tensor, Worker, images, view

DRAWS = "x clock stream chooser lowest:f highest:f "
"""The beginning of the parameter block of a worker whose units are images."""

Range = tuple[float, float]
Among = tuple[int, float, float]
"""(stream, low, high): only images whose first fraction in the stream is in (low, high] are changed."""


def each_image(
    work: Worker, x: Tensor, clock: Tensor, stream: int, among: Among | None, portion: int, **parameters: Any
) -> Step:
    """Return the step that changes each image of x, real (N, H, W, C), or those `among`; `portion` elements per chunk.

    clock: int64 (3,), [seed, step, first row], read at run time. `stream`: the random stream. `parameters`: the fields
    of the worker's block besides `DRAWS`.
    """
    batch, height, width, channels = x.shape
    chooser, lowest, highest = among or (0, 0.0, 1.0)
    return work.step(
        x.dtype,
        images(batch, max(1, portion // (height * width * channels))),
        x=x.address,
        clock=clock.address,
        stream=stream,
        chooser=chooser,
        lowest=lowest,
        highest=highest,
        **parameters,
    )


@njit
def chosen(p, image):
    """Whether an image is selected."""
    clock = view(p.clock, 3, types.int64)
    return p.lowest < fractions(clock[0], clock[1], p.chooser, clock[2] + image)[0] <= p.highest


@njit
def drawn(p, image, number=0, of=1):
    """Four numbers in (0, 1) of an image: those with this number, of so many that each image has."""
    clock = view(p.clock, 3, types.int64)
    return fractions(clock[0], clock[1], p.stream, (clock[2] + image) * of + number)


@njit
def between(low, high, fraction):
    """Map `fraction` to the range from `low` to `high`."""
    return low + (high - low) * fraction
