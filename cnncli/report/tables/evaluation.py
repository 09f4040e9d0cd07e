"""Evaluation results as text: one row per class, and the confusion matrix."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from cnncli.escaping import one_line
from cnncli.report.terminal.console import console_on, fits
from cnncli.training.metrics.evaluation_record import Evaluation

Array = np.ndarray[Any, Any]
LARGEST_MATRIX = 20
"""Classes; with more, or where the matrix is too wide, the most frequent confusions are listed instead."""


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


def _confusions(classes: Sequence[str], confusion: Array) -> Table:
    """The most frequent confusions, one per row."""
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


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
