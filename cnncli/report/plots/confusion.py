"""The confusion matrix of an evaluation."""

from typing import Any, Literal

import numpy as np

from cnncli.report.pictures.figures import Heatmap
from cnncli.training.metrics.examination import Evaluation

Array = np.ndarray[Any, Any]
Normalize = Literal["true", "predicted", "all"]
OF = {
    "true": "percent of the true class",
    "predicted": "percent of the predicted class",
    "all": "percent of all",
}


def confusion(evaluation: Evaluation, normalize: Normalize | None = None) -> Heatmap:
    """The matrix, shaded by the share of each true class; cells show counts, or percentages if normalized.

    The evaluation must have a matrix.
    """
    assert evaluation.confusion is not None
    counts = evaluation.confusion
    shades = shares(counts, normalize or "true")
    texts = [
        [_cell(count, share, percent=normalize is not None) for count, share in zip(*row, strict=True)]
        for row in zip(counts.tolist(), shades.tolist(), strict=True)
    ]
    names = list(evaluation.classes)
    note = f"{evaluation.counted}" if normalize is None else f"{OF[normalize]}, of {evaluation.samples:,}"
    title = f"Confusion matrix, {evaluation.split} split"
    return Heatmap(title, "true class", "predicted class", names, names, shades.tolist(), texts, note=note)


def shares(counts: Array, normalize: Normalize) -> Array:
    """The counts divided by the sums of their rows, their columns, or all; 0 where that is 0. float64."""
    axis = {"true": 1, "predicted": 0, "all": None}[normalize]
    sums = counts.sum(axis, keepdims=True)
    found: Array = np.divide(counts, sums, out=np.zeros(counts.shape), where=sums != 0)
    return found


def _cell(count: int, share: float, *, percent: bool) -> str:
    if not count:
        return ""
    return f"{100 * share:.0f}" if percent else f"{count:,}"
