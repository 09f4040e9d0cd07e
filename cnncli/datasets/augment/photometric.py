"""Augmentations that change the numbers of pixels where they are, all channels alike (Keras' layers/preprocessing/)."""

from typing import TYPE_CHECKING, Annotated, Any

from cnncli import kernels
from cnncli.datasets.augment.augmentation import AUGMENTATIONS, Augmentation, Drawing, Share, Slant, bounds, upward
from cnncli.layers.declarations.field_types import Integer, Number
from cnncli.layers.declarations.list_types import ListOf

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor


SMALL = 0.01
"""The share of their width that images may go beyond `value_range`, and of its width that they must have."""


class Odd(Integer):
    """An odd number of pixels."""

    def __init__(self) -> None:
        super().__init__(1)
        self.rule = "an odd integer ≥ 1"

    def read(self, value: Any) -> int:
        if super().read(value) % 2 == 0:
            raise self.refuse()
        return int(value)


class Tone(Augmentation):
    """A change of the numbers of an image, which then stay within `value_range`."""

    value_range: Annotated[tuple[float, float], ListOf(Number(), 2, 2)] = (0.0, 255.0)

    def contradiction(self) -> str:
        return "" if min(self.value_range) < max(self.value_range) else "value_range must be two different numbers"

    def fits(self, least: float, greatest: float) -> bool:
        """Whether images of these numbers may be of `value_range`: not beyond it, nor a small part of it."""
        darkest, lightest = sorted(self.value_range)
        width = greatest - least
        rounding = SMALL * width
        within = darkest - rounding <= least and greatest <= lightest + rounding
        return within and width > SMALL * (lightest - darkest)

    def _ends(self, scale: float) -> tuple[float, float]:
        """What counts as black and what as white, in numbers of x."""
        return min(self.value_range) * scale, max(self.value_range) * scale

    def _limits(self, scale: float) -> tuple[float, float]:
        least, most = sorted(self._ends(scale))
        return least, most


@AUGMENTATIONS.register
class RandomBrightness(Tone):
    """Add a share of the width of `value_range`; 1 makes an image white, -1 black (Keras RandomBrightness)."""

    factor: Share

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        width = (max(self.value_range) - min(self.value_range)) * scale
        low, high = (bound * width for bound in bounds(self.factor))
        return kernels.brightness.brighten(
            x, drawing.clock, drawing.stream, (low, high), self._limits(scale), drawing.among
        )


@AUGMENTATIONS.register
class RandomContrast(Tone):
    """Multiply the distance of each pixel from its channel's mean (Keras RandomContrast).

    The multiplier lies between 1 and 1 + `factor`; with [lower, upper], between 1 - lower and 1 + upper.
    """

    factor: Slant

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        lower, upper = upward(self.factor)
        factors = 1 - lower, 1 + upper
        return kernels.brightness.contrast(
            x, drawing.clock, drawing.stream, factors, self._limits(scale), drawing.among
        )


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
        return kernels.erase.erase(x, drawing.clock, drawing.stream, drawing.noise, patch, drawing.among)


@AUGMENTATIONS.register
class RandomInvert(Tone):
    """Make negatives (Keras RandomInvert): the upper end of `value_range`, less the image.

    With odds between 0 and `factor`, or [lowest, highest].
    """

    factor: Slant = 1.0

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        white = self.value_range[1] * scale
        return kernels.brightness.invert(x, drawing.clock, drawing.stream, upward(self.factor), white, drawing.among)


@AUGMENTATIONS.register
class RandomSharpness(Tone):
    """Blur an image where `factor` is 0, leave it at 0.5, sharpen it at 1 (Keras RandomSharpness).

    The factor lies between 0 and `factor`, or within [lowest, highest]. Outside of the image there are zeros.
    """

    factor: Slant

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return kernels.blur.sharpen(
            *(x, drawing.clock, drawing.scratch, drawing.stream),
            factor=upward(self.factor),
            limits=self._limits(scale),
            among=drawing.among,
        )


@AUGMENTATIONS.register
class RandomGaussianBlur(Tone):
    """Blur by a Gaussian (Keras RandomGaussianBlur), with odds between 0 and `factor`, or [lowest, highest].

    Its standard deviations across and down lie between 0 and `sigma`, or within [lowest, highest]; it takes in
    `kernel_size` pixels, an odd number. Outside of the image there are zeros. Each image has a Gaussian of its own,
    where Keras draws one for a batch.
    """

    factor: Slant = 1.0
    kernel_size: Annotated[int, Odd()] = 3
    sigma: Slant = 1.0

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return kernels.blur.blur(
            *(x, drawing.clock, drawing.scratch, drawing.stream),
            odds=upward(self.factor),
            size=self.kernel_size,
            sigma=upward(self.sigma),
            limits=self._limits(scale),
            among=drawing.among,
        )
