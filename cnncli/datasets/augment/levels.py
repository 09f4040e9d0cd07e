"""Augmentations for which images are of 256 levels, 0 to 255 over `value_range` (Keras' layers/preprocessing/)."""

from typing import TYPE_CHECKING, Annotated

from cnncli import kernels
from cnncli.datasets.augment.augmentation import AUGMENTATIONS, Drawing, Factor, Slant, upward
from cnncli.datasets.augment.photometric import Tone
from cnncli.layers.declarations.field_types import Integer

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor

Bits = Annotated[int | tuple[int, int], Factor(Integer(1, 8))]


@AUGMENTATIONS.register
class RandomPosterization(Tone):
    """Keep the first few bits of each level (Keras RandomPosterization).

    Their number lies between 1 and `factor`, or within [lowest, highest], and is below the highest, as in Keras, but
    where both are the same.
    """

    factor: Bits

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        low, high = self.factor if isinstance(self.factor, tuple) else (1, self.factor)
        bits = low, max(low, high - 1)
        return kernels.levels.posterize(x, drawing.clock, drawing.stream, bits, self._ends(scale), drawing.among)


@AUGMENTATIONS.register
class Solarization(Tone):
    """Make an image brighter, and a negative of what is then above a threshold (Keras Solarization).

    Both are shares of 255 levels, between 0 and the factor; of a pair, as in Keras, the lower one is itself a number of
    levels. Without factors images become negatives.
    """

    addition_factor: Slant = 0.0
    threshold_factor: Slant = 0.0

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        (low, high), (dark, bright) = upward(self.addition_factor), upward(self.threshold_factor)
        return kernels.levels.solarize(
            *(x, drawing.clock, drawing.stream, (low, high * 255), (dark, bright * 255)),
            ends=self._ends(scale),
            among=drawing.among,
        )


@AUGMENTATIONS.register
class AutoContrast(Tone):
    """Stretch each channel of an image over all of `value_range` (Keras AutoContrast); every image, without chance."""

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return kernels.levels.stretch(x, drawing.clock, self._limits(scale), drawing.among)


@AUGMENTATIONS.register
class Equalization(Tone):
    """Spread the levels of each channel evenly, by a histogram of `bins` (Keras Equalization); without chance.

    Each image has a histogram of its own, where Keras takes that of the whole batch.
    """

    bins: Annotated[int, Integer(2, 65536)] = 256

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return kernels.levels.equalize(x, drawing.clock, drawing.scratch, self.bins, self._ends(scale), drawing.among)
