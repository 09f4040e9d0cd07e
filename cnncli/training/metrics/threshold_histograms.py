"""Counts of positive and negative targets between thresholds, as Keras compares scores with them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
NEVER = -1e10
"""Keras' score of a class that is not among the k highest: no threshold is as low."""


class Outcomes(NamedTuple):
    """Of each threshold how many are positive and are so by their score, and so on: float64 (thresholds[, labels])."""

    true_positives: Array
    false_positives: Array
    true_negatives: Array
    false_negatives: Array

    @property
    def recall(self) -> Array:
        """Of the positive ones, those that are so by their score."""
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def sensitivity(self) -> Array:
        """Another name of recall."""
        return self.recall

    @property
    def precision(self) -> Array:
        """Of those that are positive by their score, the positive ones."""
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def specificity(self) -> Array:
        """Of the negative ones, those that are so by their score."""
        return ratio(self.true_negatives, self.true_negatives + self.false_positives)


def histogram(scores: Array, targets: Array, thresholds: Sequence[float], even: bool) -> Array:
    """How many are above so many thresholds: int64 (2, thresholds + 1, labels), of positive targets and of others.

    scores, targets: real (n, labels); a target other than 0 is positive. `thresholds` rise; below 0 is one that all
    reach. If they are `even`, from 0 to 1, scores are clipped to 0 and 1.
    """
    above, positive, (_, labels) = _above(scores, thresholds, even), targets != 0, scores.shape
    size = len(thresholds) + 1
    places = (above + size * ~positive) * labels + np.arange(labels)
    return np.bincount(places.ravel(), minlength=2 * size * labels).reshape(2, size, labels)


def outcomes(counts: Array) -> Outcomes:
    """The outcomes at each threshold. counts: of `histogram`, (2, thresholds + 1[, labels])."""
    sums = np.cumsum(counts[:, ::-1], axis=1, dtype=np.float64)[:, ::-1]
    (true, false), (all_true, all_false) = sums[:, 1:], sums[:, 0]
    return Outcomes(true, false, all_false - false, all_true - true)


def among_highest(scores: Array, k: int) -> Array:
    """The scores, those that are not among the k highest of their row as NEVER; of equal ones the first are."""
    order = np.argsort(-scores, axis=-1, kind="stable")
    kept = np.full_like(scores, NEVER)
    places = order[..., :k]
    np.put_along_axis(kept, places, np.take_along_axis(scores, places, -1), -1)
    return kept


def ratio(above: Array, below: Array) -> Array:
    """The quotient, 0 where the denominator is."""
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below != 0)


def area(found: Outcomes, curve: str, method: str) -> Array:
    """Keras' AUC of a curve ("ROC", "PR" or "PRGAIN") by summation of a method, of each label: float64 ([labels])."""
    if (curve, method) == ("PR", "interpolation"):
        return _interpolated(found)
    x, y = _curve(found, curve)
    heights = {
        "interpolation": (y[:-1] + y[1:]) / 2,
        "minoring": np.minimum(y[:-1], y[1:]),
        "majoring": np.maximum(y[:-1], y[1:]),
    }[method]
    total: Array = ((x[:-1] - x[1:]) * heights).sum(0)
    return total


def evenly_spaced(thresholds: Sequence[float]) -> bool:
    """Whether three or more thresholds are evenly spaced from 0 to 1; Keras asks for no fewer."""
    last = len(thresholds) - 1
    return last > 1 and np.allclose(thresholds, np.arange(last + 1) / last, atol=1e-7)


def _above(scores: Array, thresholds: Sequence[float], even: bool) -> Array:
    """How many thresholds a score is above; none for NaN. As in Keras, even ones are found by float32."""
    if even:
        above = np.ceil(np.clip(scores.astype(np.float32), 0, 1) * np.float32(len(thresholds) - 1))
        above = np.maximum(above, 1) if thresholds[0] < 0 else above
    else:
        above = np.searchsorted(np.array(thresholds, np.float32), scores.astype(np.float32), side="left").astype(
            np.float32
        )
    return np.where(np.isnan(scores), 0, above).astype(np.int64)


def _curve(found: Outcomes, curve: str) -> tuple[Array, Array]:
    """The points of a curve, from its end."""
    if curve == "ROC":
        return ratio(found.false_positives, found.false_positives + found.true_negatives), found.recall
    if curve == "PR":
        return found.recall, found.precision
    true = found.true_positives
    scale = ratio(true + found.false_negatives, found.true_negatives + found.false_positives)
    recall, precision = (1 - scale * ratio(wrong, true) for wrong in (found.false_negatives, found.false_positives))
    return np.maximum(np.where(true == 0, 0, recall), 0), np.where(true == 0, 1, precision)


def _interpolated(found: Outcomes) -> Array:
    """The area below a precision–recall curve, interpolated as Davis and Goadrich 2006 do."""
    true, positive = found.true_positives, found.true_positives + found.false_positives
    step, more = true[:-1] - true[1:], positive[:-1] - positive[1:]
    slope = ratio(step, np.maximum(more, 0))
    intercept = true[1:] - slope * positive[1:]
    both = (positive[:-1] > 0) & (positive[1:] > 0)
    share = np.where(both, ratio(positive[:-1], np.maximum(positive[1:], 0)), 1.0)
    parts = ratio(slope * (step + intercept * np.log(share)), true[1:] + found.false_negatives[1:])
    total: Array = parts.sum(0)
    return total
