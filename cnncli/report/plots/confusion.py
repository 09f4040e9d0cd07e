"""The confusion matrix of an evaluation."""

from cnncli.report.pictures.figures import Heatmap
from cnncli.training.metrics.class_scores import Normalization
from cnncli.training.metrics.evaluation_record import Evaluation

OF = {"true": "percent of the true class", "predicted": "percent of the predicted class", "all": "percent of all"}


def confusion(evaluation: Evaluation, normalize: Normalization | None = None) -> Heatmap | None:
    """The matrix, shaded by shares of the true classes; cells show counts, or percentages if normalized.

    None if the evaluation has no matrix.
    """
    counts, shares = evaluation.confusion, evaluation.normalized_confusion(normalize or "true")
    if counts is None or shares is None:
        return None
    rows = [
        [(count, share if count else 0.0) for count, share in zip(*row, strict=True)]
        for row in zip(counts.tolist(), shares.tolist(), strict=True)
    ]
    names = list(evaluation.classes)
    note = f"counts of {evaluation.counted}, shaded by their share of the true class"
    return Heatmap(
        f"Confusion matrix ({evaluation.split})",
        "true class",
        "predicted class",
        names,
        names,
        [[share for _, share in row] for row in rows],
        [[_cell(count, share, percent=normalize is not None) for count, share in row] for row in rows],
        note=note if normalize is None else OF[normalize],
    )


def _cell(count: int, share: float, *, percent: bool) -> str:
    if not count:
        return ""
    return f"{100 * share:.0f}" if percent else f"{count:,}"
