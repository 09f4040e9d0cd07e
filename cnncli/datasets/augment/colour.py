"""Augmentations that change colours (Keras' layers/preprocessing/): images must be of 3 channels, red, green, blue."""

from math import inf
from typing import TYPE_CHECKING, Annotated

from cnncli import kernels
from cnncli.datasets.augment.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    RandomContext,
    SignedFactor,
    UnitFactor,
    from_zero,
    symmetric,
)
from cnncli.datasets.augment.photometric import Photometric
from cnncli.layers.declarations.field_types import Number

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor


def rgb_error(name: str, shape: tuple[int, ...]) -> str:
    """An error message if images of `shape`, (H, W, C), do not have 3 channels, else ""."""
    if shape[2] == 3:
        return ""
    return f"{name} requires images with 3 channels (red, green, blue); received {shape[2]}"


class RgbAugmentation(Photometric):
    """A change of the colors of RGB images."""

    def shape_error(self, shape: tuple[int, ...]) -> str:
        return rgb_error(type(self).__name__, shape)


@AUGMENTATIONS.register
class RandomHue(RgbAugmentation):
    """Randomly shifts the hue by up to ±factor/2, where 1 is the full color circle (Keras RandomHue).

    The factor is drawn from [0, factor], or from [lower, upper].
    """

    factor: UnitFactor

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        ends = self._ends(scale)
        return kernels.colour.turn_hue(x, context.clock, context.stream, from_zero(self.factor), ends, context.among)


@AUGMENTATIONS.register
class RandomSaturation(RgbAugmentation):
    """Multiplies the saturation by factor / (1 − factor): 0 is grayscale, 0.5 no change (Keras RandomSaturation).

    A single number means [−factor, factor], as in Keras, and makes half of the images grayscale. The saturation is
    limited to 1; Keras limits it to the end of `value_range`.
    """

    factor: SignedFactor

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        ends = 0.0, scale
        return kernels.colour.saturate(x, context.clock, context.stream, symmetric(self.factor), ends, context.among)


@AUGMENTATIONS.register
class RandomColorDegeneration(RgbAugmentation):
    """Blends images with their grayscale version: 0 is no change, 1 is grayscale (Keras RandomColorDegeneration).

    A single number means [−factor, factor], as in Keras; negative factors increase the saturation.
    """

    factor: SignedFactor

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return kernels.colour.degenerate(
            *(x, context.clock, context.stream, (1.0, 1.0), symmetric(self.factor), self._limits(scale)),
            among=context.among,
        )


@AUGMENTATIONS.register
class RandomGrayscale(Augmentation):
    """Converts images to grayscale with probability `factor` (Keras RandomGrayscale)."""

    factor: Annotated[float, Number(0, 1)] = 0.5

    def shape_error(self, shape: tuple[int, ...]) -> str:
        return rgb_error(type(self).__name__, shape)

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        odds, unlimited = (self.factor, self.factor), (-inf, inf)
        return kernels.colour.degenerate(x, context.clock, context.stream, odds, (1.0, 1.0), unlimited, context.among)
