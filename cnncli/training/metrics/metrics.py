"""Metrics, named as in Keras. A metric is an additive statistic and the values computed from its sums.

`count` processes one batch; `figures` computes the values from the sums over all batches of an epoch or a split. See
`training.metrics.statistics` for the counts and how they are summed.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cnncli.layers.declarations.declaration import Declaration, Registry, snake_case
from cnncli.layers.declarations.field_types import Integer, Maybe, Number

if TYPE_CHECKING:
    from numpy import bool_, float32, float64, int64
    from numpy.typing import NDArray

    from cnncli.training.metrics.statistics import Counts

    Real = NDArray[float32] | NDArray[float64]


class Metric(Declaration):
    """Values reported next to the loss."""

    better: ClassVar[Literal["min", "max"]] = "max"
    """Direction of improvement, used by callbacks with `mode: auto`."""
    counts_answers: ClassVar[bool] = False
    """True if it counts correct predictions, which requires labels: not allowed when the target is the input."""

    @property
    def names(self) -> Sequence[str]:
        """Names of its values, for validating callbacks and `expect` before training."""
        return (snake_case(type(self).__name__),)

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        """The counts of one batch. predictions, targets: real (n, …) of one shape."""
        raise NotImplementedError

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        """The values, in the order of `names`, from summed counts."""
        raise NotImplementedError


METRICS = Registry("metric", Metric)


class ShareOfRight(Metric):
    """Base class: the fraction of correct predictions."""

    counts_answers = True

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        """Which predictions are correct: bool (n, …)."""
        raise NotImplementedError

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from numpy import count_nonzero  # checking a spec must not import NumPy

        right = self.right(predictions, targets)
        return {"right": count_nonzero(right), "answers": right.size}

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        right, answers = int(counts["right"]), int(counts["answers"])
        if not 0 <= right <= answers:
            raise ValueError(f"there can't be {right} right ones of {answers} answers")
        return dict.fromkeys(self.names, right / answers if answers else 0.0)  # as Keras, where all targets are void


@METRICS.register
class Accuracy(ShareOfRight):
    """Fraction of correct predictions: the class with the highest score or, for a single output, a score above 0.5.

    For images with several classes, use binary_accuracy.
    """

    aliases = ("acc",)

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        if predictions.shape[-1] == 1:
            return BinaryAccuracy().right(predictions, targets)
        right: NDArray[bool_] = predictions.argmax(-1) == targets.argmax(-1)
        return right


@METRICS.register
class BinaryAccuracy(ShareOfRight):
    """Fraction of outputs on the correct side of `threshold`.

    As in Keras, it applies to the raw outputs: for logits, a threshold of 0 corresponds to a probability of 0.5.
    """

    threshold: Annotated[float, Number(0, 1)] = 0.5

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        right: NDArray[bool_] = (predictions > self.threshold) == targets
        return right


class OfClasses(Metric):
    """Base class: the mean, over the classes that targets or predictions have, of a score of each.

    As in Keras' MeanIoU, a class that neither has does not count; without any class the mean is 0.
    """

    counts_answers = True

    ignore_class: Annotated[int | None, Maybe(Integer(0))] = None
    """A class whose samples (or pixels) do not count, such as the background. Void, the loss' own `ignore_class`, never
    does."""

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from cnncli.training.metrics.statistics import class_numbers, confusion_matrix

        true, predicted = class_numbers(targets), class_numbers(predictions)
        matrix = confusion_matrix(true, predicted, max(2, targets.shape[-1]))
        if self.ignore_class is not None:
            matrix[self.ignore_class : self.ignore_class + 1] = 0
        return {"matrix": matrix}

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        matrix = counts["matrix"]
        both, either = matrix.diagonal(), matrix.sum(0) + matrix.sum(1)
        held = either > 0
        score = float(self.score(both[held], either[held]).mean()) if held.any() else 0.0
        return dict.fromkeys(self.names, score)

    def score(self, both: "NDArray[int64]", either: "NDArray[int64]") -> "NDArray[float64]":
        """The score of each class: `both` is how many are of it and were given it, `either` the sum of both numbers."""
        raise NotImplementedError


@METRICS.register
class MeanIoU(OfClasses):
    """Mean over the classes of intersection over union, TP / (TP + FP + FN), of the classes with the highest score.

    As Keras' MeanIoU of class numbers and its OneHotMeanIoU of scores; the number of classes is that of the outputs.
    """

    aliases = ("OneHotMeanIoU", "one_hot_mean_io_u", "mean_iou", "one_hot_mean_iou")

    def score(self, both: "NDArray[int64]", either: "NDArray[int64]") -> "NDArray[float64]":
        iou: NDArray[float64] = both / (either - both)
        return iou


@METRICS.register
class Dice(OfClasses):
    """Mean over the classes of the Dice coefficient, 2 TP / (2 TP + FP + FN), of the classes with the highest score.

    It is the F1 score of a class (Dice, Measures of the amount of ecologic association between species, 1945); the mean
    is scikit-learn's f1_score with `average="macro"`.
    """

    def score(self, both: "NDArray[int64]", either: "NDArray[int64]") -> "NDArray[float64]":
        dice: NDArray[float64] = 2 * both / either
        return dice
