"""Figures: what is to be seen, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

Bounds = tuple[float, float]
WIDTH = 560.0
"""Of charts, in pixels."""


@dataclass(frozen=True)
class Series:
    """One line of a chart through (x, y). A value that is not finite interrupts it.

    `color`: number of its color (from 0); lines of one color are told apart by `dashed`. `marker`: dots at the points.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int = 0
    dashed: bool = False
    marker: bool = False


class Mark(NamedTuple):
    """A point that is pointed out, with a few words."""

    x: float
    y: float
    text: str
    color: int = 0


@dataclass(frozen=True)
class LineChart:
    """Lines over numbers. `x_bounds`, `y_bounds`: what the axes cover; None: what the data need.

    `ticks`: the ticks of the x axis; None: round numbers. `diagonal`: a faint line from corner to corner.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    marks: Sequence[Mark] = ()
    x_bounds: Bounds | None = None
    y_bounds: Bounds | None = None
    x_log: bool = False
    y_log: bool = False
    ticks: Sequence[float] | None = None
    diagonal: bool = False
    note: str = ""
    width: float = WIDTH


class Bar(NamedTuple):
    """A bar from 0 to `value` over `start` … `end`. `shown`: what a pointer tells; `faint`: little stands behind it."""

    start: float
    end: float
    value: float
    shown: str = ""
    faint: bool = False


@dataclass(frozen=True)
class BarChart:
    """Bars side by side over numbers, such as a histogram or a reliability diagram."""

    title: str
    x_label: str
    y_label: str
    bars: Sequence[Bar]
    x_bounds: Bounds = (0.0, 1.0)
    y_bounds: Bounds | None = None
    diagonal: bool = False
    note: str = ""
    width: float = WIDTH


@dataclass(frozen=True)
class Heatmap:
    """Cells shaded by `shares` (0 … 1; None: nothing there), with `texts` where there is room.

    `links`, if any: where a click on a cell leads, by (row, column).
    """

    title: str
    row_label: str
    column_label: str
    rows: Sequence[str]
    columns: Sequence[str]
    shares: Sequence[Sequence[float | None]]
    texts: Sequence[Sequence[str]] = ()
    links: "dict[tuple[int, int], str]" = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Tile:
    """An image with lines of text below it. `wrong`: the second line is in the color of what is bad."""

    image: "Image"
    captions: Sequence[str] = ()
    wrong: bool = False
    tip: str = ""
    link: str = ""


@dataclass(frozen=True)
class Sheet:
    """Images in rows of `columns`; `heads`: titles of the columns, if they have any.

    `legend`: names with the numbers of their colors, which are those of series.
    """

    title: str
    tiles: Sequence[Tile]
    columns: int
    size: float = 112.0
    """Of an image's longer side, in pixels."""
    heads: Sequence[str] = ()
    legend: Sequence[tuple[str, int]] = ()
    note: str = ""


class Scale(NamedTuple):
    """A vertical axis from 0 to 1: its name, and texts at heights, which may be a little below 0."""

    name: str
    ticks: Sequence[tuple[float, str]]


class Strand(NamedTuple):
    """A line across scales, at a height of each. `strong`: it stands out."""

    heights: Sequence[float]
    tip: str = ""
    strong: bool = False


@dataclass(frozen=True)
class ParallelCoordinates:
    """Lines across vertical scales side by side; the later ones are drawn above those before."""

    title: str
    scales: Sequence[Scale]
    strands: Sequence[Strand]
    note: str = ""


Figure = LineChart | BarChart | Heatmap | ParallelCoordinates | Sheet


def whole_ticks(ticks: Sequence[float], chart: LineChart) -> Sequence[float]:
    """Of the ticks of its x axis the integers, if the chart is about integers such as epochs; all if none is one."""
    whole = all(float(x).is_integer() for line in chart.series for x in line.x)
    return [tick for tick in ticks if float(tick).is_integer()] or ticks if whole else ticks
