"""Losses: names and arguments as in keras/src/losses/losses.py; each is the mean over the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from cnncli.layers.declarations.declaration import Declaration, Named, Registry, list_of, snake_case
from cnncli.layers.declarations.field_types import Integer, Kind, Maybe, Number, Only, Schema, String
from cnncli.layers.declarations.list_types import ListOf
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError
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
LOSSES = Registry("loss", Loss)
ON_LAST_AXIS = {**Loss.ignored, "axis": Only(-1, why="classes are on the last axis")}
OF_DIRECTION = {**Loss.ignored, "axis": Only(-1, why="a direction is one of the last axis")}
Smoothing = Annotated[float, Number(0, 1)]


class OverlapAxis(Kind):
    """The axes that a sum of an overlap goes over."""

    rule = "null, -1 or [1, 2, 3]"

    def read(self, value: Any) -> int | tuple[int, ...] | None:
        if value is None or (value == -1 and isinstance(value, int)):
            return value
        if value in ([1, 2, 3], (1, 2, 3)):
            return (1, 2, 3)
        raise self.refuse()

    def schema(self) -> Schema:
        return {"enum": [None, -1, [1, 2, 3]]}


class LossSum(Loss):
    """Several losses of the same outputs, added."""

    kind = ""

    losses: Annotated[tuple[Loss, ...], list_of(LOSSES)]

    @property
    def parts(self) -> Sequence[Loss]:
        return self.losses

    @property
    def outputs(self) -> Meaning:  # type: ignore[override]  # of the parts, where others have a constant
        """The strictest meaning: what a loss of classes says of targets holds for all, then what one of labels says."""
        found = [part.outputs for part in self.losses]
        return next((meaning for meaning in (Meaning.CLASSES, Meaning.LABELS) if meaning in found), Meaning.NUMBERS)

    @property
    def activation(self) -> str:
        found = [part for part in self.losses if part.activation != "linear"]
        return next((part.activation for part in found if part.logits), found[0].activation if found else "linear")

    @property
    def void(self) -> int | None:
        return self.losses[0].void

    @property
    def of_logits(self) -> bool:
        return any(part.of_logits for part in self.losses)

    def contradiction(self) -> str:
        if len({part.void for part in self.losses}) > 1:
            return "ignore_class must be the same in all losses of the list: others would count void targets"
        if len({part.activation for part in self.losses if part.of_logits}) > 1:
            return "from_logits must mean the softmax or the sigmoid in all losses of the list"
        return ""

    def entry(self) -> Any:
        return [part.entry() for part in self.losses]

    def lower(self, build: Builder, prediction: Value, target: Value, weight: Value) -> tuple[Value, Value]:
        found = [part.lower(build, prediction, target, weight) for part in self.losses]
        total = build.add(*(loss for loss, _ in found)) if len(found) > 1 else found[0][0]
        return total, next((means for _, means in found if means is not prediction), prediction)

    def probabilities(self, build: Builder, prediction: Value) -> Value:
        found = (part.probabilities(build, prediction) for part in self.losses)
        return next((means for means in found if means is not prediction), prediction)


class OneOrSeveral(Kind):
    """A loss, or a list of losses, which are added."""

    one, several = Named(LOSSES), ListOf(Named(LOSSES), 1)
    rule = "a loss name or {name: arguments}, or a list of them, whose sum it is"

    @property
    def sample(self) -> Any:
        return self.one.sample

    def read(self, value: Any) -> Loss:
        if not isinstance(value, list | tuple):
            loss: Loss = LOSSES.parse(value) if not isinstance(value, LossSum) else value
            return loss
        for number, item in enumerate(value):
            if isinstance(item, Mapping) and "weight" in item and len(item) > 1:
                name = next(key for key in item if key != "weight")
                way = f"weight is an argument of the loss: write {{{name}: {{weight: {item['weight']}}}}}"
                raise ValidationError([ErrorDetail((number,), "sentence", way)])
        losses = self.several.read(value)
        try:
            return LossSum(losses=losses) if len(losses) > 1 else losses[0]
        except ValidationError as error:
            raise ValidationError(detail._replace(kind="sentence", owner=None) for detail in error.details) from None

    def schema(self) -> Schema:
        return {"anyOf": [self.one.schema(), self.several.schema()]}


LossField = Annotated[Loss, OneOrSeveral()]


@LOSSES.register
class CategoricalCrossentropy(Loss):
    """−Σ target·log(prediction) over the classes; takes one-hot rows or class numbers.

    Rows must sum to 1: of others TensorFlow's gradient is not that of the loss.
    """

    kind = "cross_entropy"
    logits = OfLogits("softmax_cross_entropy", "softmax")
    outputs = Meaning.CLASSES
    ignored = ON_LAST_AXIS

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
    ignored = ON_LAST_AXIS

    from_logits: bool = False
    """Whether the last layer gives logits: predictions are then shown as their softmax, metrics are of the logits."""
    ignore_class: Annotated[int | None, Maybe(Integer())] = None
    """Class number that does not count (void), like 255 in the masks of Pascal VOC: neither in the loss, which is the
    mean over the batch's other pixels (or samples), nor in metrics and evaluation."""


@LOSSES.register
class BinaryCrossentropy(Loss):
    """−(t·log p + (1−t)·log(1−p)), the mean over the outputs."""

    aliases = ("bce", "BCE")
    kind = "binary_cross_entropy"
    logits = OfLogits("sigmoid_cross_entropy", "sigmoid")
    outputs = Meaning.LABELS
    ignored = ON_LAST_AXIS

    from_logits: bool = False
    """Whether the last layer gives logits: predictions are then shown as their sigmoid, metrics are of the logits."""
    label_smoothing: Smoothing = 0.0


@LOSSES.register
class CategoricalFocalCrossentropy(Loss):
    """CategoricalCrossentropy times α (1 − q)^γ, which makes little of what is already right (Lin et al. 2017).

    As in Keras, it is computed from the probabilities, also behind a softmax.
    """

    kind = "focal_cross_entropy"
    squashed = "softmax"
    outputs = Meaning.CLASSES
    ignored = ON_LAST_AXIS

    alpha: Annotated[float, Number(0)] = 0.25
    """The factor α of all classes; for one of each class use `class_weight`."""
    gamma: Annotated[float, Number(0)] = 2.0
    from_logits: bool = False
    """Whether the last layer gives logits, of which this takes the softmax."""
    label_smoothing: Smoothing = 0.0


@LOSSES.register
class BinaryFocalCrossentropy(Loss):
    """BinaryCrossentropy times (1 − pₜ)^γ, where pₜ is the probability given to the target (Lin et al. 2017).

    Behind a sigmoid the cross-entropy is computed from its logits, as in Keras; behind a softmax from the
    probabilities, where Keras takes the softmax' logits for those of a sigmoid.
    """

    kind = "binary_focal_cross_entropy"
    logits = OfLogits("sigmoid_focal_cross_entropy", "sigmoid")
    outputs = Meaning.LABELS
    ignored = ON_LAST_AXIS

    apply_class_balancing: bool = False
    """Whether targets of 1 are weighted by α, those of 0 by 1 − α."""
    alpha: Annotated[float, Number(0, 1)] = 0.25
    gamma: Annotated[float, Number(0)] = 2.0
    from_logits: bool = False
    """Whether the last layer gives logits, of which this takes the sigmoid."""
    label_smoothing: Smoothing = 0.0

    def logits_behind(self, build: Builder, prediction: Value) -> Logits | None:
        found = super().logits_behind(build, prediction)
        return found if found is not None and found.activation == "sigmoid" and not self.from_logits else None


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


@LOSSES.register
class MeanAbsolutePercentageError(Loss):
    """100·|prediction − target| / |target|, the mean over the outputs; targets below 1e-7 count as 1e-7."""

    aliases = ("mape", "MAPE")
    kind = "mean_absolute_percentage_error"
    outputs = Meaning.NUMBERS


@LOSSES.register
class MeanSquaredLogarithmicError(Loss):
    """(log(1 + prediction) − log(1 + target))², the mean over the outputs; numbers below 1e-7 count as 1e-7."""

    aliases = ("msle", "MSLE")
    kind = "mean_squared_logarithmic_error"
    outputs = Meaning.NUMBERS


@LOSSES.register
class Huber(Loss):
    """(prediction − target)² / 2 up to an error of `delta`, and delta·|prediction − target| − delta² / 2 beyond."""

    kind = "huber"
    outputs = Meaning.NUMBERS

    delta: Annotated[float, Number(above=0)] = 1.0


@LOSSES.register
class LogCosh(Loss):
    """log(cosh(prediction − target)): nearly half the squared error for small errors, the absolute one for large."""

    aliases = ("logcosh",)
    kind = "log_cosh"
    outputs = Meaning.NUMBERS


@LOSSES.register
class Poisson(Loss):
    """prediction − target·log(prediction), the mean over the outputs; predictions must be positive (exponential,
    softplus)."""

    kind = "poisson"
    outputs = Meaning.NUMBERS


@LOSSES.register
class CosineSimilarity(Loss):
    """Minus the cosine of the angle between prediction and target, over the last axis: −1 for the same direction."""

    kind = "cosine_similarity"
    outputs = Meaning.NUMBERS
    ignored = OF_DIRECTION


@LOSSES.register
class KLDivergence(Loss):
    """Σ target·log(target / prediction) over the classes: how far a distribution is from the target's."""

    aliases = ("kld", "KLD", "kullback_leibler_divergence")
    kind = "kl_divergence"
    squashed = "softmax"
    outputs = Meaning.CLASSES


@LOSSES.register
class Hinge(Loss):
    """max(1 − target·prediction, 0), the mean over the outputs; targets are −1 and 1, as which a batch of only 0 and 1
    is taken."""

    kind = "hinge"
    outputs = Meaning.NUMBERS


@LOSSES.register
class SquaredHinge(Loss):
    """The square of Hinge: max(1 − target·prediction, 0)²."""

    kind = "squared_hinge"
    outputs = Meaning.NUMBERS


@LOSSES.register
class CategoricalHinge(Loss):
    """max(1 + the greatest score of another class − the score of the target's class, 0)."""

    kind = "categorical_hinge"
    outputs = Meaning.NUMBERS


@LOSSES.register
class CategoricalGeneralizedCrossEntropy(Loss):
    """(1 − p^q) / q of the probability p of the class: wrong labels count less the nearer q is to 1 (Zhang, Sabuncu
    2018)."""

    kind = "generalized_cross_entropy"
    squashed = "softmax"
    outputs = Meaning.CLASSES

    q: Annotated[float, Number(above=0, below=1)] = 0.5


class Overlap(Loss):
    """Base class: how little predictions and targets overlap, in sums over `axis`."""

    outputs = Meaning.LABELS
    squashed = "sigmoid"

    axis: Annotated[int | tuple[int, ...] | None, OverlapAxis()] = None
    """What is summed over: null is the whole batch, [1, 2, 3] each image (or other sample), -1 each pixel. Of the whole
    batch, all its samples have the same loss."""


@LOSSES.register
class Dice(Overlap):
    """1 − 2·Σ target·prediction / (Σ target + Σ prediction): Dice's coefficient of probabilities, for masks."""

    kind = "dice"


@LOSSES.register
class Tversky(Overlap):
    """1 − I / (I + alpha·missed + beta·invented) with I = Σ target·prediction: with 0.5 and 0.5 it is Dice.

    missed = Σ target·(1 − prediction), invented = Σ prediction·(1 − target), as Keras has it: a greater alpha favors
    recall.
    """

    kind = "tversky"

    alpha: Annotated[float, Number(0)] = 0.5
    beta: Annotated[float, Number(0)] = 0.5
