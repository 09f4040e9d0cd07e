"""The curves of a training in a terminal, as they grow."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import click

from cnncli.report.pictures.characters import chart_lines
from cnncli.report.plots.curves import History, curves

WIDE = 100
"""Columns of a terminal with room for two charts side by side."""
GAP = 3
LOWEST, HIGHEST = 6, 16
"""Lines of a chart."""


class LiveCurves:
    """The epochs of a training so far, beginning with those `done` before, and their curves as lines of characters."""

    def __init__(self, done: Iterable[Mapping[str, Any]] = ()) -> None:
        self.epochs = list(done)

    def add(self, figures: Mapping[str, float]) -> None:
        """An epoch is done."""
        self.epochs.append(figures)

    def lines(self, width: int, height: int, *, colored: bool) -> Sequence[str]:
        """The loss, and on a wide terminal the first metric beside it; nothing before the second epoch."""
        return side_by_side([History("", self.epochs)], width, height, colored=colored)


def side_by_side(histories: Sequence[History], width: int, height: int, *, colored: bool) -> Sequence[str]:
    """The loss, and on a wide terminal the first metric beside it; nothing where no run has two epochs."""
    charts = curves(histories)[: 2 if width >= WIDE else 1]
    if not charts or all(len(history.epochs) < 2 for history in histories):
        return []
    each = (width - GAP * (len(charts) - 1)) // len(charts)
    high = max(LOWEST, min(HIGHEST, height))
    parts = [chart_lines(chart, each, high, colored=colored) for chart in charts]
    return ["".join(_padded(line, each + GAP) for line in row).rstrip() for row in zip_longest(*parts, fillvalue="")]


def _padded(line: str, width: int) -> str:
    """A line, filled with blanks; colors are not counted."""
    return line + " " * max(0, width - len(click.unstyle(line)))
