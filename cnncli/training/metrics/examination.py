"""Evaluation of a model on a split: metrics, a row per class, confusion matrix, misclassified samples."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.layers.meaning import Meaning
from cnncli.training.metrics.evaluation import evaluate
from cnncli.training.metrics.metrics import Metric
from cnncli.training.metrics.statistics import Confusion, Totals, class_numbers

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ClassRow:
    """Scores of one class. A ratio with denominator 0 is None."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class Mistake:
    """A misclassified sample: row in the source's array, file (if any), predicted class and its probability."""

    index: int
    label: str
    predicted: str
    probability: float
    file: str = ""


@dataclass(frozen=True)
class Evaluation:
    """Result on one split. `confusion`: int64 (true class, predicted class); None without classes.

    `counted`: the unit it counts, "samples" or "pixels"; `mistakes` only has samples.
    """

    split: str
    samples: int
    figures: Mapping[str, float]
    classes: Sequence[str]
    confusion: Array | None
    mistakes: Sequence[Mistake]
    counted: str = "samples"

    @property
    def judged(self) -> bool:
        """Whether each sample has a single class (not one per pixel)."""
        return self.confusion is not None and self.counted == "samples"

    def rows(self) -> list[ClassRow]:
        """Precision, recall and F1 of each class."""
        if self.confusion is None:
            return []
        right = self.confusion.diagonal().tolist()
        predicted, support = self.confusion.sum(0).tolist(), self.confusion.sum(1).tolist()
        return [
            ClassRow(name, _ratio(hit, given), _ratio(hit, true), _ratio(2 * hit, given + true), true)
            for name, hit, given, true in zip(self.classes, right, predicted, support, strict=True)
        ]

    def named_figures(self) -> dict[str, float]:
        """The names that `--expect` accepts: each metric without and with the prefix of its split (`test_`, `val_`)."""
        prefix = {"validation": "val", "test": "test"}[self.split]
        return {**self.figures, **{f"{prefix}_{name}": value for name, value in self.figures.items()}}

    def document(self) -> dict[str, Any]:
        """The output of `--json`."""
        confusion = None if self.confusion is None else self.confusion.tolist()
        classes = [vars(row) for row in self.rows()]
        wrong = len(self.mistakes) if self.judged else None
        about = {"samples": self.samples, "split": self.split, "misclassified": wrong}
        return {**self.figures, **about, "classes": classes, "confusion": confusion}


def examine(network: Network, feed: Feed, metrics: Sequence[Metric], split: str, names: Sequence[str]) -> Evaluation:
    """Evaluate `network`, whose weights are set, on the split that `feed` reads; `names` are the class names."""
    count, pixels = _class_count(network, feed.split), only(network.targets).ndim == 4
    classes = [*names[:count], *map(str, range(len(names[:count]), count))]
    confusion, totals = Confusion(count), Totals()
    mistakes: list[Mistake] = []

    def count_batch(rows: slice) -> None:
        read = network.probabilities, network.targets
        scores, targets = (only(arrays)[: rows.stop - rows.start] for arrays in read)
        totals.add(confusion.count(scores, targets))
        if not pixels:
            mistakes.extend(_mistakes(scores, targets, rows.start))

    def _mistakes(scores: Array, targets: Array, start: int) -> Iterator[Mistake]:
        predicted, labels = class_numbers(scores), class_numbers(targets)
        for i in np.flatnonzero(predicted != labels):
            sure = scores[i].max() if scores.shape[-1] > 1 or predicted[i] else 1 - scores[i, 0]
            row = int(feed.split.numbers[start + int(i)])
            file = feed.split.files[row] if feed.split.files else ""
            yield Mistake(feed.split.start + row, classes[labels[i]], classes[predicted[i]], float(sure), file)

    figures = evaluate(network, feed, metrics, after_batch=count_batch if count else lambda rows: None)
    counted = "pixels" if pixels else "samples"
    return Evaluation(split, len(feed.split), figures, classes, totals.sums().get("matrix"), mistakes, counted)


def misclassified_csv(mistakes: Sequence[Mistake]) -> str:
    """The misclassified samples as CSV, in the order of the data."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    named = any(mistake.file for mistake in mistakes)
    writer.writerow(["index", "label", "predicted", "probability", *(["file"] if named else [])])
    for mistake in mistakes:
        row = [mistake.index, mistake.label, mistake.predicted, f"{mistake.probability:.6g}"]
        writer.writerow([*row, *([mistake.file] if named else [])])
    return text.getvalue()


def _class_count(network: Network, split: Split) -> int:
    """The number of classes of outputs and labels; 0 if they are not classes."""
    outputs = only(network.targets).shape[1:]
    if split.y is None or len(outputs) not in (1, 3):
        return 0
    if outputs[-1] == 1:
        return 2 if network.loss.outputs is Meaning.LABELS or split.y.dtype == np.uint8 else 0
    return outputs[-1] if network.loss.outputs is Meaning.CLASSES or split.y.dtype.kind in "iu" else 0


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
