"""How good a model is: figures, a row a class, the confusion matrix, the samples it gets wrong."""

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.escaping import one_line
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.report.terminal.console import console_on, fits
from cnncli.training.metrics.evaluation import evaluate
from cnncli.training.metrics.metrics import Metric
from cnncli.training.metrics.statistics import Confusion, Totals, class_numbers

Array = np.ndarray[Any, Any]
LARGEST_MATRIX = 20
"""Classes; with more, or where the matrix is too wide, the most frequent confusions are listed instead."""


@dataclass(frozen=True)
class ClassRow:
    """One class. A ratio without a denominator is None."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class Mistake:
    """A sample (its row in the source's array; its file, if any) given a wrong class, and that one's probability."""

    index: int
    label: str
    predicted: str
    probability: float
    file: str = ""


@dataclass(frozen=True)
class Evaluation:
    """The outcome on one split. `confusion`: int64 (true class, predicted class); None where there are no classes.

    `counted`: what it counts, "samples" or their "pixels"; the `mistakes` are samples' only.
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
        """Whether each sample is right or wrong as a whole."""
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
        """What `--expect` may name: each figure plainly, and with the prefix of its split (`test_`, `val_`)."""
        prefix = {"validation": "val", "test": "test"}[self.split]
        return {**self.figures, **{f"{prefix}_{name}": value for name, value in self.figures.items()}}

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        confusion = None if self.confusion is None else self.confusion.tolist()
        classes = [vars(row) for row in self.rows()]
        wrong = len(self.mistakes) if self.judged else None
        about = {"samples": self.samples, "split": self.split, "misclassified": wrong}
        return {**self.figures, **about, "classes": classes, "confusion": confusion}


def examine(network: Network, feed: Feed, metrics: Sequence[Metric], split: str, names: Sequence[str]) -> Evaluation:
    """Evaluate `network`, whose weights are set, on the split that `feed` reads; `names` are the classes'."""
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


def print_evaluation(evaluation: Evaluation) -> None:
    """The table of classes and the confusion matrix, on standard output."""
    rows = evaluation.rows()
    if evaluation.confusion is None or not rows:
        return
    console = console_on(sys.stdout)
    table = Table(box=box.SIMPLE, title=None)
    table.add_column("class")
    for name in ("precision", "recall", "F1", evaluation.counted):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(one_line(row.name), *map(_share, (row.precision, row.recall, row.f1)), f"{row.support:,}")
    console.print(table)
    matrix = _matrix(evaluation.classes, evaluation.confusion)
    few = len(evaluation.classes) <= LARGEST_MATRIX
    console.print(matrix if few and fits(console, matrix) else _confusions(evaluation.classes, evaluation.confusion))


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
    """The number of classes that outputs and labels speak of; 0 where they are no classes."""
    outputs = only(network.targets).shape[1:]
    if split.y is None or len(outputs) not in (1, 3):
        return 0
    if outputs[-1] == 1:
        return 2 if network.loss.kind == "binary_cross_entropy" or split.y.dtype == np.uint8 else 0
    return outputs[-1] if network.loss.classes or split.y.dtype.kind in "iu" else 0


def _confusions(classes: Sequence[str], confusion: Array) -> Table:
    """The most frequent confusions, a row each."""
    wrong = confusion - np.diag(confusion.diagonal())
    table = Table("class", "taken for", "times", box=box.SIMPLE)
    for place in np.argsort(-wrong, axis=None, kind="stable")[:LARGEST_MATRIX]:
        true, predicted = divmod(int(place), len(classes))
        if wrong[true, predicted]:
            table.add_row(one_line(classes[true]), one_line(classes[predicted]), f"{wrong[true, predicted]:,}")
    return table


def _matrix(classes: Sequence[str], confusion: Array) -> Table:
    table = Table(box=box.SIMPLE)
    table.add_column("true \\ predicted")
    for name in classes:
        table.add_column(one_line(name), justify="right")
    for name, row in zip(classes, confusion.tolist(), strict=True):
        table.add_row(one_line(name), *(str(times) if times else "·" for times in row))
    return table


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
