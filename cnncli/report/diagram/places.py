"""Places of boxes and ways of edges, for all steps of a layout.

Until it is turned, a place is (across, along): the data flows along.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

Point = tuple[float, float]
Size = tuple[float, float]
BETWEEN = 22.0
"""Between two ranks; more where edges go far across."""
PORT = 14.0
"""Between the arrowheads of two edges that end at one box."""
GUTTER, TURN = 44.0, 30.0
"""Between two columns, and for edges from one to the next, beyond their ends."""


class Area(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    def moved(self, x: float, y: float) -> "Area":
        """The same rectangle elsewhere."""
        return self._replace(x=self.x + x, y=self.y + y)


class Route(NamedTuple):
    """The way of an edge, or of its part outside or within a frame: Bézier curves, a start, then three points for each.

    `arrow`: whether it ends at a box.
    """

    source: str
    target: str
    points: Sequence[Point]
    arrow: bool

    def moved(self, x: float, y: float) -> "Route":
        """The same way elsewhere."""
        return self._replace(points=[(a + x, b + y) for a, b in self.points])


@dataclass(frozen=True)
class Placed:
    """Areas by the names of boxes and frames, an outer frame before those in it, and routes."""

    boxes: Mapping[str, Area]
    frames: Mapping[str, Area]
    routes: Sequence[Route]
    width: float
    height: float

    def moved(self, x: float, y: float) -> "Placed":
        """The same elsewhere."""
        boxes = {name: area.moved(x, y) for name, area in self.boxes.items()}
        frames = {name: area.moved(x, y) for name, area in self.frames.items()}
        return Placed(boxes, frames, [route.moved(x, y) for route in self.routes], self.width, self.height)


Key = tuple[str, str]
"""("part", its name), or where an edge enters or leaves the frame: ("in" or "out", the name of the edge's source)."""


class Wire(NamedTuple):
    """An edge of one level: between parts, frames included. `leaf`: the box that the edge comes from."""

    source: Key
    target: Key
    leaf: str


@dataclass(frozen=True)
class Item:
    """A part with its size. `anchor`: where the trunk passes it; `enters`, `leaves`: where edges from `leaf` do."""

    across: float
    along: float
    anchor: float
    weight: int = 1
    enters: Mapping[str, float] = field(default_factory=dict)
    leaves: Mapping[str, float] = field(default_factory=dict)
    inner: Placed | None = None


def turned(placed: Placed, *, sideways: bool, reverse: bool) -> Placed:
    """What is laid out (across, along) as (x, y)."""

    def point(at: Point) -> Point:
        across, along = at[0], placed.height - at[1] if reverse else at[1]
        return (along, across) if sideways else (across, along)

    def area(of: Area) -> Area:
        first, second = point((of.x, of.y)), point((of.x + of.width, of.y + of.height))
        return Area(
            min(first[0], second[0]), min(first[1], second[1]), abs(second[0] - first[0]), abs(second[1] - first[1])
        )

    boxes = {name: area(of) for name, of in placed.boxes.items()}
    frames = {name: area(of) for name, of in placed.frames.items()}
    routes = [route._replace(points=[point(at) for at in route.points]) for route in placed.routes]
    width, height = (placed.height, placed.width) if sideways else (placed.width, placed.height)
    return Placed(boxes, frames, routes, width, height)


def curve(stops: Sequence[Point]) -> list[Point]:
    """Bézier curves through places, along at each of them."""
    kept = [stops[0]]
    for before, stop in pairwise(stops):
        if abs(stop[0] - before[0]) + abs(stop[1] - before[1]) > 0.01:
            if len(kept) > 1 and kept[-1][0] == kept[-2][0] == stop[0]:
                kept.pop()
            kept.append(stop)
    points = kept[:1]
    for (x, y), (to_x, to_y) in pairwise(kept):
        middle = (y + to_y) / 2
        points += [(x, middle), (to_x, middle), (to_x, to_y)]
    return points
