"""Augmentations for which images are of 256 levels, 0 to 255 over `value_range` (Keras' layers/preprocessing/)."""

from typing import TYPE_CHECKING, Annotated

from cnncli import kernels
from cnncli.datasets.augment.augmentation import AUGMENTATIONS, Factor, RandomContext, UnitFactor, from_zero
from cnncli.datasets.augment.photometric import Photometric
from cnncli.layers.declarations.field_types import Integer
from cnncli.layers.declarations.list_types import ListOf

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor

Bits = Annotated[int | tuple[int, int], Factor(Integer(1, 8))]


@AUGMENTATIONS.register
class RandomPosterization(Photometric):
    """Reduces the number of bits per channel (Keras RandomPosterization).

    The number of bits is drawn from 1 to `factor`, or from [lower, upper], without the upper bound, as in Keras, unless
    both bounds are equal.
    """

    factor: Bits

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        low, high = self.factor if isinstance(self.factor, tuple) else (1, self.factor)
        bits = low, max(low, high - 1)
        return kernels.levels.posterize(x, context.clock, context.stream, bits, self._ends(scale), context.among)


@AUGMENTATIONS.register
class Solarization(Photometric):
    """Adds a value to images, then inverts pixels above a threshold (Keras Solarization).

    Both are drawn from 0 to factor · 255; in a pair, as in Keras, the lower bound is not multiplied by 255. Without
    factors images are inverted.
    """

    addition_factor: UnitFactor = 0.0
    threshold_factor: UnitFactor = 0.0

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        (low, high), (dark, bright) = from_zero(self.addition_factor), from_zero(self.threshold_factor)
        return kernels.levels.solarize(
            *(x, context.clock, context.stream, (low, high * 255), (dark, bright * 255)),
            ends=self._ends(scale),
            among=context.among,
        )


@AUGMENTATIONS.register
class AutoContrast(Photometric):
    """Stretches each channel of every image to `value_range` (Keras AutoContrast); not random."""

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return kernels.levels.stretch(x, context.clock, self._limits(scale), context.among)


@AUGMENTATIONS.register
class Equalization(Photometric):
    """Equalizes the histogram of each channel, with `bins` bins (Keras Equalization); not random.

    Each image has its own histogram; Keras uses one for the whole batch.
    """

    bins: Annotated[int, Integer(2, 65536)] = 256

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return kernels.levels.equalize(x, context.clock, context.scratch, self.bins, self._ends(scale), context.among)


@AUGMENTATIONS.register
class ContrastLimitedAdaptiveHistogramEqualization(Photometric):
    """Equalizes the histograms of tiles of images (CLAHE; Zuiderveld 1994), as Keras does.

    `tile_grid_size` is the number of tiles in height and width. A level's count is limited to `clip_limit` times the
    mean count, unless it is 0 or less; what is above is given to all levels alike. Not random.
    """

    clip_limit: float = 4.0
    tile_grid_size: Annotated[tuple[int, int], ListOf(Integer(1), 2, 2)] = (8, 8)

    def shape_error(self, shape: tuple[int, ...]) -> str:
        """Keras pads images to whole tiles by mirroring them once."""
        if all(-(-side // tiles) * tiles <= 2 * side for side, tiles in zip(shape, self.tile_grid_size, strict=False)):
            return ""
        rows, columns = self.tile_grid_size
        return f"{rows} × {columns} tiles (tile_grid_size) are too many for images of {shape[0]} × {shape[1]} pixels"

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return kernels.clahe.equalize_tiles(
            *(x, context.clock, context.scratch, self.tile_grid_size, self.clip_limit),
            ends=self._ends(scale),
            among=context.among,
        )
