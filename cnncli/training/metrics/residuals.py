"""Evaluated numbers: the errors of each output, and the samples with the greatest ones."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cnncli.datasets.dataset import Split
from cnncli.training.metrics.metrics import Metric
from cnncli.training.metrics.regression import MeanAbsoluteError, R2Score, RootMeanSquaredError
from cnncli.training.metrics.statistics import Totals

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ValueRow:
    """The errors of an output."""

    name: str
    mean_absolute_error: float
    root_mean_squared_error: float
    r2_score: float


@dataclass(frozen=True)
class Residuals:
    """Predictions and targets, float32 (N, k), of outputs with `names`, and the split that they are of."""

    names: Sequence[str]
    predictions: Array = field(repr=False)
    targets: Array = field(repr=False)
    split: Split = field(repr=False)

    def rows(self) -> list[ValueRow]:
        """The errors of each output."""
        metrics = (MeanAbsoluteError(), RootMeanSquaredError(), R2Score())
        return [
            ValueRow(name, *(_figure(metric, self.predictions[:, [k]], self.targets[:, [k]]) for metric in metrics))
            for k, name in enumerate(self.names)
        ]

    def document(self) -> list[dict[str, Any]]:
        """The rows of the JSON document."""
        return [asdict(row) for row in self.rows()]

    def worst(self) -> list[int]:
        """All rows, the greatest error first; errors of several outputs are relative to the mean one of each."""
        errors = np.abs(self.predictions.astype(np.float64) - self.targets)
        means = errors.mean(axis=0)
        greatest = (errors / np.where(means > 0, means, 1.0)).max(axis=1)
        order: list[int] = np.argsort(-greatest, kind="stable").tolist()
        return order

    def csv(self) -> str:
        """Target, prediction and error of every sample as CSV, the greatest error first."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        prefixes = [f"{name} " for name in self.names] if len(self.names) > 1 else [""]
        columns = [f"{prefix}{word}" for prefix in prefixes for word in ("target", "predicted", "error")]
        writer.writerow(["index", *columns, *(["file"] if self.split.files else [])])
        for position in self.worst():
            row = int(self.split.numbers[position])
            pairs = zip(self.targets[position], self.predictions[position], strict=True)
            cells = [f"{cell:.6g}" for t, p in pairs for cell in (t, p, float(p) - float(t))]
            writer.writerow([self.split.start + row, *cells, *([self.split.files[row]] if self.split.files else [])])
        return text.getvalue()


def _figure(metric: Metric, predictions: Array, targets: Array) -> float:
    totals = Totals()
    totals.add(metric.count(predictions, targets))
    (figure,) = metric.figures(totals.sums()).values()
    return figure
