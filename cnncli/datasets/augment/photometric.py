"""Augmentations that change the numbers of pixels where they are, all channels alike (Keras' layers/preprocessing/)."""

from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnncli import kernels
from cnncli.datasets.augment.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    RandomContext,
    SignedFactor,
    Targets,
    UnitFactor,
    from_zero,
    symmetric,
)
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


class Photometric(Augmentation):
    """A change of pixel values, which are limited to `value_range`."""

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
class RandomBrightness(Photometric):
    """Adds a fraction of the width of `value_range`: 1 gives white, -1 black (Keras RandomBrightness)."""

    factor: SignedFactor

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        width = (max(self.value_range) - min(self.value_range)) * scale
        low, high = (bound * width for bound in symmetric(self.factor))
        return kernels.brightness.brighten(
            x, context.clock, context.stream, (low, high), self._limits(scale), context.among
        )


@AUGMENTATIONS.register
class RandomContrast(Photometric):
    """Scales the distance of pixels from their channel's mean (Keras RandomContrast).

    The scale is drawn from [1, 1 + factor]; for [lower, upper], from [1 − lower, 1 + upper].
    """

    factor: UnitFactor

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        lower, upper = from_zero(self.factor)
        factors = 1 - lower, 1 + upper
        return kernels.brightness.contrast(
            x, context.clock, context.stream, factors, self._limits(scale), context.among
        )


@AUGMENTATIONS.register
class RandomErasing(Photometric):
    """Erases a rectangle, with a probability drawn from [0, factor] or [lower, upper] (Keras RandomErasing).

    Its height and width are the square roots of two numbers drawn from `scale`, as fractions of the image. `fill_value`
    is a number, or null for noise.
    """

    factor: UnitFactor = 1.0
    scale: UnitFactor = (0.02, 0.33)
    fill_value: float | None = None

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        patch = kernels.erase.Patch(
            odds=from_zero(self.factor),
            area=from_zero(self.scale),
            value=None if self.fill_value is None else self.fill_value * scale,
            deviation=self.value_range[1] * scale,
            limits=self._limits(scale),
        )
        return kernels.erase.erase(x, context.clock, context.stream, context.noise, patch, context.among)


@AUGMENTATIONS.register
class RandomInvert(Photometric):
    """Inverts images: the upper end of `value_range` minus the image (Keras RandomInvert).

    The probability is drawn from [0, factor] or [lower, upper].
    """

    factor: UnitFactor = 1.0

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        white = self.value_range[1] * scale
        return kernels.brightness.invert(x, context.clock, context.stream, from_zero(self.factor), white, context.among)


@AUGMENTATIONS.register
class RandomElasticTransform(Photometric):
    """Distorts images by a field of blurred noise, with a probability (Keras RandomElasticTransform).

    The probability is drawn from [0, factor] or [lower, upper], the strength from `scale` likewise. As in Keras, pixels
    are moved as far down as to the right. Each image gets its own strength, unlike in Keras, which draws one per
    batch. `fill_mode: mirror` is d c b a b c d; Keras takes it on backends other than TensorFlow. Masks move with their
    images.
    """

    factor: UnitFactor = 1.0
    scale: UnitFactor = 1.0
    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    fill_mode: Literal["reflect", "wrap", "constant", "nearest", "mirror"] = "reflect"
    fill_value: float = 0.0

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        fill, limits = self.fill_value * scale, self._limits(scale)
        return self._distorted(x, context, self.interpolation == "nearest", (fill, fill), limits)

    def target_steps(self, targets: Targets, context: RandomContext) -> "list[Step]":
        values = targets.background, 0.0
        return self._distorted(targets.values, context, True, values, (-inf, inf)) if targets.pixels else []

    def _distorted(
        self,
        x: "Tensor",
        context: RandomContext,
        nearest: bool,
        values: tuple[float, float],
        limits: tuple[float, float],
    ) -> "list[Step]":
        odds, strength = from_zero(self.factor), from_zero(self.scale)
        if 0 in (odds[1], strength[1]):
            return []
        return kernels.elastic.distort(
            *(x, context.clock, context.scratch, (context.stream, context.noise)),
            odds=odds,
            scale=strength,
            fill=("reflect", "wrap", "constant", "nearest", "mirror").index(self.fill_mode),
            nearest=nearest,
            values=values,
            limits=limits,
            among=context.among,
        )


@AUGMENTATIONS.register
class RandomSharpness(Photometric):
    """Blurs or sharpens images: 0 is blurred, 0.5 unchanged, 1 sharpened (Keras RandomSharpness).

    The factor is drawn from [0, factor] or [lower, upper]. The image is padded with zeros.
    """

    factor: UnitFactor

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return kernels.blur.sharpen(
            *(x, context.clock, context.scratch, context.stream),
            factor=from_zero(self.factor),
            limits=self._limits(scale),
            among=context.among,
        )


@AUGMENTATIONS.register
class RandomGaussianBlur(Photometric):
    """Applies a Gaussian blur, with a probability drawn from [0, factor] or [lower, upper] (Keras RandomGaussianBlur).

    Its horizontal and vertical standard deviations are drawn from [0, sigma] or [lower, upper]; `kernel_size` is odd.
    The image is padded with zeros. Each image gets its own kernel, unlike in Keras, which draws one per batch.
    """

    factor: UnitFactor = 1.0
    kernel_size: Annotated[int, Odd()] = 3
    sigma: UnitFactor = 1.0

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return kernels.blur.blur(
            *(x, context.clock, context.scratch, context.stream),
            odds=from_zero(self.factor),
            size=self.kernel_size,
            sigma=from_zero(self.sigma),
            limits=self._limits(scale),
            among=context.among,
        )
