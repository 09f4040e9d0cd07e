"""Evaluation results as text: one row per class, the confusion matrix, and lines of further figures."""

import sys
from collections.abc import Callable, Iterator, Sequence
from math import isnan, sqrt
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from cnncli.escaping import one_line
from cnncli.report.terminal.console import console_on, fits
from cnncli.report.terminal.figures import figure, fitted
from cnncli.report.terminal.output import echo
from cnncli.training.metrics.class_scores import ClassRow, ConfusedPair, Normalization
from cnncli.training.metrics.evaluation_record import LISTED_PAIRS, Evaluation
from cnncli.training.metrics.residuals import ValueRow

Array = np.ndarray[Any, Any]
LARGEST_MATRIX = 20
"""Classes; with more, or where the matrix is too wide, the most confused pairs are listed instead."""
MOST_ROWS = 20
"""Classes; of more, the worst are shown unless all are asked for."""
PAIRS_ON_A_LINE = 3
LABEL, LONGEST_NAME = len("misclassified"), 28
GREY, GREEN, RED = (105, 105, 105), (0, 125, 50), (200, 20, 30)
"""Shaded cells, below white text: a share of 0, right and wrong with a share of 1. They suit any terminal's colours."""
TITLES: dict[Normalization, str] = {
    "true": "% of each true class",
    "predicted": "% of each predicted class",
    "all": "% of all",
}
Column = tuple[str, Callable[[ClassRow], str]]


def print_evaluation(
    evaluation: Evaluation,
    *,
    top_k: int | None = None,
    normalize: Normalization | None = None,
    all_classes: bool = False,
) -> None:
    """The table of classes, the confusion matrix or the most confused pairs, and further figures, on standard output.

    Of more than MOST_ROWS classes, the worst by F1 are shown, unless `all_classes`. normalize: the matrix shows shares.
    """
    if evaluation.residuals is not None:
        console_on(sys.stdout).print(_values(evaluation.residuals.rows()))
    if not evaluation.rows():
        return
    _print_classes(evaluation, all_classes=all_classes)
    console, lines = console_on(sys.stdout), dict(_further(evaluation, top_k))
    if evaluation.confusion is not None:
        matrix = (
            _matrix(evaluation, evaluation.confusion, normalize) if len(evaluation.classes) <= LARGEST_MATRIX else None
        )
        if matrix is not None and fits(console, matrix):
            console.print(matrix)
            lines = {**_confused_line(evaluation), **lines}
        else:
            console.print(_pairs(evaluation.confused_pairs(LISTED_PAIRS)))
    for label, parts in lines.items():
        echo(fitted([label.ljust(LABEL), *parts], "  "))


def _values(rows: Sequence[ValueRow]) -> Table:
    """A line for each output that is a number."""
    table = Table(box=box.SIMPLE)
    table.add_column("value")
    for title in ("mean absolute error", "root mean squared error", "R2"):
        table.add_column(title, justify="right")
    for row in rows:
        errors = (row.mean_absolute_error, row.root_mean_squared_error, row.r2_score)
        table.add_row(Text(one_line(row.name)), *map(figure, errors))
    return table


def _print_classes(evaluation: Evaluation, *, all_classes: bool) -> None:
    console, rows = console_on(sys.stdout), evaluation.rows()
    left_out = 0 if all_classes else max(0, len(rows) - MOST_ROWS)
    if left_out:
        rows = sorted(rows, key=_badness)[:MOST_ROWS]
    columns = _columns(evaluation)
    table = _classes_table(rows, evaluation.averages(), columns, cut=console.is_terminal)
    if not fits(console, table):
        columns = [column for column in columns if column[0] != "AUC"]
        table = _classes_table(rows, evaluation.averages(), columns, cut=console.is_terminal)
    console.print(table)
    if left_out:
        echo(f"the lowest F1 first; {left_out:,} more classes are left out (--all-classes shows all)")


def _badness(row: ClassRow) -> tuple[float, int]:
    """Orders classes by F1, of equal ones the more frequent first; those without F1 last."""
    return (2.0 if row.f1 is None else row.f1, -row.support)


def _columns(evaluation: Evaluation) -> list[Column]:
    """The columns of figures, by their heads."""
    pixels = evaluation.counted == "pixels"
    columns: list[Column] = [
        ("precision", lambda row: _share(row.precision)),
        ("recall", lambda row: _share(row.recall)),
        ("Dice" if pixels else "F1", lambda row: _share(row.f1)),
    ]
    if pixels:
        columns.append(("IoU", lambda row: _share(row.iou)))
    elif any(row.roc_auc is not None for row in evaluation.rows()):
        columns.append(("AUC", lambda row: _share(row.roc_auc)))
    return [*columns, (evaluation.counted, lambda row: f"{row.support:,}")]


def _classes_table(
    rows: Sequence[ClassRow], averages: Sequence[ClassRow], columns: Sequence[Column], *, cut: bool
) -> Table:
    """cut: whether names that are too long are cut, rather than continued on the next line."""
    table = Table(box=box.SIMPLE)
    table.add_column("class")
    for head, _ in columns:
        table.add_column(head, justify="right", no_wrap=True)
    for each in (rows, averages):
        for row in each:
            name = Text(one_line(row.name), no_wrap=cut, overflow="ellipsis" if cut else None)
            table.add_row(name, *(cell(row) for _, cell in columns))
        table.add_section()
    return table


def _matrix(evaluation: Evaluation, confusion: Array, normalize: Normalization | None) -> Table:
    """The confusion matrix, shaded by share."""
    shares = evaluation.normalized_confusion(normalize or "true")
    assert shares is not None
    table = Table(box=box.SIMPLE, title=TITLES[normalize] if normalize else None, title_justify="left")
    table.add_column("true \\ predicted")
    texts = [
        [_cell(share) if normalize else str(count or "·") for share, count in zip(*rows, strict=True)]
        for rows in zip(shares.tolist(), confusion.tolist(), strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for name in evaluation.classes:
        table.add_column(one_line(name), justify="right")
    for number, (name, row) in enumerate(zip(evaluation.classes, texts, strict=True)):
        table.add_row(
            one_line(name),
            *(
                _shaded(text.rjust(width), share, right=number == place)
                for place, (text, width, share) in enumerate(zip(row, widths, shares[number].tolist(), strict=True))
            ),
        )
    return table


def _shaded(text: str, share: float, *, right: bool) -> Text:
    """A cell with a colour between grey and green or red; the root shows small shares of mistakes, too."""
    if isnan(share) or not share:
        return Text(text, "dim")
    strength = share if right else sqrt(share)
    mixed = (round(a + strength * (b - a)) for a, b in zip(GREY, GREEN if right else RED, strict=True))
    return Text(text, f"#ffffff on #{bytes(mixed).hex()}")


def _pairs(pairs: Sequence[ConfusedPair]) -> Table:
    """The most confused pairs, one per row."""
    table = Table("class", "taken for", box=box.SIMPLE)
    for head in ("times", "share"):
        table.add_column(head, justify="right", no_wrap=True)
    for pair in pairs:
        table.add_row(one_line(pair.label), one_line(pair.predicted), f"{pair.count:,}", _percent(pair.share))
    return table


def _confused_line(evaluation: Evaluation) -> dict[str, list[str]]:
    """The most confused pairs on one line; of two classes the matrix tells enough."""
    pairs = evaluation.confused_pairs(PAIRS_ON_A_LINE) if len(evaluation.classes) > 2 else []
    shown = [
        f"{_short(pair.label)} → {_short(pair.predicted)} {pair.count:,} ({_percent(pair.share)})" for pair in pairs
    ]
    return {"most confused": shown} if shown else {}


def _further(evaluation: Evaluation, top_k: int | None) -> Iterator[tuple[str, list[str]]]:
    """Further figures: a label and the parts of a line."""
    figures = evaluation.class_figures(top_k)
    if f"top_{top_k}_accuracy" in figures:
        yield f"top-{top_k}", [figure(figures[f"top_{top_k}_accuracy"])]
    if "mean_iou" in figures:
        yield "mean IoU", [figure(figures["mean_iou"])]
    best = evaluation.two_class_thresholds()
    of = f"(of {_short(evaluation.classes[1])})" if best else "(mean over the classes)"
    if "roc_auc" in figures:
        yield "ROC AUC", [figure(figures["roc_auc"]), f"average precision {figure(figures['average_precision'])}", of]
    if best:
        named = {"F1": best["f1"], "Youden's J": best["youden"]}
        yield "threshold", [f"{name} {figure(at.value)} at {figure(at.threshold)}" for name, at in named.items()]
    measured = evaluation.calibration()
    if measured is not None:
        right = "share of true labels" if evaluation.multi_label else "accuracy"
        means = f"mean probability {figure(measured.confidence)}, {right} {figure(measured.accuracy)}"
        yield "calibration", [f"ECE {figure(measured.ece)}", f"({means})"]


def _short(name: str) -> str:
    """A name in a line: cut if it is long."""
    text = Text(one_line(name))
    text.truncate(LONGEST_NAME, overflow="ellipsis")
    return text.plain


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _cell(share: float) -> str:
    """A share in the matrix, in percent."""
    return "–" if isnan(share) else f"{100 * share:.0f}" if share else "·"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
