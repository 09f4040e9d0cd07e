"""Misclassified samples, the worst first, and their table."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnncli.datasets.dataset import Split
from cnncli.training.metrics.statistics import class_numbers

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mistake:
    """A misclassified sample: row in the source's array, file (if any), predicted class and its probability.

    `position`: its row in the evaluation's `scores` and `labels`. In multi-label models, `label` and `predicted` are
    all labels of the sample, `wrong` those that are predicted and false or true and not predicted, the worst first, and
    `probability` is that with which the worst of them was given its wrong value.
    """

    index: int
    label: str
    predicted: str
    probability: float
    file: str = ""
    position: int = 0
    wrong: Sequence[str] = ()


def find_mistakes(names: Sequence[str], scores: Array, labels: Array, split: Split) -> list[Mistake]:
    """The misclassified samples, the most probable wrong answer first, equal ones in the order of the data.

    scores: float32 (N, outputs); labels: int64 (N,), or uint8 (N, outputs) in multi-label models.
    """
    of_samples = (
        _of_labels(names, scores, labels, split) if labels.ndim == 2 else _of_classes(names, scores, labels, split)
    )
    return sorted(of_samples, key=lambda mistake: -mistake.probability)


def misclassified_csv(mistakes: Sequence[Mistake]) -> str:
    """The misclassified samples as CSV, in their order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    labelled, named = (any(getattr(mistake, name) for mistake in mistakes) for name in ("wrong", "file"))
    optional = ["wrong"] * labelled + ["file"] * named
    writer.writerow(["index", "label", "predicted", "probability", *optional])
    for mistake in mistakes:
        row = [mistake.index, mistake.label, mistake.predicted, f"{mistake.probability:.6g}"]
        more = {"wrong": " ".join(mistake.wrong), "file": mistake.file}
        writer.writerow([*row, *(more[name] for name in optional)])
    return text.getvalue()


def _of_classes(names: Sequence[str], scores: Array, labels: Array, split: Split) -> Iterator[Mistake]:
    predicted = class_numbers(scores)
    for i in np.flatnonzero(predicted != labels).tolist():
        sure = scores[i].max() if scores.shape[-1] > 1 or predicted[i] else 1 - scores[i, 0]
        yield Mistake(_index(split, i), names[labels[i]], names[predicted[i]], float(sure), _file(split, i), i)


def _of_labels(names: Sequence[str], scores: Array, labels: Array, split: Split) -> Iterator[Mistake]:
    predicted = scores > 0.5
    for i in np.flatnonzero((predicted != labels).any(1)).tolist():
        wrong = np.flatnonzero(predicted[i] != labels[i])
        sure = np.where(predicted[i], scores[i], 1 - scores[i])[wrong]
        worst = np.argsort(-sure, kind="stable")
        true, given = (" ".join(names[k] for k in np.flatnonzero(row).tolist()) for row in (labels[i], predicted[i]))
        named = tuple(names[k] for k in wrong[worst].tolist())
        yield Mistake(_index(split, i), true, given, float(sure.max()), _file(split, i), i, named)


def _index(split: Split, position: int) -> int:
    return split.start + int(split.numbers[position])


def _file(split: Split, position: int) -> str:
    return split.files[int(split.numbers[position])] if split.files else ""
