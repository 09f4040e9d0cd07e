"""Upsampling, padding and cropping of images, and repetition of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.ops.conv import image_shape
from cnncli.ops.ir import Call, Op, Tape, Value
from cnncli.ops.reach import Reach, Reaches, bilinear, enlarging
from cnncli.ops.window import Pair

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor
    from cnncli.kernels.pooling.resample import Bands


@dataclass(frozen=True)
class Frame(Op):
    """Pad x (H,W,C) with rows (above, below) and columns (left, right) of zeros; negative numbers crop."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    rows: Pair
    columns: Pair

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        height, width, channels = image_shape(inputs[0])
        return (inputs[0].like((height + sum(self.rows), width + sum(self.columns), channels)),)

    def reads(self, x: Value, output: Value) -> Reaches:
        rows, columns = (Reach(1, (-before,), (-before,)) for before, _ in (self.rows, self.columns))
        return rows, columns

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        (above, below), (left, right) = self.rows, self.columns
        return (tape.emit(Frame((-above, -below), (-left, -right)), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.resample.frame(inputs[0], outputs[0], self.rows[0], self.columns[0])


@dataclass(frozen=True)
class UpSample2D(Op):
    """x (H,W,C) → (H·size, W·size, C), or its adjoint; `interpolation` is "nearest" or "bilinear"."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    size: Pair
    interpolation: str
    adjoint: bool = False

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        height, width, channels = image_shape(inputs[0])
        sy, sx = self.size
        if self.adjoint:
            return (inputs[0].like((height // sy, width // sx, channels)),)
        return (inputs[0].like((height * sy, width * sx, channels)),)

    def reads(self, x: Value, output: Value) -> Reaches | None:
        if self.adjoint:
            return None
        nearest = self.interpolation == "nearest"
        rows, columns = (enlarging(n, lambda cell: (0, 0)) if nearest else bilinear(n) for n in self.size)
        return rows, columns

    def flops(self, call: Call) -> int:
        if self.interpolation == "nearest":
            return call.inputs[0].size if self.adjoint else 0
        return 8 * max(call.inputs[0].size, call.output.size)  # four products and sums for each large pixel

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(UpSample2D(self.size, self.interpolation, adjoint=not self.adjoint), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        small = (outputs if self.adjoint else inputs)[0].shape[1:3]
        bands = [self._bands(cells, size) for cells, size in zip(small, self.size, strict=True)]
        return kernels.resample.weighted(inputs[0], outputs[0], *bands)

    def _bands(self, cells: int, size: int) -> Bands:
        """Return the resampling weights of one axis; `cells` is its length in the small image."""
        reads = [dict(self._reads(place, cells, size)) for place in range(cells * size)]
        if self.adjoint:
            reads = [{place: read[cell] for place, read in enumerate(reads) if cell in read} for cell in range(cells)]
        return kernels.resample.Bands([min(read) for read in reads], [list(read.values()) for read in reads])

    def taps(self, cells: int, axis: int) -> tuple[tuple[int, tuple[float, ...]], ...]:
        """Of each cell of the large image along an axis: the first cell that it reads of `cells`, and the weights of it
        and the next ones.
        """
        size = self.size[axis]
        reads = [self._reads(place, cells, size) for place in range(cells * size)]
        return tuple((read[0][0], tuple(weight for _, weight in read)) for read in reads)

    def _reads(self, place: int, cells: int, size: int) -> list[tuple[int, float]]:
        """Return the source cells of a position in the large image, in order: (cell, weight).

        Bilinear: pixel centres are at half-integers (TensorFlow's ResizeBilinear with half_pixel_centers); before the
        first and after the last centre, only the nearest cell is used.
        """
        if self.interpolation == "nearest":
            return [(place // size, 1.0)]
        centre = (place + 0.5) / size - 0.5
        below, above = max(floor(centre), 0), min(ceil(centre), cells - 1)
        share = centre - floor(centre)
        return [(below, 1.0)] if below == above else [(below, 1 - share), (above, share)]


@dataclass(frozen=True)
class RepeatChannels(Op):
    """x (…, C) → (…, C·times): each channel repeated `times` times, copies adjacent."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    times: int

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        shape = inputs[0].shape
        return (inputs[0].like((*shape[:-1], shape[-1] * self.times)),)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(Fold(self.times), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.resample.repeat(inputs[0], outputs[0], self.times)


@dataclass(frozen=True)
class Fold(Op):
    """x (…, C·times) → (…, C): sums of `times` adjacent channels, the adjoint of RepeatChannels."""

    times: int

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        shape = inputs[0].shape
        return (inputs[0].like((*shape[:-1], shape[-1] // self.times)),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.resample.fold(inputs[0], outputs[0], self.times)
