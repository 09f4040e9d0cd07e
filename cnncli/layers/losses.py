"""Losses: names and arguments as in keras/src/losses/losses.py; each is the mean over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from cnncli.layers.declarations.declaration import Declaration, Named, Registry
from cnncli.layers.declarations.field_types import Number
from cnncli.ops.losses import ACTIVATIONS, OF_LOGITS
from cnncli.ops.losses import Loss as LossOp

if TYPE_CHECKING:
    from cnncli.ops.builder import Builder
    from cnncli.ops.ir import Value


class Loss(Declaration):
    """What training makes small.

    As in Keras, a cross-entropy of the output of any softmax or sigmoid is computed from what that was given: of
    `sigmoid`, too, categorical_crossentropy is that of the softmax of its logits. `check` warns where they differ.
    """

    kind: ClassVar[str]
    """Its operation's name."""
    classes: ClassVar[bool] = False
    """True where the last axis holds one score a class, so that a target may be a class number."""

    @property
    def activation(self) -> str:
        """The activation that makes its probabilities of logits; "linear" for a loss that takes any numbers."""
        return ACTIVATIONS[OF_LOGITS[self.kind]] if self.kind in OF_LOGITS else "linear"

    @property
    def of_logits(self) -> bool:
        """Whether the predictions are logits, unless a softmax or sigmoid made them."""
        return bool(getattr(self, "from_logits", False))

    def operation(self, kind: str = "") -> LossOp:
        """The operation on (prediction, target, sample weight); `kind`: another than its own."""
        return LossOp(kind or self.kind, getattr(self, "label_smoothing", 0.0))

    def lower(self, build: Builder, prediction: Value, target: Value, weight: Value) -> tuple[Value, Value]:
        """Emit its operation; the loss of each sample, (), and the probabilities that the prediction means."""
        found = build.logits.get(prediction)
        if self.kind not in OF_LOGITS or (found is None and not self.of_logits):
            return build.emit(self.operation(), prediction, target, weight), prediction
        logits = found.value if found is not None else prediction
        loss, probabilities = build.emit_all(self.operation(OF_LOGITS[self.kind]), logits, target, weight)
        return loss, probabilities if found is None else prediction

    def probabilities(self, build: Builder, prediction: Value) -> Value:
        """The probabilities that the prediction means: made of it where it is logits."""
        logits = self.of_logits and prediction not in build.logits
        return build.activation(prediction, self.activation) if logits else prediction


LOGISTIC = tuple(ACTIVATIONS.values())
"""The activations whose logits are found behind their output."""
LOSSES = Registry("loss", Loss)
LossField = Annotated[Loss, Named(LOSSES)]
Smoothing = Annotated[float, Number(0, 1)]


@LOSSES.register
class CategoricalCrossentropy(Loss):
    """−Σ target·log(prediction) over the classes; takes one-hot rows or class numbers.

    Rows must sum to 1: of others TensorFlow's gradient is not that of the loss.
    """

    kind = "cross_entropy"
    classes = True

    from_logits: bool = False
    """Whether the last layer gives logits: predictions are then shown as their softmax, metrics are of the logits."""
    label_smoothing: Smoothing = 0.0


@LOSSES.register
class SparseCategoricalCrossentropy(Loss):
    """The same as CategoricalCrossentropy; Keras' name for it when the targets are class numbers.

    Of outputs that no softmax made, it clips first and then divides by their sum, CategoricalCrossentropy the other
    way.
    """

    kind = "sparse_cross_entropy"
    classes = True

    from_logits: bool = False
    """Whether the last layer gives logits: predictions are then shown as their softmax, metrics are of the logits."""


@LOSSES.register
class BinaryCrossentropy(Loss):
    """−(t·log p + (1−t)·log(1−p)), the mean over the outputs."""

    kind = "binary_cross_entropy"

    from_logits: bool = False
    """Whether the last layer gives logits: predictions are then shown as their sigmoid, metrics are of the logits."""
    label_smoothing: Smoothing = 0.0


@LOSSES.register
class MeanSquaredError(Loss):
    """(prediction − target)², the mean over the outputs."""

    aliases = ("mse", "MSE")
    kind = "mean_squared_error"
