"""Precision, recall, F1 and IoU of classes, their averages, and what a confusion matrix tells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Normalization = Literal["true", "predicted", "all"]
RATIOS = ("precision", "recall", "f1", "iou", "roc_auc", "average_precision")
"""The fields of a ClassRow that are averaged."""


@dataclass(frozen=True)
class ClassRow:
    """Scores of one class, or an average of classes. A ratio with denominator 0 is None.

    `support`: how many samples (or pixels) have the class, `predicted`: how many were given it. `iou`: intersection
    over union; F1 is the Dice coefficient. `roc_auc` and `average_precision` are those of the class against the rest;
    None for pixels, and if all samples have the class, or none.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    predicted: int = 0
    iou: float | None = None
    roc_auc: float | None = None
    average_precision: float | None = None


@dataclass(frozen=True)
class ConfusedPair:
    """Samples (or pixels) of class `label` that were taken for `predicted`; `share`: of all that have the class."""

    label: str
    predicted: str
    count: int
    share: float


def class_row(name: str, hits: int, predicted: int, support: int) -> ClassRow:
    """The scores of a class that `support` samples have and `predicted` were given, `hits` of them rightly."""
    either = predicted + support
    ratios = (ratio(hits, predicted), ratio(hits, support), ratio(2 * hits, either))
    return ClassRow(name, *ratios, support, predicted, ratio(hits, either - hits))


def macro_average(rows: Sequence[ClassRow]) -> ClassRow:
    """The mean over the classes, as in scikit-learn's classification_report.

    Classes that no sample has and that were never predicted do not count; for others, an undefined precision or recall
    counts as 0. `roc_auc` and `average_precision` are means over the classes that have them.
    """
    return _average("macro average", rows, [float(row.support + row.predicted > 0) for row in rows])


def weighted_average(rows: Sequence[ClassRow]) -> ClassRow:
    """The mean over the classes weighted by their support, as in scikit-learn's classification_report."""
    return _average("weighted average", rows, [float(row.support) for row in rows])


def confused_pairs(names: Sequence[str], confusion: Array, limit: int | None = None) -> list[ConfusedPair]:
    """The pairs of different classes with the most confusions first; at most `limit`."""
    wrong = confusion - np.diag(confusion.diagonal())
    true, predicted = np.nonzero(wrong)
    counts, support = wrong[true, predicted], confusion.sum(1)
    order = np.argsort(-counts, kind="stable")[:limit]
    return [
        ConfusedPair(names[a], names[b], int(wrong[a, b]), int(wrong[a, b]) / int(support[a]))
        for a, b in zip(true[order].tolist(), predicted[order].tolist(), strict=True)
    ]


def normalized(confusion: Array, by: Normalization) -> Array:
    """Shares of each true class (row), of each predicted class (column) or of all: float64; NaN for 0 of 0."""
    total = confusion.sum(axis={"true": 1, "predicted": 0, "all": None}[by], keepdims=True)
    shares: Array = np.divide(confusion, total, out=np.full(confusion.shape, np.nan), where=total > 0)
    return shares


def top_k_accuracy(scores: Array, labels: Array, k: int) -> float:
    """The share of samples whose class is among the k highest scores; of equal scores the first is the higher.

    scores: real (N, classes); labels: int64 (N,). So k = 1 counts what class_numbers counts.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    higher = (scores > own).sum(1)
    before = ((scores == own) & (np.arange(scores.shape[1]) < labels[:, None])).sum(1)
    return int(np.count_nonzero(higher + before < k)) / len(labels)


def ratio(part: int, whole: int) -> float | None:
    """part / whole; None for whole = 0."""
    return part / whole if whole else None


def _average(name: str, rows: Sequence[ClassRow], weights: Sequence[float]) -> ClassRow:
    means = {key: _mean([getattr(row, key) for row in rows], weights, strict=key in RATIOS[3:]) for key in RATIOS}
    return ClassRow(
        name, support=sum(row.support for row in rows), predicted=sum(row.predicted for row in rows), **means
    )


def _mean(values: Iterable[float | None], weights: Sequence[float], *, strict: bool) -> float | None:
    """The weighted mean; an undefined value counts as 0, or if `strict` not at all."""
    pairs = [
        (value or 0.0, weight) for value, weight in zip(values, weights, strict=True) if not strict or value is not None
    ]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None
