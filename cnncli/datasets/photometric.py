"""Augmentations that change the numbers of pixels where they are (Keras' layers/preprocessing/)."""

from typing import TYPE_CHECKING, Annotated

from cnncli import kernels
from cnncli.datasets.augmentation import AUGMENTATIONS, Augmentation, Drawing, Share, Slant, bounds, upward
from cnncli.layers.kinds import ListOf, Number

if TYPE_CHECKING:
    from cnncli.kernels.runtime import Step, Tensor


class Tone(Augmentation):
    """A change of the numbers of an image, which then stay within `value_range`."""

    value_range: Annotated[tuple[float, float], ListOf(Number(), 2, 2)] = (0.0, 255.0)

    def _limits(self, scale: float) -> tuple[float, float]:
        least, most = sorted(bound * scale for bound in self.value_range)
        return least, most


@AUGMENTATIONS.register
class RandomBrightness(Tone):
    """Add a share of the width of `value_range`; 1 makes an image white, -1 black (Keras RandomBrightness)."""

    factor: Share

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        width = (max(self.value_range) - min(self.value_range)) * scale
        low, high = (bound * width for bound in bounds(self.factor))
        return kernels.tone.brighten(x, drawing.clock, drawing.stream, (low, high), self._limits(scale))


@AUGMENTATIONS.register
class RandomContrast(Tone):
    """Multiply the distance of each pixel from its channel's mean (Keras RandomContrast).

    The multiplier lies between 1 and 1 + `factor`; with [lower, upper], between 1 - lower and 1 + upper.
    """

    factor: Slant

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        lower, upper = upward(self.factor)
        factors = 1 - lower, 1 + upper
        return kernels.tone.contrast(x, drawing.clock, drawing.stream, factors, self._limits(scale))


@AUGMENTATIONS.register
class RandomErasing(Tone):
    """Rub out a rectangle (Keras RandomErasing), with odds between 0 and `factor`, or [lowest, highest].

    Its sides are the square roots of two numbers out of `scale`, as shares of the image's. `fill_value` is one number,
    or null: noise.
    """

    factor: Slant = 1.0
    scale: Slant = (0.02, 0.33)
    fill_value: float | None = None

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        patch = kernels.erase.Patch(
            odds=upward(self.factor),
            area=upward(self.scale),
            value=None if self.fill_value is None else self.fill_value * scale,
            deviation=self.value_range[1] * scale,
            limits=self._limits(scale),
        )
        return kernels.erase.erase(x, drawing.clock, drawing.stream, drawing.noise, patch)
