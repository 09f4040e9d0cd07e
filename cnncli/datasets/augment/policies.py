"""Composite augmentations (Keras' layers/preprocessing/)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Annotated, cast

from cnncli import kernels
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
from cnncli.layers.declarations.declaration import PositiveInt
from cnncli.layers.declarations.field_types import Integer, Maybe, Number
from cnncli.ops.streams import PARTS_EACH

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Pass, Scratch, Step, Tensor

Parts = Iterable[tuple[Augmentation, RandomContext]]
OptionalSignedFactor = Annotated[Bounds | None, Maybe(Factor(Number(-1, 1)))]
OptionalUnitFactor = Annotated[Bounds | None, Maybe(Factor(Number(0, 1)))]


class Policy(Photometric):
    """Random augmentations, of which each image draws its own, unlike in Keras, which draws them per batch."""

    factor: UnitFactor
    interpolation: Interpolation

    @property
    def parts(self) -> list[Augmentation]:
        """The augmentations, each with the strength that Keras gives it."""
        raise NotImplementedError

    def shape_error(self, shape: tuple[int, ...]) -> str:
        if shape[2] in (1, 3) or not any(isinstance(part, RandomColorDegeneration) for part in self.parts):
            return ""
        return f"{type(self).__name__} requires images with 1 or 3 channels; received {shape[2]}"

    def _moves(self) -> list[Augmentation]:
        factor, by = from_zero(self.factor), self.interpolation
        return [
            RandomShear(x_factor=factor, y_factor=factor, interpolation=by),
            RandomTranslation(height_factor=factor, width_factor=factor, interpolation=by),
            RandomRotation(factor=factor, interpolation=by),
        ]

    def _tones(self) -> list[Augmentation]:
        factor, within = from_zero(self.factor), self.value_range
        return [
            RandomBrightness(factor=factor, value_range=within),
            RandomColorDegeneration(factor=factor, value_range=within),
            RandomContrast(factor=factor, value_range=within),
            RandomSharpness(factor=factor, value_range=within),
        ]

    def _levels(self) -> list[Augmentation]:
        factor, within = from_zero(self.factor), self.value_range
        return [
            RandomPosterization(factor=(1, max(1, int(8 * factor[1]))), value_range=within),
            Solarization(addition_factor=factor, threshold_factor=factor, value_range=within),
            AutoContrast(value_range=within),
            Equalization(value_range=within),
        ]

    def _drawn(
        self, times: range, context: RandomContext, *, grey: bool, nothing: bool = False
    ) -> Iterator[tuple[Augmentation, RandomContext]]:
        """All parts, as many times as something is done: each for the images that draw it, some perhaps `nothing`."""
        parts = self.parts
        choices = len(parts) + nothing
        for time in times:
            chooser = context.stream_of(2 * time)
            for place, part in enumerate(parts):
                among = chooser, place / choices, (place + 1) / choices
                if not (grey and isinstance(part, RandomColorDegeneration)):  # grey stays as it is
                    yield part, context._replace(part=2 * time + 1, among=among)


@AUGMENTATIONS.register
class RandAugment(Policy):
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
        return self._moves() + self._tones() + self._levels()

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step | Pass]":
        return all_steps(self._drawn(range(self.num_ops), context, grey=x.shape[3] == 1), x, scale)

    def target_steps(self, targets: Targets, context: RandomContext) -> "list[Step | Pass]":
        return all_target_steps(self._drawn(range(self.num_ops), context, grey=True), targets)


@AUGMENTATIONS.register
class AugMix(Policy):
    """Mixes `num_chains` changed copies of each image, and the image itself (Keras AugMix; Hendrycks 2020).

    A copy is changed `chain_depth` times, each time by one of RandAugment's augmentations or not at all; without
    `all_ops` not by RandomBrightness, RandomColorDegeneration, RandomContrast and RandomSharpness. The weights of the
    copies are drawn from a Dirichlet distribution, that of the image from Beta(`alpha`, `alpha`). Each image gets its
    own augmentations and weights, unlike in Keras, which draws them per batch. Masks are mixed like their images.
    `num_chains` · `chain_depth` is at most 32.
    """

    num_chains: PositiveInt = 3
    chain_depth: Annotated[int, Integer(0)] = 3
    factor: UnitFactor = 0.3
    alpha: Annotated[float, Number(above=0)] = 1.0
    all_ops: bool = True
    interpolation: Interpolation = "bilinear"

    def contradiction(self) -> str:
        most, changes = PARTS_EACH // 2, self.num_chains * self.chain_depth
        if max(changes, self.num_chains) > most:
            return f"num_chains · chain_depth must be at most {most}; received {self.num_chains} · {self.chain_depth}"
        return super().contradiction()

    @property
    def parts(self) -> list[Augmentation]:
        return self._moves() + self._levels() + (self._tones() if self.all_ops else [])

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "Sequence[Step | Pass]":
        return self._mixed(x, context, partial(all_steps, scale=scale), self._limits(scale), grey=x.shape[3] == 1)

    def target_steps(self, targets: Targets, context: RandomContext) -> "Sequence[Step | Pass]":
        if not targets.pixels:
            return []

        def changes(parts: Parts, values: "Tensor") -> "list[Step | Pass]":
            return all_target_steps(parts, targets._replace(values=values))

        return self._mixed(targets.values, context, changes, (-inf, inf), grey=True)

    def _mixed(
        self,
        x: "Tensor",
        context: RandomContext,
        changes: "Callable[[Parts, Tensor], list[Step | Pass]]",
        limits: tuple[float, float],
        *,
        grey: bool,
    ) -> "list[Pass]":
        def chain(copy: "Tensor", number: int, scratch: "Scratch") -> "list[Step]":
            times = range(number * self.chain_depth, (number + 1) * self.chain_depth)
            parts = self._drawn(times, context._replace(scratch=scratch), grey=grey, nothing=True)
            return cast("list[Step]", changes(parts, copy))  # no part is a pass

        return kernels.chains.mix(
            *(x, context.clock, context.scratch, context.stream),
            chains=self.num_chains,
            changes=chain,
            alpha=self.alpha,
            limits=limits,
        )


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

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step | Pass]":
        parts = ((part, context._replace(part=number)) for number, part in enumerate(self.parts))
        return all_steps(parts, x, scale)
