"""Composite augmentations (Keras' layers/preprocessing/)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cnncli.datasets.augment.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    Bounds,
    Factor,
    RandomContext,
    Targets,
    UnitFactor,
    all_steps,
    all_target_steps,
    from_zero,
)
from cnncli.datasets.augment.colour import RandomColorDegeneration, RandomHue, RandomSaturation
from cnncli.datasets.augment.geometric import Interpolation, RandomRotation, RandomShear, RandomTranslation
from cnncli.datasets.augment.levels import AutoContrast, Equalization, RandomPosterization, Solarization
from cnncli.datasets.augment.photometric import Photometric, RandomBrightness, RandomContrast, RandomSharpness
from cnncli.layers.declarations.field_types import Integer, Maybe, Number
from cnncli.ops.streams import PARTS_EACH

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor

OptionalSignedFactor = Annotated[Bounds | None, Maybe(Factor(Number(-1, 1)))]
OptionalUnitFactor = Annotated[Bounds | None, Maybe(Factor(Number(0, 1)))]


@AUGMENTATIONS.register
class RandAugment(Photometric):
    """Applies `num_ops` of eleven random augmentations in sequence (Keras RandAugment; Cubuk 2019).

    RandomShear, RandomTranslation, RandomRotation, RandomBrightness, RandomColorDegeneration (RGB images only),
    RandomContrast, RandomSharpness, RandomPosterization, Solarization, AutoContrast, Equalization. Their factors are
    drawn from [0, factor] or [lower, upper]. Each image gets its own augmentations, unlike in Keras, which draws them
    per batch.
    """

    num_ops: Annotated[int, Integer(1, PARTS_EACH // 2)] = 2
    factor: UnitFactor = 0.5
    interpolation: Interpolation = "bilinear"

    @property
    def parts(self) -> list[Augmentation]:
        """What is done, each with the strength that Keras gives it."""
        factor, within, by = from_zero(self.factor), self.value_range, self.interpolation
        return [
            RandomShear(x_factor=factor, y_factor=factor, interpolation=by),
            RandomTranslation(height_factor=factor, width_factor=factor, interpolation=by),
            RandomRotation(factor=factor, interpolation=by),
            RandomBrightness(factor=factor, value_range=within),
            RandomColorDegeneration(factor=factor, value_range=within),
            RandomContrast(factor=factor, value_range=within),
            RandomSharpness(factor=factor, value_range=within),
            RandomPosterization(factor=(1, max(1, int(8 * factor[1]))), value_range=within),
            Solarization(addition_factor=factor, threshold_factor=factor, value_range=within),
            AutoContrast(value_range=within),
            Equalization(value_range=within),
        ]

    def shape_error(self, shape: tuple[int, ...]) -> str:
        if shape[2] in (1, 3):
            return ""
        return f"RandAugment requires images with 1 or 3 channels; received {shape[2]}"

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return all_steps(self._drawn(x.shape[3] == 1, context), x, scale)

    def target_steps(self, targets: Targets, context: RandomContext) -> "list[Step]":
        return all_target_steps(self._drawn(True, context), targets)

    def _drawn(self, grey: bool, context: RandomContext) -> Iterator[tuple[Augmentation, RandomContext]]:
        """All parts, as many times as something is done: each for the images that draw it."""
        parts = self.parts
        for time in range(self.num_ops):
            chooser = context.stream_of(2 * time)
            for place, part in enumerate(parts):
                among = chooser, place / len(parts), (place + 1) / len(parts)
                if not (grey and isinstance(part, RandomColorDegeneration)):  # grey stays as it is
                    yield part, context._replace(part=2 * time + 1, among=among)


@AUGMENTATIONS.register
class RandomColorJitter(Photometric):
    """Applies RandomBrightness, RandomContrast, RandomSaturation and RandomHue (Keras RandomColorJitter).

    Those without a factor are skipped.
    """

    brightness_factor: OptionalSignedFactor = None
    contrast_factor: OptionalUnitFactor = None
    saturation_factor: OptionalSignedFactor = None
    hue_factor: OptionalUnitFactor = None

    def contradiction(self) -> str:
        if not self.parts:
            return "at least one of brightness_factor, contrast_factor, saturation_factor and hue_factor must be given"
        return super().contradiction()

    @property
    def parts(self) -> list[Augmentation]:
        """What is done, in order."""
        wanted = (
            (RandomBrightness, self.brightness_factor),
            (RandomContrast, self.contrast_factor),
            (RandomSaturation, self.saturation_factor),
            (RandomHue, self.hue_factor),
        )
        return [part(factor=factor, value_range=self.value_range) for part, factor in wanted if factor is not None]

    def shape_error(self, shape: tuple[int, ...]) -> str:
        return next(filter(None, (part.shape_error(shape) for part in self.parts)), "")

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        parts = ((part, context._replace(part=number)) for number, part in enumerate(self.parts))
        return all_steps(parts, x, scale)
