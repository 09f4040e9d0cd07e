"""What all that changes images at random has in common: which images of a batch, and what is drawn for each.

What is drawn for an image comes from (seed, step), a stream and the image's place in the batch, in float64.
"""

from typing import Any

from numba import njit, types

from cnncli.kernels.batch.random import fractions
from cnncli.kernels.jit.runtime import Step, Tensor, Worker, images, view

DRAWS = "x clock stream chooser lowest:f highest:f "
"""The beginning of the parameter block of a worker whose units are images."""

Range = tuple[float, float]
Among = tuple[int, float, float]
"""Only images are changed whose first fraction in a stream, the first number, is above the second, up to the third."""


def each_image(
    work: Worker, x: Tensor, clock: Tensor, stream: int, among: Among | None, portion: int, **parameters: Any
) -> Step:
    """The step that changes each image of x, real (N, H, W, C), or those `among` them; `portion` elements in a chunk.

    clock: int64 (2,), [seed, step], read at run time. `stream`: of what is drawn. `parameters`: what the worker's block
    has besides `DRAWS`.
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
    """Whether an image is among those to be changed."""
    clock = view(p.clock, 2, types.int64)
    return p.lowest < fractions(clock[0], clock[1], p.chooser, image)[0] <= p.highest


@njit
def drawn(p, position):
    """Four numbers in (0, 1); `position`: the image's place, or a place of its own for each four of an image's."""
    clock = view(p.clock, 2, types.int64)
    return fractions(clock[0], clock[1], p.stream, position)


@njit
def between(low, high, fraction):
    """The number that `fraction` stands for."""
    return low + (high - low) * fraction
