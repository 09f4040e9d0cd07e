"""The result of an evaluation: metrics, scores of classes, confusion matrix, curves, misclassified samples."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import starmap
from math import isnan
from typing import Any

import numpy as np

from cnncli.datasets.dataset import Split
from cnncli.errors import UsageError
from cnncli.hints import suggestion
from cnncli.training.metrics import calibration, class_scores
from cnncli.training.metrics.calibration import BINS, Calibration
from cnncli.training.metrics.class_scores import ClassRow, ConfusedPair, Normalization
from cnncli.training.metrics.mistakes import Mistake
from cnncli.training.metrics.residuals import Residuals
from cnncli.training.metrics.statistics import class_numbers
from cnncli.training.metrics.threshold_curves import (
    BestThreshold,
    PrecisionRecall,
    Roc,
    ThresholdCounts,
    threshold_counts,
)
from cnncli.training.metrics.worst_masks import MaskMistake

Array = np.ndarray[Any, Any]
Class = int | str
"""A class by its number or name."""
LISTED_NAMES = 20
"""Classes that an error lists; with more, it suggests the nearest name."""
LISTED_PAIRS = 20
"""Confused pairs in the JSON document and, without a confusion matrix, in tables."""


@dataclass(frozen=True)
class Evaluation:
    """Result on one split. `confusion`: int64 (true class, predicted class); None without classes.

    `counted`: the unit it counts, "samples" or "pixels"; `mistakes` only has samples, the worst first. For samples with
    classes, row by row: `scores`, float32 (N, outputs), the probabilities (a single output is that of the second of two
    classes); `labels`, int64 (N,), the true classes, or uint8 (N, outputs), 0 or 1 for each label of a multi-label
    model. `data`: the split. `masks`: of segmentation models, the images with the most wrong pixels. `decided`: figures
    without and with the decision of a calibrated model. `residuals`: of models whose outputs are numbers.
    """

    split: str
    samples: int
    figures: Mapping[str, float]
    classes: Sequence[str]
    confusion: Array | None
    mistakes: Sequence[Mistake]
    counted: str = "samples"
    scores: Array | None = field(default=None, repr=False)
    labels: Array | None = field(default=None, repr=False)
    data: Split | None = field(default=None, repr=False)
    masks: Sequence[MaskMistake] = field(default=(), repr=False)
    decided: tuple[Mapping[str, float], Mapping[str, float]] | None = None
    residuals: Residuals | None = field(default=None, repr=False)

    @property
    def multi_label(self) -> bool:
        """Whether a sample can have several classes."""
        return self.labels is not None and self.labels.ndim == 2

    @property
    def judged(self) -> bool:
        """Whether each sample is right or wrong (not each pixel)."""
        return self.counted == "samples" and (self.confusion is not None or self.multi_label)

    @property
    def predicted(self) -> Array | None:
        """The predicted classes, int64 (N,), or labels, bool (N, outputs); None without `scores`."""
        if self.scores is None:
            return None
        return self.scores > 0.5 if self.multi_label else class_numbers(self.scores)

    def image(self, position: int) -> Array:
        """The image behind a row of `scores`, as the data hold it: (H, W, C). Raises UsageError without `data`."""
        if self.data is None:
            raise UsageError("this evaluation has no images")
        image: Array = self.data.x[self.data.numbers[position]]
        return image

    def rows(self) -> list[ClassRow]:
        """The scores of each class."""
        return list(self._rows)

    def averages(self) -> list[ClassRow]:
        """Macro and weighted average of the classes; in multi-label models, first that of all decisions (micro)."""
        if not self._rows:
            return []
        averages = [class_scores.macro_average(self._rows), class_scores.weighted_average(self._rows)]
        if self.multi_label:
            hits, predicted, support = self._counts
            micro = class_scores.class_row("micro average", int(hits.sum()), int(predicted.sum()), int(support.sum()))
            averages.insert(0, micro)
        return averages

    def confused_pairs(self, limit: int | None = None) -> list[ConfusedPair]:
        """The pairs of classes with the most confusions first; empty without a confusion matrix."""
        return [] if self.confusion is None else class_scores.confused_pairs(self.classes, self.confusion, limit)

    def normalized_confusion(self, by: Normalization = "true") -> Array | None:
        """The confusion matrix as shares of each true class (row), each predicted class (column) or of all: float64.

        NaN is 0 of 0.
        """
        return None if self.confusion is None else class_scores.normalized(self.confusion, by)

    def top_k(self, k: int) -> float | None:
        """The share of samples whose class is among the k most probable; None without one class for each sample.

        Raises UsageError unless k is between 1 and the number of classes.
        """
        if not 1 <= k <= max(1, len(self.classes)):
            raise UsageError(f"k must be between 1 and the number of classes, {len(self.classes)}; received {k}")
        if self.scores is None or self.labels is None or self.multi_label or not self._finite:
            return None
        scores = self.scores
        if scores.shape[1] == 1:
            scores = np.hstack([1 - scores, scores])
        return class_scores.top_k_accuracy(scores, self.labels, k)

    def roc(self, of: Class | None = None) -> Roc | None:
        """The ROC curve of a class against the rest, by default of the second of two.

        None without scores, or if all samples are of the class or none. Raises UsageError if there is no such class.
        """
        counts = self._threshold_counts(self.number_of(of))
        return None if counts is None else counts.roc

    def precision_recall(self, of: Class | None = None) -> PrecisionRecall | None:
        """The precision–recall curve of a class against the rest, like `roc`."""
        counts = self._threshold_counts(self.number_of(of))
        return None if counts is None else counts.precision_recall

    def best_thresholds(self, of: Class | None = None) -> "dict[str, BestThreshold]":
        """The thresholds of a class's probability with the highest F1 ("f1") and the highest Youden's J ("youden").

        Empty where `roc` is None.
        """
        counts = self._threshold_counts(self.number_of(of))
        return {} if counts is None else {"f1": counts.best_f1, "youden": counts.best_youden}

    def calibration(self, bins: int = BINS) -> Calibration | None:
        """Expected calibration error and reliability, of the predicted class of each sample.

        In multi-label models, of the probability of each label of each sample. None if scores are not probabilities.
        """
        if self.scores is None or self.labels is None or not self._finite:
            return None
        if self.scores.min() < 0 or self.scores.max() > 1:
            return None
        if self.multi_label:
            return calibration.calibration(self.scores.ravel(), self.labels.ravel(), bins)
        sure = self.scores.max(1) if self.scores.shape[1] > 1 else np.maximum(self.scores[:, 0], 1 - self.scores[:, 0])
        return calibration.calibration(sure, class_numbers(self.scores) == self.labels, bins)

    def class_figures(self, top_k: int | None = None) -> dict[str, float]:
        """Averages over the classes by name, such as `macro_f1`, `mean_iou`, `roc_auc` and `ece`; those that exist.

        `roc_auc` and `average_precision` are those of the second of two classes; else the means over the classes.
        top_k: adds `top_{k}_accuracy`.
        """
        if not self._rows:
            return {}
        macro, weighted = self.averages()[-2:]
        found = {f"macro_{name}": getattr(macro, name) for name in ("precision", "recall", "f1")}
        found |= {f"weighted_{name}": getattr(weighted, name) for name in ("precision", "recall", "f1")}
        curves = self._rows[1] if len(self._rows) == 2 and not self.multi_label else macro
        measured = self.calibration()
        found |= {
            "mean_iou": macro.iou if self.counted == "pixels" else None,
            "roc_auc": curves.roc_auc,
            "average_precision": curves.average_precision,
        }
        found |= {"ece": measured and measured.ece}
        if top_k is not None:
            found[f"top_{top_k}_accuracy"] = self.top_k(top_k)
        return {name: value for name, value in found.items() if value is not None}

    def named_figures(self, top_k: int | None = None) -> dict[str, float]:
        """The names that `--expect` accepts: each figure without and with the prefix of its split (`test_`, `val_`)."""
        prefix = {"validation": "val", "test": "test"}[self.split]
        figures = {**self.figures, **self.class_figures(top_k)}
        return {**figures, **{f"{prefix}_{name}": value for name, value in figures.items()}}

    def document(self, *, top_k: int | None = None, normalize: Normalization | None = None) -> dict[str, Any]:
        """The output of `--json`. top_k: adds `top_{k}_accuracy`; normalize: adds `normalized_confusion`."""
        measured = self.calibration()
        document = {
            **self.figures,
            **self.class_figures(top_k),
            "samples": self.samples,
            "split": self.split,
            "misclassified": len(self.mistakes) if self.judged else None,
            "classes": [self._row_document(row) for row in self._rows],
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "confused_pairs": [asdict(pair) for pair in self.confused_pairs(LISTED_PAIRS)],
            "best_thresholds": {name: asdict(best) for name, best in self.two_class_thresholds().items()} or None,
            "reliability": measured and [asdict(each) for each in measured.bins],
        }
        if self.residuals is not None:
            document["values"] = self.residuals.document()
        if self.decided is not None:
            document["decision"] = dict(zip(("before", "after"), self.decided, strict=True))
        if normalize is not None:
            shares = self.normalized_confusion(normalize)
            document["normalized_confusion"] = None if shares is None else _with_none(shares)
        return document

    def two_class_thresholds(self) -> "dict[str, BestThreshold]":
        """The best thresholds of the second of two classes; empty for any other number of classes."""
        return self.best_thresholds() if self._two_classes else {}

    @cached_property
    def _rows(self) -> Sequence[ClassRow]:
        counts = (counts.tolist() for counts in self._counts)
        rows = starmap(class_scores.class_row, zip(self.classes, *counts, strict=True))
        return [self._with_further_scores(number, row) for number, row in enumerate(rows)]

    @cached_property
    def _counts(self) -> tuple[Array, Array, Array]:
        """By class, int64: how often it was predicted rightly, how often predicted, how often true."""
        if self.multi_label:
            predicted, labels = self.predicted, self.labels
            assert predicted is not None
            assert labels is not None
            return tuple(np.count_nonzero(each, axis=0) for each in (predicted & (labels > 0), predicted, labels))
        if self.confusion is None:
            return (np.zeros(0, np.int64),) * 3
        return self.confusion.diagonal(), self.confusion.sum(0), self.confusion.sum(1)

    def _with_further_scores(self, number: int, row: ClassRow) -> ClassRow:
        """The row of a class with the scores that only samples have."""
        counts = self._threshold_counts(number)
        return row if counts is None else replace(row, roc_auc=counts.auc, average_precision=counts.average_precision)

    def _threshold_counts(self, number: int) -> ThresholdCounts | None:
        if self.scores is None or self.labels is None or not self._finite:
            return None
        positive = self.labels[:, number] > 0 if self.multi_label else self.labels == number
        if self.scores.shape[1] > 1:
            return threshold_counts(positive, self.scores[:, number])
        second = self.scores[:, 0].astype(np.float64)  # so that different scores stay different in 1 − score
        return threshold_counts(positive, second if number else 1 - second)

    @cached_property
    def _finite(self) -> bool:
        """Whether the scores are finite; those of a diverged model are not."""
        return self.scores is not None and bool(np.isfinite([self.scores.min(), self.scores.max()]).all())

    @property
    def _two_classes(self) -> bool:
        return len(self.classes) == 2 and not self.multi_label

    def number_of(self, of: Class | None) -> int:
        """The number of a class; None is the second of two. Raises UsageError if there is no such class."""
        if of is None and self._two_classes:
            return 1
        names = list(self.classes)
        if isinstance(of, str) and of in names:
            return names.index(of)
        if isinstance(of, int) and 0 <= of < len(names):
            return of
        few = len(names) <= LISTED_NAMES
        known = f"one of {', '.join(names)}, or its number" if few else f"a name or a number below {len(names):,}"
        near = suggestion(of, names) if isinstance(of, str) and not few else ""
        raise UsageError(f"a class must be {known}; received {of!r}{near}")

    def _row_document(self, row: ClassRow) -> dict[str, Any]:
        document = asdict(row)
        if self.counted == "samples":
            del document["iou"]
            return document
        del document["roc_auc"], document["average_precision"]
        return document | {"dice": row.f1}


def _with_none(shares: Array) -> list[list[float | None]]:
    """The rows of a matrix, None for NaN."""
    return [[None if isnan(share) else share for share in row] for row in shares.tolist()]
