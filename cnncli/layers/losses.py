"""Losses: names and arguments as in keras/src/losses/losses.py; each is the mean over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from cnncli.layers.declarations.declaration import Declaration, Named, Registry
from cnncli.layers.declarations.field_types import Integer, Maybe, Number
from cnncli.layers.meaning import Meaning
from cnncli.ops.losses import Loss as LossOp

if TYPE_CHECKING:
    from cnncli.ops.builder import Builder, Logits
    from cnncli.ops.ir import Shape, Value


class OfLogits(NamedTuple):
    """What a loss of probabilities is of logits: its rule, and the activation that makes the probabilities."""

    kind: str
    activation: str


class Loss(Declaration):
    """What training makes small.

    As in Keras, a cross-entropy of the output of any softmax or sigmoid is computed from what that was given: of
    `sigmoid`, too, categorical_crossentropy is that of the softmax of its logits. `check` warns where they differ.
    With `ignore_class` Keras copies the predictions, and so computes it from them as they are.
    """

    kind: ClassVar[str]
    """Its rule's name in `kernels.losses.loss_rules.RULES`, whose numbers have the names of its fields."""
    logits: ClassVar[OfLogits | None] = None
    """The same of logits; None for a loss that takes any numbers."""
    outputs: ClassVar[Meaning]
    """What a row of outputs means: CLASSES, LABELS or NUMBERS."""

    def meaning(self, shape: Shape, targets: str) -> Meaning:
        """What outputs of this shape mean where the data's `targets` are labels, masks, values or the input."""
        if targets == "values":
            return Meaning.NUMBERS
        if targets != "labels":
            return Meaning.IMAGE if targets == "input" else Meaning.MASK
        return Meaning.CHOICE if self.outputs is Meaning.LABELS and shape == (1,) else self.outputs

    @property
    def classes(self) -> bool:
        """Whether the last axis holds one score a class, so that a target may be a class number."""
        return self.outputs is Meaning.CLASSES

    @property
    def activation(self) -> str:
        """The activation that makes its probabilities of logits; "linear" for a loss that takes any numbers."""
        return self.logits.activation if self.logits else "linear"

    @property
    def void(self) -> int | None:
        """The class number of targets that do not count, if there is one."""
        ignored: int | None = getattr(self, "ignore_class", None)
        return ignored

    @property
    def of_logits(self) -> bool:
        """Whether the predictions are logits, unless a softmax or sigmoid made them."""
        return bool(getattr(self, "from_logits", False))

    def operation(self, form: OfLogits | None = None) -> LossOp:
        """The operation on (prediction, target, sample weight), in the form that is of logits if that is given."""
        arguments = tuple((name, value) for name, value in self.settings().items() if name not in NOT_OF_RULES)
        return LossOp(self.kind, arguments) if form is None else LossOp(form.kind, arguments, form.activation)

    def logits_behind(self, build: Builder, prediction: Value) -> Logits | None:
        """The logits that a softmax or sigmoid made this prediction of, if the loss is computed from them."""
        return None if self.void is not None else build.logits.get(prediction)

    def lower(self, build: Builder, prediction: Value, target: Value, weight: Value) -> tuple[Value, Value]:
        """Emit its operation; the loss of each sample, (), and the probabilities that the prediction means."""
        found = self.logits_behind(build, prediction)
        if self.logits is None or (found is None and not self.of_logits):
            return build.emit(self.operation(), prediction, target, weight), prediction
        logits = found.value if found is not None else prediction
        loss, probabilities = build.emit_all(self.operation(self.logits), logits, target, weight)
        return loss, probabilities if found is None else prediction

    def probabilities(self, build: Builder, prediction: Value) -> Value:
        """The probabilities that the prediction means: made of it where it is logits."""
        logits = self.of_logits and self.logits_behind(build, prediction) is None
        return build.activation(prediction, self.activation) if logits else prediction


NOT_OF_RULES = ("from_logits", "ignore_class")
"""Fields that no rule reads: logits have a rule of their own, and ignored targets come as rows of zeros."""
LOSSES = Registry("loss", Loss)
LossField = Annotated[Loss, Named(LOSSES)]
Smoothing = Annotated[float, Number(0, 1)]


@LOSSES.register
class CategoricalCrossentropy(Loss):
    """−Σ target·log(prediction) over the classes; takes one-hot rows or class numbers.

    Rows must sum to 1: of others TensorFlow's gradient is not that of the loss.
    """

    kind = "cross_entropy"
    logits = OfLogits("softmax_cross_entropy", "softmax")
    outputs = Meaning.CLASSES

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
    logits = OfLogits("softmax_cross_entropy", "softmax")
    outputs = Meaning.CLASSES

    from_logits: bool = False
    """Whether the last layer gives logits: predictions are then shown as their softmax, metrics are of the logits."""
    ignore_class: Annotated[int | None, Maybe(Integer())] = None
    """Class number that does not count (void), like 255 in the masks of Pascal VOC: neither in the loss, which is the
    mean over the batch's other pixels (or samples), nor in metrics and evaluation."""


@LOSSES.register
class BinaryCrossentropy(Loss):
    """−(t·log p + (1−t)·log(1−p)), the mean over the outputs."""

    kind = "binary_cross_entropy"
    logits = OfLogits("sigmoid_cross_entropy", "sigmoid")
    outputs = Meaning.LABELS

    from_logits: bool = False
    """Whether the last layer gives logits: predictions are then shown as their sigmoid, metrics are of the logits."""
    label_smoothing: Smoothing = 0.0


@LOSSES.register
class MeanSquaredError(Loss):
    """(prediction − target)², the mean over the outputs."""

    aliases = ("mse", "MSE")
    kind = "mean_squared_error"
    outputs = Meaning.NUMBERS


@LOSSES.register
class MeanAbsoluteError(Loss):
    """|prediction − target|, the mean over the outputs: large errors count less than with MeanSquaredError."""

    aliases = ("mae", "MAE")
    kind = "mean_absolute_error"
    outputs = Meaning.NUMBERS
