"""The base class of losses: declarations that lower to an operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from cnncli.layers.declarations.declaration import Declaration, snake_case
from cnncli.layers.declarations.field_types import Kind, Maybe, Number, Only, String
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
    """What training makes small; of a list, the sum of the losses times their weights.

    As in Keras, a cross-entropy of the output of any softmax or sigmoid is computed from what that was given: of
    `sigmoid`, too, categorical_crossentropy is that of the softmax of its logits. `check` warns where they differ.
    With `ignore_class` Keras copies the predictions, and so computes it from them as they are.
    """

    kind: ClassVar[str]
    """Its rule's name in `kernels.losses.loss_rules.RULES`, whose numbers have the names of its fields."""
    logits: ClassVar[OfLogits | None] = None
    """The same of logits; None for a loss that is computed from its predictions only."""
    squashed: ClassVar[str] = "linear"
    """The activation that makes its probabilities of logits; "linear" for a loss that takes any numbers."""
    outputs: ClassVar[Meaning]
    """What a row of outputs means: CLASSES, LABELS or NUMBERS."""
    ignored: ClassVar[Mapping[str, Kind]] = {
        "reduction": Only("sum_over_batch_size", "mean", why="a loss is the mean over the batch"),
        "name": Maybe(String()),
        "dtype": Only(None, "float32", why="losses are summed in float64 and kept in float32"),
    }

    weight: Annotated[float, Number(0)] = 1.0
    """A factor of the loss, for lists of losses; Keras' `loss_weights`."""

    @property
    def parts(self) -> Sequence[Loss]:
        """The losses that it is the sum of."""
        return (self,)

    @property
    def title(self) -> str:
        """The names of its classes, for messages."""
        return " + ".join(type(part).__name__ for part in self.parts)

    @property
    def called(self) -> str:
        """The same in snake case."""
        return " + ".join(snake_case(type(part).__name__) for part in self.parts)

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
        return self.logits.activation if self.logits else self.squashed

    @property
    def of_whole_images(self) -> bool:
        """Whether it is a loss of images as wholes, or of a batch: not a mean over pixels."""
        return getattr(self, "axis", -1) != -1

    @property
    def void(self) -> int | None:
        """The class number of targets that do not count, if there is one."""
        ignored: int | None = getattr(self, "ignore_class", None)
        return ignored

    @property
    def of_logits(self) -> bool:
        """Whether the predictions are logits, unless a softmax or sigmoid made them."""
        return bool(getattr(self, "from_logits", False))

    def operation(self, form: OfLogits | None = None, *, training: bool = False) -> LossOp:
        """The operation on (prediction, target, sample weight), in the form that is of logits if that is given."""
        arguments = tuple((name, value) for name, value in self.settings().items() if name not in NOT_OF_RULES)
        kind, activation = (self.kind, "") if form is None else form
        return LossOp(kind, arguments, activation, in_parts=training)

    def logits_behind(self, build: Builder, prediction: Value) -> Logits | None:
        """The logits that a softmax or sigmoid made this prediction of, if the loss is computed from them."""
        return None if self.void is not None or self.logits is None else build.logits.get(prediction)

    def lower(self, build: Builder, prediction: Value, target: Value, weight: Value) -> tuple[Value, Value]:
        """Emit its operation; the loss of each sample, (), and the probabilities that the prediction means."""
        found = self.logits_behind(build, prediction)
        if self.logits is None or (found is None and not self.of_logits):
            means = self.probabilities(build, prediction)
            return build.emit(self.operation(training=build.training), means, target, weight), means
        logits = found.value if found is not None else prediction
        operation = self.operation(self.logits, training=build.training)
        loss, probabilities = build.emit_all(operation, logits, target, weight)
        return loss, probabilities if found is None else prediction

    def probabilities(self, build: Builder, prediction: Value) -> Value:
        """The probabilities that the prediction means: made of it where it is logits."""
        logits = self.of_logits and self.logits_behind(build, prediction) is None
        return build.activation(prediction, self.activation) if logits else prediction


NOT_OF_RULES = ("from_logits", "ignore_class")
"""Fields that no rule reads: logits have a rule of their own, and ignored targets come as rows of zeros."""
