"""Metrics of a confusion matrix of classes, and F scores of the classes that thresholds or the highest score give."""

from collections.abc import Mapping
from math import nan, sqrt
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnncli.layers.declarations.declaration import PositiveInt
from cnncli.layers.declarations.field_types import Integer, Maybe, Number, Only
from cnncli.layers.declarations.list_types import ListOf
from cnncli.training.metrics.metrics import METRICS, ClassNumber, Metric

if TYPE_CHECKING:
    from numpy import bool_, float64, int64
    from numpy.typing import NDArray

    from cnncli.training.metrics.metrics import Real
    from cnncli.training.metrics.statistics import Counts


EPSILON = 1e-7
UNITS = 2**30
"""Targets are counted in units of 1 / UNITS, so that soft ones add up exactly."""


ON_LAST_AXIS = {**Metric.ignored, "axis": Only(-1, why="classes are on the last axis")}


class OfMatrix(Metric):
    """Base class: a value of the confusion matrix, of the classes with the highest score."""

    counts_answers = True
    of_one_class = True
    ignored = ON_LAST_AXIS

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
        return dict.fromkeys(self.names(), self.value(counts["matrix"]))

    def value(self, matrix: "NDArray[int64]") -> float:
        """The value of the matrix: rows are true classes, columns predicted ones."""
        raise NotImplementedError


class OfClasses(OfMatrix):
    """Base class: the mean, over the classes that targets or predictions have, of a score of each.

    As in Keras' MeanIoU, a class that neither has does not count; without any class the mean is 0.
    """

    def value(self, matrix: "NDArray[int64]") -> float:
        both, either = matrix.diagonal(), matrix.sum(0) + matrix.sum(1)
        held = either > 0
        held &= self.among(len(matrix))
        return float(self.score(both[held], either[held]).mean()) if held.any() else 0.0

    def among(self, classes: int) -> "NDArray[bool_]":
        """Which classes count: bool (classes,)."""
        from numpy import ones

        return ones(classes, bool)

    def score(self, both: "NDArray[int64]", either: "NDArray[int64]") -> "NDArray[float64]":
        """The score of each class: `both` is how many are of it and were given it, `either` the sum of both numbers."""
        raise NotImplementedError


class OfIntersection(OfClasses):
    """Base class: the score is intersection over union, TP / (TP + FP + FN)."""

    def score(self, both: "NDArray[int64]", either: "NDArray[int64]") -> "NDArray[float64]":
        iou: NDArray[float64] = both / (either - both)
        return iou


@METRICS.register
class MeanIoU(OfIntersection):
    """Mean over the classes of intersection over union, TP / (TP + FP + FN), of the classes with the highest score.

    As Keras' MeanIoU of class numbers and its OneHotMeanIoU of scores; the number of classes is that of the outputs.
    """

    aliases = ("OneHotMeanIoU", "one_hot_mean_io_u", "mean_iou", "one_hot_mean_iou")


@METRICS.register
class Dice(OfClasses):
    """Mean over the classes of the Dice coefficient, 2 TP / (2 TP + FP + FN), of the classes with the highest score.

    It is the F1 score of a class (Dice, Measures of the amount of ecologic association between species, 1945); the mean
    is scikit-learn's f1_score with `average="macro"`.
    """

    def score(self, both: "NDArray[int64]", either: "NDArray[int64]") -> "NDArray[float64]":
        dice: NDArray[float64] = 2 * both / either
        return dice


class OfTargets(OfIntersection):
    """Base class: the mean over the classes of `target_class_ids`."""

    target_class_ids: Annotated[tuple[int, ...], ListOf(ClassNumber(), 1)]

    def among(self, classes: int) -> "NDArray[bool_]":
        from numpy import arange, isin

        return isin(arange(classes), self.target_class_ids)

    def misfit(self, outputs: int) -> str:
        return beyond("target_class_ids", max(self.target_class_ids), max(2, outputs))


@METRICS.register
class IoU(OfTargets):
    """Mean of intersection over union over the classes of `target_class_ids`, as Keras' IoU and OneHotIoU."""

    aliases = ("OneHotIoU", "one_hot_io_u", "iou", "one_hot_iou")


@METRICS.register
class BinaryIoU(OfTargets):
    """Mean of intersection over union of outputs of at least `threshold` (class 1) and of the others (class 0)."""

    aliases = ("binary_iou",)
    of_one_class = False

    target_class_ids: Annotated[tuple[int, ...], ListOf(Integer(0, 1), 1)] = (0, 1)
    threshold: float = 0.5

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from numpy import int64

        from cnncli.training.metrics.statistics import confusion_matrix

        true, predicted = targets.astype(int64), (predictions >= self.threshold).astype(int64)
        return {"matrix": confusion_matrix(true, predicted, 2)}

    def misfit(self, outputs: int) -> str:
        return ""


@METRICS.register
class CohenKappa(OfMatrix):
    """Agreement of predicted and true classes beyond that of chance: 1 is perfect, 0 what chance gives (Cohen 1960).

    scikit-learn's cohen_kappa_score; NaN where all are of one class and predicted so.
    """

    aliases = ("cohen_kappa_score",)

    weights: Literal["linear", "quadratic"] | None = None
    """How much a mistake counts: all alike, or by the distance of class numbers or its square, for ordered classes."""

    def value(self, matrix: "NDArray[int64]") -> float:
        from numpy import abs, arange, outer

        numbers = arange(len(matrix))
        distance = abs(numbers[:, None] - numbers)
        cost = {None: distance > 0, "linear": distance, "quadratic": distance**2}[self.weights]
        by_chance = int((cost * outer(matrix.sum(1), matrix.sum(0))).sum())
        return (by_chance - int((cost * matrix).sum()) * int(matrix.sum())) / by_chance if by_chance else nan


@METRICS.register
class MatthewsCorrelation(OfMatrix):
    """Correlation of predicted and true classes: 1 is perfect, 0 what chance gives; fair to rare classes (Gorodkin
    2004). scikit-learn's matthews_corrcoef; 0 where all are of one class, or predicted so."""

    aliases = ("MatthewsCorrelationCoefficient", "matthews_corrcoef", "mcc")

    def value(self, matrix: "NDArray[int64]") -> float:
        true, predicted, right = matrix.sum(1).tolist(), matrix.sum(0).tolist(), int(matrix.trace())
        total = sum(true)
        squares = [total**2 - sum(count**2 for count in counts) for counts in (true, predicted)]
        above = right * total - sum(t * p for t, p in zip(true, predicted, strict=True))
        return above / sqrt(squares[0] * squares[1]) if all(squares) else 0.0


class Beta(Metric):
    """Base class: the F score of each class, or an average of them."""

    counts_answers = True

    average: Literal["micro", "macro", "weighted"] | None = None
    """null gives the score of each class, with its number in the name; micro counts all classes together, macro is the
    mean, weighted the mean by how many samples a class has."""
    threshold: Annotated[float | None, Maybe(Number(above=0, most=1))] = None
    """null gives a sample the class with the highest score, otherwise all with a higher score than this."""

    @property
    def of_probabilities(self) -> bool:
        return self.threshold is not None

    def factor(self) -> float:
        """β: how much more recall counts than precision."""
        return 1.0

    def several(self, outputs: int) -> int | None:
        return outputs if self.average is None else None

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from numpy import abs, float64, int64, rint

        scores = predictions.reshape(-1, predictions.shape[-1])
        if self.threshold is None:
            given = (scores >= scores.max(-1, keepdims=True)) & (abs(scores) > 1e-9)
        else:
            given = scores > self.threshold
        wanted = rint(targets.reshape(scores.shape).astype(float64) * UNITS).astype(int64)
        return {"hits": (wanted * given).sum(0), "given": given.sum(0, dtype=int64), "wanted": wanted.sum(0)}

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        from numpy import float64

        hits, given, wanted = (counts[name].astype(float64) for name in ("hits", "given", "wanted"))
        hits, wanted = hits / UNITS, wanted / UNITS
        if self.average == "micro":
            hits, given, wanted = hits.sum(), given.sum(), wanted.sum()
        precision, recall = hits / (given + EPSILON), hits / (wanted + EPSILON)
        square = self.factor() ** 2
        scores = (1 + square) * precision * recall / (square * precision + recall + EPSILON)
        if self.average == "macro":
            scores = scores.mean()
        if self.average == "weighted":
            scores = (scores * wanted).sum() / (wanted.sum() + EPSILON)
        return self.named(scores)


@METRICS.register
class FBetaScore(Beta):
    """Weighted harmonic mean of precision and recall: recall counts `beta` times as much."""

    aliases = ("fbeta_score",)
    called = "fbeta_score"

    beta: Annotated[float, Number(above=0)] = 1.0

    def factor(self) -> float:
        return self.beta


@METRICS.register
class F1Score(Beta):
    """Harmonic mean of precision and recall, of each class by default."""


@METRICS.register
class CalibrationError(Metric):
    """Expected calibration error: how far the probability of the predicted class is from the share of right answers.

    The mean over bins of equal width, weighted by their counts (Guo et al. 2017), as `cnncli evaluate` reports it.
    """

    aliases = ("ExpectedCalibrationError", "expected_calibration_error", "ece")
    better = "min"
    counts_answers = True
    of_one_class = True

    bins: PositiveInt = 15

    @property
    def of_probabilities(self) -> bool:
        return True

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from numpy import float64, int64, maximum, nan_to_num, rint

        from cnncli.training.metrics.calibration import bin_sums
        from cnncli.training.metrics.statistics import class_numbers

        sure, right = predictions.max(-1), class_numbers(predictions) == class_numbers(targets)
        if predictions.shape[-1] == 1:
            sure = maximum(sure, 1 - sure)
        shares = nan_to_num(sure.ravel().astype(float64), nan=1.0)  # sure, and wrong
        counts, sums, hits = bin_sums(rint(shares * UNITS) / UNITS, right.ravel(), self.bins)
        return {"counts": counts, "sums": rint(sums * UNITS).astype(int64), "hits": hits.astype(int64)}

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        from numpy import abs

        total = int(counts["counts"].sum())
        gaps = abs(counts["hits"] - counts["sums"] / UNITS).sum()
        return dict.fromkeys(self.names(), float(gaps) / total if total else 0.0)


def beyond(key: str, number: int, outputs: int) -> str:
    """Why a class number is wrong; "" if it is not."""
    return "" if number < outputs else f"{key} must be less than {outputs}, the number of classes; received {number}"
