"""Resampling of images: each row and column of the result a weighted sum of neighboring ones of the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, pi, sin
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.ops.conv import image_shape
from cnncli.ops.ir import Call, Op, Tape, Value
from cnncli.ops.reach import Reaches

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor

Taps = tuple[tuple[int, tuple[float, ...]], ...]
"""Of each cell of the result along an axis: the first cell that it reads, and the weights of it and the next ones."""
TABLE = 1024
"""Places between two pixels for which TensorFlow has weights of bicubic interpolation."""


@dataclass(frozen=True)
class Resample(Op):
    """x (H,W,C) → (len(rows), len(columns), C): sums of cells, weighted as `rows` and `columns` say."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    rows: Taps
    columns: Taps

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like((len(self.rows), len(self.columns), image_shape(inputs[0])[2])),)

    def reads(self, x: Value, output: Value) -> Reaches | None:
        return None

    def flops(self, call: Call) -> int:
        channels = call.output.shape[2]
        read = [sum(len(weights) for _, weights in taps) for taps in (self.rows, self.columns)]
        return 2 * channels * read[0] * read[1]

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        height, width, _ = call.inputs[0].shape
        return (tape.emit(Resample(_transposed(self.rows, height), _transposed(self.columns, width)), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        rows, columns = (
            kernels.resample.Bands([first for first, _ in taps], [weights for _, weights in taps])
            for taps in (self.rows, self.columns)
        )
        return kernels.resample.weighted(inputs[0], outputs[0], rows, columns)


def _transposed(taps: Taps, cells: int) -> Taps:
    """The taps of the adjoint, for an axis of `cells`; one that nobody reads has a weight of 0."""
    readers: list[dict[int, float]] = [{} for _ in range(cells)]
    for place, (first, weights) in enumerate(taps):
        for cell, weight in enumerate(weights, first):
            readers[cell][place] = weight
    return tuple(
        (min(read), tuple(read.get(place, 0.0) for place in range(min(read), max(read) + 1))) if read else (0, (0.0,))
        for read in readers
    )


def picked(cells: Sequence[int]) -> Taps:
    """The taps that pick these cells."""
    return tuple((cell, (1.0,)) for cell in cells)


def windows(cells: int, out: int) -> list[tuple[int, int]]:
    """Where each of `out` adaptive windows over `cells` begins and ends; neighbors may overlap."""
    return [(place * cells // out, -(-(place + 1) * cells // out)) for place in range(out)]


def averages(cells: int, out: int) -> Taps:
    """The taps of the means of adaptive windows."""
    return tuple((start, (1 / (end - start),) * (end - start)) for start, end in windows(cells, out))


def interpolated(cells: int, out: int, interpolation: str, *, antialias: bool) -> Taps:
    """The taps of tf.image.resize from `cells` to `out`, whose pixel centers are at half-integers.

    `antialias` widens the kernel where the image gets smaller. Cells outside of the image do not count.
    """
    if interpolation == "nearest":
        return picked([min((2 * place + 1) * cells // (2 * out), cells - 1) for place in range(out)])
    kernel, radius = KERNELS[interpolation]
    widened = max(cells / out, 1.0) if antialias else 1.0
    taps = []
    for place in range(out):
        center = (place + 0.5) * cells / out - 0.5
        if interpolation == "bicubic" and not antialias:
            center = floor(center) + round((center - floor(center)) * TABLE) / TABLE
        reach = radius * widened
        first, last = max(ceil(center - reach), 0), min(floor(center + reach), cells - 1)
        weights = [kernel(abs(cell - center) / widened) for cell in range(first, last + 1)]
        taps.append((first, tuple(weight / sum(weights) for weight in weights)))
    return tuple(taps)


def _triangle(x: float) -> float:
    return max(0.0, 1 - x)


def _cubic(x: float) -> float:
    """Keys' cubic convolution with a = −1/2."""
    if x >= 2:
        return 0.0
    return ((1.5 * x - 2.5) * x) * x + 1 if x < 1 else ((-0.5 * x + 2.5) * x - 4) * x + 2


def _lanczos(radius: int) -> Callable[[float], float]:
    def kernel(x: float) -> float:
        if x >= radius:
            return 0.0
        return 1.0 if x < 1e-3 else radius * sin(pi * x) * sin(pi * x / radius) / (pi * x) ** 2

    return kernel


KERNELS: dict[str, tuple[Callable[[float], float], int]] = {
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic, 2),
    "lanczos3": (_lanczos(3), 3),
    "lanczos5": (_lanczos(5), 5),
}
"""Interpolations: the weight of a pixel by its distance, and how far it reaches."""
