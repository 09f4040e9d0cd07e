"""The evaluation of a run: its figures, tables and charts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cnncli.report.html.charts import picture
from cnncli.report.html.gallery import gallery
from cnncli.report.html.page import Cell, Column, EvaluationPart, Fact, Gallery, Picture, Table
from cnncli.report.html.samples import class_colors, samples
from cnncli.report.html.thumbnails import Room
from cnncli.report.pictures.figures import Figure
from cnncli.report.plots.confusion import confusion
from cnncli.report.plots.thresholds import precision_recall, reliability, roc
from cnncli.report.terminal.figures import figure
from cnncli.training.metrics.class_scores import ClassRow
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.examples import Examples

Array = np.ndarray[Any, Any]
MOST_CLASSES = 40
"""In the confusion matrix; of more, those with the most mistakes, and the rest as one."""
AVERAGES = {"macro_f1": "macro F1", "mean_iou": "mean IoU", "roc_auc": "ROC AUC"}
AVERAGES |= {"average_precision": "average precision", "ece": "calibration error (ECE)"}
"""Those of `class_figures` that are shown above the tables, which have the others."""
LISTED_PAIRS = 30
SCORES = {"precision": "precision", "recall": "recall", "f1": "F1", "iou": "IoU", "roc_auc": "ROC AUC"}
SCORES |= {"average_precision": "average precision"}
"""Columns by fields of a ClassRow."""


def results(evaluation: Evaluation, examples: Examples | None, room: Room, prefix: str) -> EvaluationPart:
    """All that is shown of an evaluation. `prefix`: what the ids of its elements begin with."""
    made = gallery(evaluation, room, f"{prefix}pair-")
    links = {pair.pair: f"#{pair.id}" for pair in made.pairs} if made else {}
    masks = evaluation.counted == "pixels" and bool(evaluation.classes)
    shown = samples(examples, evaluation.classes, room, masks=masks) if examples else None
    return EvaluationPart(
        evaluation.split,
        list(_facts(evaluation)),
        _confusion(evaluation, links),
        _pairs(evaluation, made),
        _classes(evaluation, room.rows),
        list(_charts(evaluation)),
        made,
        shown,
        _decision(evaluation),
    )


def _facts(evaluation: Evaluation) -> Iterator[Fact]:
    yield from (Fact(name.replace("_", " "), figure(value)) for name, value in evaluation.figures.items())
    found = evaluation.class_figures()
    yield from (Fact(name, figure(found[key])) for key, name in AVERAGES.items() if key in found)
    if len(evaluation.classes) > 5 and (top := evaluation.top_k(5)) is not None:
        yield Fact("top-5 accuracy", figure(top))
    if evaluation.judged:
        yield Fact("misclassified", f"{len(evaluation.mistakes):,} of {evaluation.samples:,}")
    yield Fact("images", f"{evaluation.samples:,}")


def _confusion(evaluation: Evaluation, links: dict[str, str]) -> Picture | None:
    if evaluation.confusion is None:
        return None
    shown, kept = _reduced(evaluation, evaluation.confusion)
    places = {number: place for place, number in enumerate(kept)}
    cells = {}
    for pair, link in links.items():
        true, given = (places.get(int(number)) for number in pair.split("-"))
        if true is not None and given is not None:
            cells[true, given] = link
    percent = evaluation.counted == "pixels"
    heatmap = confusion(shown, "true" if percent else None)
    assert heatmap is not None, "there is a matrix"
    note = "percent of the true class" if percent else f"{evaluation.counted}, shaded by the share of the true class"
    if len(kept) < len(evaluation.classes):
        note += (
            f"\nthe {len(kept)} of {len(evaluation.classes):,} classes with the most mistakes; “others” are the rest"
        )
    return picture(replace(heatmap, title="Confusion matrix", links=cells, note=note), wide=True)


def _reduced(evaluation: Evaluation, counts: Array) -> tuple[Evaluation, Sequence[int]]:
    """The evaluation with at most MOST_CLASSES classes and one for all others, and the numbers of these classes."""
    classes = len(evaluation.classes)
    if classes <= MOST_CLASSES:
        return evaluation, range(classes)
    wrong = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
    kept = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
    group = np.full(classes, MOST_CLASSES)
    group[kept] = np.arange(MOST_CLASSES)
    merged = np.zeros((MOST_CLASSES + 1, MOST_CLASSES + 1), np.int64)
    np.add.at(merged, (group[:, None], group[None]), counts)
    names = [evaluation.classes[number] for number in kept] + ["others"]
    return replace(evaluation, classes=names, confusion=merged), kept.tolist()


def _pairs(evaluation: Evaluation, made: Gallery | None) -> Table | None:
    """The most confused pairs of classes, with links to their images."""
    found = evaluation.confused_pairs()
    if not found:
        return None
    links = {pair.text: f"#{pair.id}" for pair in made.pairs} if made else {}
    rows = []
    for pair in found[:LISTED_PAIRS]:
        text = f"{pair.label} taken for {pair.predicted}"
        share = f"{100 * pair.share:.1f} %"
        rows.append([Cell(text, links.get(text, "")), Cell(f"{pair.count:,}"), Cell(share)])
    which = f"the {len(rows)} most frequent of {len(found):,}" if len(rows) < len(found) else "all"
    columns = [Column("confusion", numeric=False), Column(evaluation.counted), Column("of the true class")]
    return Table(f"Confused classes ({which})", columns, rows, sortable=True)


def _classes(evaluation: Evaluation, most: int) -> Table | None:
    """Scores by class, and their averages; of more than `most` classes, of those with the lowest F1."""
    rows = evaluation.rows()
    if not rows:
        return None
    which = f"; the {most:,} of {len(rows):,} classes with the lowest F1" if len(rows) > most else ""
    pixels = evaluation.counted == "pixels"
    scores = SCORES if pixels else {name: SCORES[name] for name in SCORES if name != "iou"}
    names = [name for name in scores if any(getattr(row, name) is not None for row in rows)]
    colors = class_colors(max(2, len(rows))) if pixels else [""] * len(rows)
    columns = [Column("class", numeric=False), *(Column(SCORES[name]) for name in names)]
    columns += [Column("support"), Column("predicted")]
    shown = list(zip(rows, colors, strict=False))
    if which:
        shown = sorted(shown, key=lambda pair: pair[0].f1 or 0.0)[:most]
    body = [_row(row, names, color) for row, color in shown]
    foot = [_row(row, names) for row in evaluation.averages()]
    return Table(f"Scores by class, {evaluation.split} split{which}", columns, body, foot, sortable=True)


def _row(row: ClassRow, names: Sequence[str], color: str = "") -> list[Cell]:
    values = [getattr(row, name) for name in names]
    return [
        Cell(row.name, color=color),
        *(Cell("–" if value is None else f"{value:.3f}") for value in values),
        Cell(f"{row.support:,}"),
        Cell(f"{row.predicted:,}"),
    ]


def _decision(evaluation: Evaluation) -> Table | None:
    """The figures without and with what `calibrate` fitted."""
    if evaluation.decided is None:
        return None
    before, after = evaluation.decided
    rows = [
        [Cell(name), *(Cell(figure(found[name])) if name in found else Cell("–") for found in (before, after))]
        for name in dict.fromkeys([*before, *after])
    ]
    columns = [Column("figure", numeric=False), Column("without"), Column("with")]
    return Table("Without and with the decisions of the model (calibrate)", columns, rows)


def _charts(evaluation: Evaluation) -> Iterator[Picture]:
    """Reliability; for two classes and for labels, whose curves one can tell apart, ROC and precision–recall."""
    charts: list[Figure | None] = [reliability(evaluation)]
    if len(evaluation.classes) == 2 or evaluation.multi_label:
        charts += [roc(evaluation), precision_recall(evaluation)]
    yield from (picture(chart) for chart in charts if chart is not None)
