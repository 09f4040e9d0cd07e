"""ROC and precision–recall curves of one class against the rest, their areas, and the best thresholds."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Roc:
    """A ROC curve from (0, 0) to (1, 1): float64 arrays of one length, without points in the middle of a line
    (but with the highest score), as in scikit-learn.

    A sample is positive if its score is at least the threshold; thresholds fall, and the first is infinite.
    """

    false_positive_rate: Array
    true_positive_rate: Array
    thresholds: Array
    auc: float


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """A precision–recall curve: float64 arrays of one length, recall rising, from precision 1 at recall 0.

    A sample is positive if its score is at least the threshold; thresholds fall, and the first is infinite.
    """

    precision: Array
    recall: Array
    thresholds: Array
    average_precision: float


@dataclass(frozen=True)
class BestThreshold:
    """The threshold with the highest `value`; the highest of several. Scores of at least `threshold` are positive."""

    threshold: float
    value: float


@dataclass(frozen=True, eq=False)
class ThresholdCounts:
    """Positives that are true and false, int64, at each distinct score (`thresholds`, falling) as the threshold.

    There is at least one positive and one negative sample.
    """

    thresholds: Array
    true_positives: Array
    false_positives: Array

    @property
    def auc(self) -> float:
        """Area under the ROC curve, by trapezoids."""
        true, false = _from_zero(self.true_positives), _from_zero(self.false_positives)
        twice = int(np.diff(false) @ (true[1:] + true[:-1]))
        return twice / (2 * int(true[-1]) * int(false[-1]))

    @property
    def average_precision(self) -> float:
        """Σ (Rᵢ − Rᵢ₋₁)·Pᵢ over the thresholds, not interpolated."""
        steps = np.diff(_from_zero(self.true_positives))
        return float(steps @ self._precision / self.true_positives[-1])

    @property
    def roc(self) -> Roc:
        """The ROC curve."""
        true, false = _from_zero(self.true_positives), _from_zero(self.false_positives)
        corner = np.ones(len(true), bool)
        corner[2:-1] = (np.diff(true[1:], 2) != 0) | (np.diff(false[1:], 2) != 0)
        thresholds = np.concatenate([[np.inf], self.thresholds])
        return Roc(false[corner] / false[-1], true[corner] / true[-1], thresholds[corner], self.auc)

    @property
    def precision_recall(self) -> PrecisionRecall:
        """The precision–recall curve."""
        precision, thresholds = np.concatenate([[1.0], self._precision]), np.concatenate([[np.inf], self.thresholds])
        recall = _from_zero(self.true_positives) / self.true_positives[-1]
        return PrecisionRecall(precision, recall, thresholds, self.average_precision)

    @property
    def best_f1(self) -> BestThreshold:
        """The threshold with the highest F1."""
        positive = self.true_positives + self.false_positives
        return self._best(2 * self.true_positives / (positive + self.true_positives[-1]))

    @property
    def best_youden(self) -> BestThreshold:
        """The threshold with the highest J = true positive rate − false positive rate (Youden)."""
        rates = (counts / counts[-1] for counts in (self.true_positives, self.false_positives))
        return self._best(np.subtract(*rates))

    @property
    def _precision(self) -> Array:
        precision: Array = self.true_positives / (self.true_positives + self.false_positives)
        return precision

    def _best(self, values: Array) -> BestThreshold:
        place = int(values.argmax())
        return BestThreshold(float(self.thresholds[place]), float(values[place]))


def threshold_counts(positive: Array, scores: Array) -> ThresholdCounts | None:
    """Count the positives at each threshold. positive: bool (N,); scores: real (N,).

    None if all samples are positive, or none, or if a score is not finite.
    """
    count = int(np.count_nonzero(positive))
    if count in (0, len(positive)) or not np.isfinite(scores).all():
        return None
    order = np.argsort(scores)[::-1]
    falling = scores[order]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
    true = np.cumsum(positive[order], dtype=np.int64)[ends]
    return ThresholdCounts(falling[ends], true, ends + 1 - true)


def _from_zero(counts: Array) -> Array:
    """The counts, after a 0: above every score, no sample is positive."""
    return np.concatenate([[0], counts])
