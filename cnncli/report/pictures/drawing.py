"""Drawings: primitives on a sheet, in CSS pixels with the origin at the top left. Colors are roles of `theme.py`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import hypot
from typing import TYPE_CHECKING, Literal, NamedTuple

from cnncli.report.pictures.axes import Axis
from cnncli.report.pictures.typeface import embedded

if TYPE_CHECKING:
    from PIL.Image import Image

Point = tuple[float, float]
TEXT = 12.0
"""Size of ordinary text."""
LINE = 1.35
"""Distance of two lines of text, in sizes of the text."""
ROOM = 1.08
"""What a viewer's font may be wider than the one that texts are measured with."""


class Rect(NamedTuple):
    """A rectangle. `tip`: shown when pointed at; `link`: where a click leads; both in SVG only."""

    x: float
    y: float
    width: float
    height: float
    fill: str | None = None
    stroke: str | None = None
    opacity: float = 1.0
    """Of the fill."""
    radius: float = 0.0
    tip: str = ""
    link: str = ""


class Path(NamedTuple):
    """Straight lines through `points`, or cubic Bézier curves: a start, then two controls and an end for each."""

    points: Sequence[Point]
    stroke: str | None = None
    width: float = 1.5
    fill: str | None = None
    opacity: float = 1.0
    """Of the fill."""
    curved: bool = False
    dashed: bool = False
    tip: str = ""


class Circle(NamedTuple):
    """A circle around (x, y)."""

    x: float
    y: float
    radius: float
    fill: str | None = None
    stroke: str | None = None
    tip: str = ""


class Label(NamedTuple):
    """One line of text whose baseline begins, is centered or ends at (x, y). `angle`: degrees, clockwise."""

    x: float
    y: float
    text: str
    size: float = TEXT
    role: str = "ink"
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False
    angle: float = 0.0
    tip: str = ""
    link: str = ""


class Raster(NamedTuple):
    """An image scaled to a rectangle: pixel by pixel, or `smooth`."""

    x: float
    y: float
    width: float
    height: float
    image: "Image"
    smooth: bool = False
    tip: str = ""
    link: str = ""


class Group(NamedTuple):
    """Items moved by (x, y). `link`: where a click on any of them leads, `name`: what the link is called."""

    x: float
    y: float
    items: "Sequence[Item]"
    link: str = ""
    name: str = ""


Item = Rect | Path | Circle | Label | Raster | Group


@dataclass(frozen=True)
class Drawing:
    """A sheet with items, painted in order. `title` and `description` are for those who cannot see it.

    `axes`: x and y of a chart.
    """

    width: float
    height: float
    items: Sequence[Item]
    title: str = ""
    description: str = ""
    axes: tuple[Axis, Axis] | None = None

    def roles(self) -> set[str]:
        """The roles of its colors."""
        return {"paper", *_roles(self.items)}


def beside(drawings: Sequence[Drawing], columns: int, gap: float = 24.0, title: str = "") -> Drawing:
    """Drawings in rows of `columns`, each row as high as its highest."""
    items: list[Item] = []
    top = width = 0.0
    for start in range(0, len(drawings), columns):
        row, left = drawings[start : start + columns], 0.0
        for drawing in row:
            items.append(Group(left, top, drawing.items))
            left += drawing.width + gap
        width = max(width, left - gap)
        top += max(drawing.height for drawing in row) + gap
    told = "; ".join(filter(None, (drawing.title for drawing in drawings)))
    return Drawing(width, top - gap, items, title or told, told if title else "")


def text_width(text: str, size: float = TEXT, *, bold: bool = False) -> float:
    """How wide a text may be, in pixels."""
    return _length(text) * size / TEXT * ROOM * (1.07 if bold else 1.0)


def shortened(text: str, width: float, size: float = TEXT, *, bold: bool = False) -> str:
    """The text, cut with … where it is wider than `width`."""
    if text_width(text, size, bold=bold) <= width:
        return text
    kept = min(len(text), int(width / size * 4) + 1)  # no letter is narrower than a quarter of its size
    while kept and text_width(f"{text[:kept]}…", size, bold=bold) > width:
        kept -= 1
    return f"{text[:kept]}…"


def wrapped(text: str, width: float, size: float = TEXT) -> str:
    """The text with lines that are not wider than `width`, where words allow it."""
    lines: list[str] = []
    for line in text.split("\n"):
        lines.append("")
        for word in line.split(" "):
            longer = f"{lines[-1]} {word}" if lines[-1] else word
            if lines[-1] and text_width(longer, size) > width:
                lines.append(word)
            else:
                lines[-1] = longer
    return "\n".join(lines)


def arrowhead(tip: Point, before: Point, role: str, size: float = 6.0) -> Path:
    """A filled triangle that ends at `tip`, of an arrow that comes from `before`."""
    dx, dy = tip[0] - before[0], tip[1] - before[1]
    length = hypot(dx, dy) or 1.0
    dx, dy = dx / length * size, dy / length * size
    base = tip[0] - dx, tip[1] - dy
    return Path(
        [tip, (base[0] - dy / 2, base[1] + dx / 2), (base[0] + dy / 2, base[1] - dx / 2)],
        fill=role,
    )


@cache
def _length(text: str) -> float:
    return embedded(TEXT).getlength(text) if text.isascii() else sum(map(_letter, text))


@cache
def _letter(letter: str) -> float:
    """A letter that the typeface lacks is taken to be as wide as an n, and an ideograph as wide as it is high."""
    return embedded(TEXT).getlength(letter if letter.isascii() else "n") if ord(letter) < 0x2E80 else TEXT


def _roles(items: Iterable[Item]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Group):
            yield from _roles(item.items)
        elif isinstance(item, Label):
            yield item.role
        elif not isinstance(item, Raster):
            yield from (role for role in (item.fill, item.stroke) if role)
