"""Losses: names and arguments as in keras/src/losses/losses.py; each is the mean over the batch."""

from typing import Annotated, ClassVar

from cnncli.layers.declaration import Declaration, Named, Registry
from cnncli.layers.kinds import Number
from cnncli.ops.losses import Loss as LossOp


class Loss(Declaration):
    """What training makes small."""

    kind: ClassVar[str]
    """Its operation's name."""
    classes: ClassVar[bool] = False
    """True where the last axis holds one score a class, so that a target may be a class number."""

    def operation(self) -> LossOp:
        """The operation on (prediction, target, sample weight)."""
        return LossOp(self.kind, getattr(self, "label_smoothing", 0.0))


LOSSES = Registry("loss", Loss)
LossField = Annotated[Loss, Named(LOSSES)]
Smoothing = Annotated[float, Number(0, 1)]


@LOSSES.register
class CategoricalCrossentropy(Loss):
    """−Σ target·log(prediction) over the classes; takes one-hot rows or class numbers."""

    kind = "cross_entropy"
    classes = True

    label_smoothing: Smoothing = 0.0


@LOSSES.register
class SparseCategoricalCrossentropy(Loss):
    """The same as CategoricalCrossentropy; Keras' name for it when the targets are class numbers."""

    kind = "cross_entropy"
    classes = True


@LOSSES.register
class BinaryCrossentropy(Loss):
    """−(t·log p + (1−t)·log(1−p)), the mean over the outputs."""

    kind = "binary_cross_entropy"

    label_smoothing: Smoothing = 0.0


@LOSSES.register
class MeanSquaredError(Loss):
    """(prediction − target)², the mean over the outputs."""

    aliases = ("mse", "MSE")
    kind = "mean_squared_error"
