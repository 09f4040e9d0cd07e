"""Markdown tables, and comparison of figures with their goals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]
"""Measurements of a section, as JSON."""


def times(ratio: float) -> str:
    """`3.52 ×`."""
    return f"{ratio:.2f} ×"


def share(part: float) -> str:
    """`65.2 %`."""
    return f"{part * 100:.1f} %"


def rate(images_per_second: float) -> str:
    """Images a second: `28,154`."""
    return f"{images_per_second:,.0f}"


@dataclass(frozen=True)
class Goal:
    """What a figure is to reach, and what would be better still: at least that much, or with `below` at most.

    `unit`: of the figure.
    """

    goal: float
    stretch: float | None = None
    below: bool = False
    unit: str = "×"

    def cells(self, reached: float) -> list[str]:
        """The goal and the stretch goal, each with the mark whether it is met."""
        return [self._cell(bound, reached) for bound in (self.goal, self.stretch)]

    def _cell(self, bound: float | None, reached: float) -> str:
        if bound is None:
            return ""
        met = reached <= bound if self.below else reached >= bound
        return f"{'≤' if self.below else '≥'} {bound:g} {self.unit} {'✓' if met else '✗'}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table. A column whose title begins with `>` is set to the right."""
    rule = ["--:" if column.startswith(">") else "---" for column in columns]
    return [_row([column.removeprefix(">") for column in columns]), _row(rule), *map(_row, rows), ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def commands(*lines: str) -> list[str]:
    """Lines of a block that a reader can copy."""
    return ["```sh", *lines, "```", ""]
