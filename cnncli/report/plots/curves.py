"""Loss and metrics over the epochs, of one or several runs."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any, NamedTuple

from cnncli.report.pictures.figures import LineChart, Mark, Series
from cnncli.report.terminal.figures import figure
from cnncli.training.runs.past_runs import MEASURED

VALIDATION = "val_"
MOST_DOTS = 60
"""Epochs that each have a dot."""


class History(NamedTuple):
    """The figures of a run's epochs, as in metrics.jsonl; `best`: the epoch of its final weights, if any.

    `ended`: why it ended early, if it did.
    """

    name: str
    epochs: Sequence[Mapping[str, Any]]
    best: int | None = None
    ended: str = ""


def curves(histories: Sequence[History], *, log: bool = False) -> list[LineChart]:
    """A chart for the loss and for each metric: training dashed, validation solid, the best epoch marked.

    Of several runs each has a color. `log`: the loss has a logarithmic axis.
    """
    return [_chart(name, histories, log=log and name == "loss") for name in _metrics(histories)]


def rates(histories: Sequence[History]) -> LineChart:
    """The learning rate at the end of each epoch."""
    lines = [
        Series(history.name if len(histories) > 1 else "", *_line(history, "learning_rate"), number, marker=True)
        for number, history in enumerate(histories)
    ]
    return LineChart("Learning rate", "epoch", "learning rate", lines)


def _metrics(histories: Sequence[History]) -> list[str]:
    """The metrics of the training, the loss first, in the order of the spec."""
    names = (name for history in histories for epoch in history.epochs for name in epoch)
    found = [name for name in names if name not in ("epoch", *MEASURED)]
    return list(dict.fromkeys(name.removeprefix(VALIDATION) for name in found))


def _chart(metric: str, histories: Sequence[History], *, log: bool) -> LineChart:
    several = len(histories) > 1
    lines: list[Series] = []
    marks: list[Mark] = []
    for number, history in enumerate(histories):
        for split, key in (("training", metric), ("validation", f"{VALIDATION}{metric}")):
            if any(key in epoch for epoch in history.epochs):
                dashed = split == "training"
                name, color = (f"{history.name} {split}", number) if several else (split, int(dashed))
                lines.append(Series(name, *_line(history, key), color, dashed, len(history.epochs) <= MOST_DOTS))
        marks += _best(history, metric, number, several=several)
    ends = [f"{history.name} {history.ended}" if several else history.ended for history in histories if history.ended]
    title = metric.replace("_", " ").capitalize()
    return LineChart(title, "epoch", metric, lines, marks, y_log=log, note="\n".join(ends))


def _line(history: History, key: str) -> tuple[list[float], list[float]]:
    """The epochs that have a figure, and its values; one that is no number interrupts the line."""
    held = [(_number(history, place), epoch[key]) for place, epoch in enumerate(history.epochs) if key in epoch]
    numbers = [float(value) if isinstance(value, int | float) else nan for _, value in held]
    return [float(number) for number, _ in held], numbers


def _number(history: History, place: int) -> int:
    """The number of an epoch in the list."""
    number = history.epochs[place].get("epoch")
    return number if isinstance(number, int) else place + 1


def _best(history: History, metric: str, color: int, *, several: bool) -> list[Mark]:
    """The mark of the best epoch, at its value in validation, or else in training."""
    best = history.best or 0
    epoch = next((epoch for place, epoch in enumerate(history.epochs) if _number(history, place) == best), {})
    value = epoch.get(f"{VALIDATION}{metric}", epoch.get(metric))
    if not isinstance(value, int | float) or not isfinite(value):
        return []
    told = "" if several else f"best epoch {best}: {figure(value)}"
    return [Mark(best, value, told, color)]
