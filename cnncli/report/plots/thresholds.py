"""Calibration, ROC and precision–recall curves of an evaluation."""

from collections.abc import Sequence
from math import inf

from cnncli.report.pictures.figures import Bar, BarChart, LineChart, Series
from cnncli.training.metrics.evaluation_record import Class, Evaluation

MOST_CLASSES = 8
"""Curves in a chart: as many as there are colors."""
UNIT = (0.0, 1.0)
FEW = 10
"""Answers, of which the share of right ones says little."""


def reliability(evaluation: Evaluation) -> BarChart | None:
    """How often answers are right, by their probability; None if the evaluation has no probabilities."""
    measured = evaluation.calibration()
    if measured is None:
        return None
    bars = [
        Bar(
            each.lower,
            each.upper,
            each.accuracy,
            f"{each.count:,} answers with a probability of {each.confidence:.2f} on average: {each.accuracy:.1%} right",
            each.count < FEW,
        )
        for each in measured.bins
        if each.accuracy is not None and each.confidence is not None
    ]
    note = f"expected calibration error {measured.ece:.4f}; on the dashed line, probabilities are right"
    note += f"; faint: fewer than {FEW} answers" if any(bar.faint for bar in bars) else ""
    title, x_label, y_label = f"Calibration ({evaluation.split})", "probability of the answer", "share of right answers"
    return BarChart(title, x_label, y_label, bars, UNIT, UNIT, diagonal=True, note=note)


def roc(evaluation: Evaluation, of: Sequence[Class] = ()) -> LineChart | None:
    """ROC curves: of the second of two classes, of each class against the rest, or of the classes `of`.

    None if there are none.
    """
    lines: list[Series] = []
    for number, name in _chosen(evaluation, of):
        curve = evaluation.roc(number)
        if curve is not None:
            x, y = curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist()
            lines.append(Series(f"{name} (AUC {curve.auc:.3f})", x, y, len(lines)))
    return _square("ROC", evaluation, "false positive rate", "true positive rate", lines, diagonal=True)


def precision_recall(evaluation: Evaluation, of: Sequence[Class] = ()) -> LineChart | None:
    """Precision–recall curves, of the same classes as `roc`."""
    lines: list[Series] = []
    for number, name in _chosen(evaluation, of):
        curve = evaluation.precision_recall(number)
        if curve is not None:
            average = curve.average_precision
            lines.append(
                Series(f"{name} (AP {average:.3f})", curve.recall.tolist(), curve.precision.tolist(), len(lines))
            )
    return _square("Precision and recall", evaluation, "recall", "precision", lines, diagonal=False)


def _chosen(evaluation: Evaluation, of: Sequence[Class]) -> list[tuple[int, str]]:
    """The numbers and names of the classes whose curves are shown: of many, those with the lowest AUC.

    Raises UsageError for a class that there is not.
    """
    names = list(evaluation.classes)
    if of:
        numbers = [evaluation.number_of(each) for each in of]
    elif len(names) == 2 and not evaluation.multi_label:
        numbers = [1]
    else:
        rows = evaluation.rows()
        areas = [inf if row.roc_auc is None else row.roc_auc for row in rows]
        numbers = sorted(sorted(range(len(rows)), key=areas.__getitem__)[:MOST_CLASSES])
    return [(number, names[number]) for number in numbers]


def _square(
    title: str, evaluation: Evaluation, x_label: str, y_label: str, lines: Sequence[Series], *, diagonal: bool
) -> LineChart | None:
    if not lines:
        return None
    some = len(evaluation.classes) - len(lines) > 1 and len(lines) > 1
    note = f"the {len(lines)} classes with the lowest AUC of {len(evaluation.classes):,}" if some else ""
    head = f"{title} ({evaluation.split})"
    return LineChart(head, x_label, y_label, lines, (), UNIT, UNIT, diagonal=diagonal, note=note)
