"""Augmentations made of others (Keras' layers/preprocessing/)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cnncli.datasets.augment.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    Bounds,
    Drawing,
    Factor,
    Slant,
    Targets,
    followed,
    in_turn,
    upward,
)
from cnncli.datasets.augment.colour import RandomColorDegeneration, RandomHue, RandomSaturation
from cnncli.datasets.augment.geometric import Interpolation, RandomRotation, RandomShear, RandomTranslation
from cnncli.datasets.augment.levels import AutoContrast, Equalization, RandomPosterization, Solarization
from cnncli.datasets.augment.photometric import RandomBrightness, RandomContrast, RandomSharpness, Tone
from cnncli.layers.declarations.field_types import Integer, Maybe, Number
from cnncli.ops.streams import PARTS_EACH

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor

MaybeShare = Annotated[Bounds | None, Maybe(Factor(Number(-1, 1)))]
MaybeSlant = Annotated[Bounds | None, Maybe(Factor(Number(0, 1)))]


@AUGMENTATIONS.register
class RandAugment(Tone):
    """Do `num_ops` of eleven things to an image, one after the other (Cubuk et al. 2019; Keras RandAugment).

    RandomShear, RandomTranslation, RandomRotation, RandomBrightness, RandomColorDegeneration (of colours),
    RandomContrast, RandomSharpness, RandomPosterization, Solarization, AutoContrast, Equalization. Their factors are
    between 0 and `factor`, or within [lowest, highest]. Each image has things of its own, where Keras draws them for a
    batch.
    """

    num_ops: Annotated[int, Integer(1, PARTS_EACH // 2)] = 2
    factor: Slant = 0.5
    interpolation: Interpolation = "bilinear"

    @property
    def parts(self) -> list[Augmentation]:
        """What is done, each with the strength that Keras gives it."""
        factor, within, by = upward(self.factor), self.value_range, self.interpolation
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

    def misfit(self, shape: tuple[int, ...]) -> str:
        if shape[2] in (1, 3):
            return ""
        return f"RandAugment changes colours: images must be of 1 or 3 channels; received {shape[2]}"

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return in_turn(self._drawn(x.shape[3] == 1, drawing), x, scale)

    def follow(self, targets: Targets, drawing: Drawing) -> "list[Step]":
        return followed(self._drawn(True, drawing), targets)

    def _drawn(self, grey: bool, drawing: Drawing) -> Iterator[tuple[Augmentation, Drawing]]:
        """All parts, as many times as something is done: each for the images that draw it."""
        parts = self.parts
        for time in range(self.num_ops):
            chooser = drawing.stream_of(2 * time)
            for place, part in enumerate(parts):
                among = chooser, place / len(parts), (place + 1) / len(parts)
                if not (grey and isinstance(part, RandomColorDegeneration)):  # grey stays as it is
                    yield part, drawing._replace(part=2 * time + 1, among=among)


@AUGMENTATIONS.register
class RandomColorJitter(Tone):
    """RandomBrightness, RandomContrast, RandomSaturation and RandomHue, in this order (Keras RandomColorJitter).

    What has no factor is left out.
    """

    brightness_factor: MaybeShare = None
    contrast_factor: MaybeSlant = None
    saturation_factor: MaybeShare = None
    hue_factor: MaybeSlant = None

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

    def misfit(self, shape: tuple[int, ...]) -> str:
        return next(filter(None, (part.misfit(shape) for part in self.parts)), "")

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        parts = ((part, drawing._replace(part=number)) for number, part in enumerate(self.parts))
        return in_turn(parts, x, scale)
