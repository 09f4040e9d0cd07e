"""Losses: names and arguments as in keras/src/losses/losses.py; each is the mean over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cnncli.layers.declarations.declaration import Registry
from cnncli.layers.declarations.field_types import Integer, Kind, Maybe, Number, Only, Schema
from cnncli.layers.loss import Loss, OfLogits
from cnncli.layers.meaning import Meaning

if TYPE_CHECKING:
    from cnncli.ops.builder import Builder, Logits
    from cnncli.ops.ir import Value

LOSSES = Registry("loss", Loss)
ON_LAST_AXIS = {**Loss.ignored, "axis": Only(-1, why="classes are on the last axis")}
OF_DIRECTION = {**Loss.ignored, "axis": Only(-1, why="a direction is one of the last axis")}
Smoothing = Annotated[float, Number(0, 1)]


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
