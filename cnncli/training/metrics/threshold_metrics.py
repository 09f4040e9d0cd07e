"""Metrics of scores above thresholds, with Keras' thresholds: counts, precision, recall, and areas under curves.

Outputs count one by one, each as positive or negative; `class_id` takes those of one class.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cnncli.layers.declarations.field_types import Integer, Kind, Maybe, Number
from cnncli.layers.declarations.list_types import ListOf, OneOrMore
from cnncli.training.metrics.class_metrics import beyond
from cnncli.training.metrics.metrics import METRICS, ClassNumber, Metric

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    from cnncli.training.metrics.metrics import Real
    from cnncli.training.metrics.statistics import Counts
    from cnncli.training.metrics.threshold_histograms import Outcomes

EPSILON = 1e-7
Thresholds = Annotated[tuple[float, ...] | None, Maybe(OneOrMore(Number(0, 1)))]
ClassId = Annotated[int | None, Maybe(ClassNumber())]


class OfThresholds(Metric):
    """Base class: a value of how many scores are above thresholds, by whether their targets are positive."""

    counts_answers = True

    @property
    def of_probabilities(self) -> bool:
        return True

    def limits(self) -> Sequence[float]:
        """The thresholds, in order of their values."""
        raise NotImplementedError

    @property
    def even(self) -> bool:
        """Whether the thresholds are evenly spaced from 0 to 1, so that scores are clipped to these, as in Keras."""
        from cnncli.training.metrics.threshold_histograms import evenly_spaced

        return evenly_spaced(self.limits())

    def seen(self, predictions: "Real", targets: "Real") -> "tuple[Real, Real]":
        """Which scores and targets count, real (n, labels)."""
        return predictions, targets

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from cnncli.training.metrics.threshold_histograms import histogram

        scores, wanted = self.seen(predictions, targets)
        shape = (-1, scores.shape[-1] if self.apart else 1)
        return {"above": histogram(scores.reshape(shape), wanted.reshape(shape), self.limits(), self.even)}

    @property
    def apart(self) -> bool:
        """Whether each output is counted apart."""
        return False

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        from cnncli.training.metrics.threshold_histograms import outcomes

        return self.named(self.value(outcomes(self.reduced(counts["above"]))))

    def reduced(self, above: "NDArray[float64]") -> "NDArray[float64]":
        """The counts of the histogram: without labels where they are not counted apart."""
        return above if self.apart else above[..., 0]

    def value(self, found: "Outcomes") -> "NDArray[float64]":
        """The value or values."""
        raise NotImplementedError


class AtThresholds(OfThresholds):
    """Base class: a value for each threshold."""

    thresholds: Thresholds = None
    """One threshold, by default 0.5, or a list: there is then a value for each, with its number in the name."""

    def limits(self) -> Sequence[float]:
        return sorted(self.given())

    def given(self) -> Sequence[float]:
        """The thresholds in the order of the values."""
        return (0.5,) if self.thresholds is None else self.thresholds

    def several(self, outputs: int) -> int | None:
        count = len(self.given())
        return count if count > 1 else None

    def named(self, values: "NDArray[float64]") -> Mapping[str, float]:
        from numpy import argsort

        order = argsort(argsort(self.given(), kind="stable"), kind="stable")
        return super().named(values[order] if len(order) > 1 else values[0])


@METRICS.register
class TruePositives(AtThresholds):
    """Number of positive outputs that are above the threshold."""

    def value(self, found: "Outcomes") -> "NDArray[float64]":
        return found.true_positives


@METRICS.register
class TrueNegatives(AtThresholds):
    """Number of negative outputs that are not above the threshold."""

    def value(self, found: "Outcomes") -> "NDArray[float64]":
        return found.true_negatives


@METRICS.register
class FalsePositives(AtThresholds):
    """Number of negative outputs that are above the threshold."""

    better = "min"

    def value(self, found: "Outcomes") -> "NDArray[float64]":
        return found.false_positives


@METRICS.register
class FalseNegatives(AtThresholds):
    """Number of positive outputs that are not above the threshold."""

    better = "min"

    def value(self, found: "Outcomes") -> "NDArray[float64]":
        return found.false_negatives


class OfPositives(AtThresholds):
    """Base class: a share of the positive outputs, of some classes."""

    top_k: Annotated[int | None, Maybe(Integer(1))] = None
    """If given, only the k highest scores can be positive; they are, unless thresholds are given, too."""
    class_id: ClassId = None
    """If given, only the outputs of this class count."""

    @property
    def of_probabilities(self) -> bool:
        return self.top_k is None or self.thresholds is not None

    def given(self) -> Sequence[float]:
        return super().given() if self.top_k is None or self.thresholds is not None else (-1e10,)

    def seen(self, predictions: "Real", targets: "Real") -> "tuple[Real, Real]":
        from cnncli.training.metrics.threshold_histograms import among_highest

        scores = predictions if self.top_k is None else among_highest(predictions, self.top_k)
        return of_class(scores, targets, self.class_id)

    def misfit(self, outputs: int) -> str:
        return beyond("class_id", self.class_id or 0, outputs)


@METRICS.register
class Precision(OfPositives):
    """Share of the outputs above the threshold that are positive; 0 where none is."""

    def value(self, found: "Outcomes") -> "NDArray[float64]":
        return found.precision


@METRICS.register
class Recall(OfPositives):
    """Share of the positive outputs that are above the threshold; 0 where none is positive."""

    def value(self, found: "Outcomes") -> "NDArray[float64]":
        return found.recall


class BestAt(OfThresholds):
    """Base class: the best of one share at the thresholds where another is at least the required one."""

    num_thresholds: Annotated[int, Integer(1)] = 200
    """How many thresholds from 0 to 1 are tried, at equal distances; 1 tries 0.5."""
    class_id: ClassId = None
    """If given, only the outputs of this class count."""

    shares: ClassVar[tuple[str, str]]
    """The share that is required, by the field of that name, and the one that is the value: names in `Outcomes`."""

    def limits(self) -> Sequence[float]:
        count = self.num_thresholds
        return [0.5] if count == 1 else [number / (count - 1) for number in range(count)]

    @property
    def even(self) -> bool:
        return self.num_thresholds > 1

    def seen(self, predictions: "Real", targets: "Real") -> "tuple[Real, Real]":
        return of_class(predictions, targets, self.class_id)

    def misfit(self, outputs: int) -> str:
        return beyond("class_id", self.class_id or 0, outputs)

    def value(self, found: "Outcomes") -> "NDArray[float64]":
        from numpy import asarray

        required, share = (getattr(found, name) for name in self.shares)
        fit = share[required >= getattr(self, self.shares[0])]
        return asarray(fit.max() if len(fit) else 0.0)


Share = Annotated[float, Number(0, 1)]


@METRICS.register
class SensitivityAtSpecificity(BestAt):
    """The best sensitivity (recall) at a threshold whose specificity is at least the given one."""

    shares = ("specificity", "sensitivity")

    specificity: Share


@METRICS.register
class SpecificityAtSensitivity(BestAt):
    """The best specificity at a threshold whose sensitivity (recall) is at least the given one."""

    shares = ("sensitivity", "specificity")

    sensitivity: Share


@METRICS.register
class PrecisionAtRecall(BestAt):
    """The best precision at a threshold whose recall is at least the given one."""

    shares = ("recall", "precision")

    recall: Share


@METRICS.register
class RecallAtPrecision(BestAt):
    """The best recall at a threshold whose precision is at least the given one."""

    shares = ("precision", "recall")

    precision: Share


@METRICS.register
class AUC(OfThresholds):
    """Area under a curve, summed over thresholds as in Keras: an approximation. `cnncli evaluate` has the exact areas.

    Of a single output, or of all outputs as if they were one; with `multi_label` the mean over the outputs.
    """

    num_thresholds: Annotated[int, Integer(2)] = 200
    """How many thresholds from 0 to 1 are tried, at equal distances."""
    curve: Literal["ROC", "PR", "PRGAIN", "roc", "pr", "prgain"] = "ROC"
    """True and false positive rate, recall and precision, or the gains of these two (Flach, Kull 2015)."""
    summation_method: Literal["interpolation", "minoring", "majoring"] = "interpolation"
    """Trapezoids (for PR of true positives instead of precision), or the lower or higher of two points."""
    thresholds: Annotated[tuple[float, ...] | None, Maybe(ListOf(Number(0, 1)))] = None
    """Thresholds to try instead, besides the ends."""
    multi_label: bool = False
    label_weights: Annotated[tuple[float, ...] | None, Maybe(ListOf(Number(0), 1))] = None
    """A weight for each output: of its area with `multi_label`, otherwise of its counts."""
    from_logits: bool = False
    """Whether outputs are logits, of which this takes the sigmoid."""

    ignored: ClassVar[Mapping[str, Kind]] = {**Metric.ignored, "num_labels": Maybe(Integer(1))}

    @property
    def of_probabilities(self) -> bool:
        return not self.from_logits

    @property
    def apart(self) -> bool:
        return self.multi_label or self.label_weights is not None

    def limits(self) -> Sequence[float]:
        last = self.num_thresholds - 1
        inner = [number / last for number in range(1, last)] if self.thresholds is None else sorted(self.thresholds)
        return [-EPSILON, *inner, 1 + EPSILON]

    @property
    def even(self) -> bool:
        return self.thresholds is None or super().even

    def seen(self, predictions: "Real", targets: "Real") -> "tuple[Real, Real]":
        from numpy import errstate, exp

        with errstate(over="ignore"):
            return 1 / (1 + exp(-predictions)) if self.from_logits else predictions, targets

    def reduced(self, above: "NDArray[float64]") -> "NDArray[float64]":
        if self.multi_label or self.label_weights is None:
            return super().reduced(above)
        return above @ self.label_weights

    def value(self, found: "Outcomes") -> "NDArray[float64]":
        from numpy import asarray, average

        from cnncli.training.metrics.threshold_histograms import area

        areas = area(found, self.curve.upper(), self.summation_method)
        if self.multi_label:
            weights = self.label_weights if self.label_weights and any(self.label_weights) else None
            return asarray(average(areas, weights=weights))
        return areas

    def misfit(self, outputs: int) -> str:
        count = len(self.label_weights or ())
        return "" if count in (0, outputs) else f"label_weights must have a weight for each output; received {count}"


def of_class(scores: "Real", targets: "Real", class_id: int | None) -> "tuple[Real, Real]":
    """The scores and targets of a class, or of all."""
    if class_id is None:
        return scores, targets
    return scores[..., class_id, None], targets[..., class_id, None]
