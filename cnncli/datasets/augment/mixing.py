"""Augmentations that mix images of a batch with each other, and their targets (Keras' layers/preprocessing/)."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from cnncli import kernels
from cnncli.datasets.augment.augmentation import AUGMENTATIONS, Augmentation, Drawing, Slant, Targets, upward
from cnncli.layers.declarations.field_types import Number

if TYPE_CHECKING:
    from cnncli.kernels.augment.mix import Mixing
    from cnncli.kernels.jit.runtime import Step, Tensor


def _mixing(drawing: Drawing, alpha: tuple[float, float]) -> "Mixing":
    return kernels.mix.Mixing(drawing.clock, drawing.stream, drawing.noise, alpha)


class Mixed(Augmentation):
    """A mixture of each image and another one of its batch."""

    mixes: ClassVar[bool] = True


@AUGMENTATIONS.register
class MixUp(Mixed):
    """Blend each image with one of its batch, and their targets alike (Keras MixUp).

    The weight comes from Beta(`alpha`, `alpha`): mostly one of the two images outweighs the other by far.
    """

    alpha: Annotated[float, Number(above=0, most=1)] = 0.2

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return kernels.mix.blend(x, _mixing(drawing, (self.alpha, self.alpha)), drawing.scratch)

    def follow(self, targets: Targets, drawing: Drawing) -> "list[Step]":
        return self.steps(targets.values, drawing, 1.0)


@AUGMENTATIONS.register
class CutMix(Mixed):
    """Put a rectangle of another image of the batch into each, and blend their targets by area (Keras CutMix).

    The share that an image keeps comes from Beta(α, α); α is drawn for each batch, up to `factor`, or within
    [lowest, highest].
    """

    factor: Slant = 1.0

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return kernels.mix.paste(x, self._mixing(drawing), drawing.scratch)

    def follow(self, targets: Targets, drawing: Drawing) -> "list[Step]":
        change = kernels.mix.paste if targets.pixels else kernels.mix.blend
        return change(targets.values, self._mixing(drawing), drawing.scratch)

    def _mixing(self, drawing: Drawing) -> "Mixing":
        low, high = upward(self.factor)
        return _mixing(drawing, (low + kernels.mix.LEAST, high + kernels.mix.LEAST))
