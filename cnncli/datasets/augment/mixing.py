"""Augmentations that mix images of a batch with each other, and their targets (Keras' layers/preprocessing/)."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from cnncli import kernels
from cnncli.datasets.augment.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    RandomContext,
    Targets,
    UnitFactor,
    from_zero,
)
from cnncli.layers.declarations.field_types import Number

if TYPE_CHECKING:
    from cnncli.kernels.augment.mix import Mixing
    from cnncli.kernels.jit.runtime import Step, Tensor


def _mixing(context: RandomContext, alpha: tuple[float, float]) -> "Mixing":
    return kernels.mix.Mixing(context.clock, context.stream, context.noise, alpha)


class Mixed(Augmentation):
    """A mixture of each image and another one of its batch."""

    mixes: ClassVar[bool] = True


@AUGMENTATIONS.register
class MixUp(Mixed):
    """Blends each image and its target with another of the batch (Keras MixUp).

    The weight is drawn from Beta(`alpha`, `alpha`).
    """

    alpha: Annotated[float, Number(above=0, most=1)] = 0.2

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return kernels.mix.blend(x, _mixing(context, (self.alpha, self.alpha)), context.scratch)

    def target_steps(self, targets: Targets, context: RandomContext) -> "list[Step]":
        return self.steps(targets.values, context, 1.0)


@AUGMENTATIONS.register
class CutMix(Mixed):
    """Pastes a rectangle of another image of the batch into each and blends the targets by area (Keras CutMix).

    The fraction that an image keeps is drawn from Beta(α, α); α is drawn for each batch from [0, factor], or from
    [lower, upper].
    """

    factor: UnitFactor = 1.0

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return kernels.mix.paste(x, self._mixing(context), context.scratch)

    def target_steps(self, targets: Targets, context: RandomContext) -> "list[Step]":
        change = kernels.mix.paste if targets.pixels else kernels.mix.blend
        return change(targets.values, self._mixing(context), context.scratch)

    def _mixing(self, context: RandomContext) -> "Mixing":
        low, high = from_zero(self.factor)
        return _mixing(context, (low + kernels.mix.LEAST, high + kernels.mix.LEAST))
