"""Places of boxes and ways of edges.

A simple case of Sugiyama's layered layout, for graphs with a trunk. The rank of a box is the length of the longest way
to it. The heaviest way through the graph is the trunk, which is one straight line; what remains is divided into branches
likewise. A branch, and an edge that passes boxes, takes a lane beside the trunk: the shortest are placed first, each as
near to the trunk as what is there already allows, so that the others enclose them. An expanded block is laid out by
itself, and then treated as a box.

Within this module a place is (across, along): the data flows along. `Layout` turns it to the direction wanted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cnncli.report.diagram.diagram import Box, Diagram, Frame, Part, boxes_of

Point = tuple[float, float]
Size = tuple[float, float]
BETWEEN = 22.0
"""Between two ranks; more where edges go far across."""
STEEPEST, MOST_MORE = 0.15, 44.0
ASIDE = 18.0
"""Between two boxes, or a box and a lane, of one rank."""
EDGE = 12.0
"""Within a frame, around what is in it."""
PORT = 14.0
"""Between the arrowheads of two edges that end at one box."""


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


@dataclass
class Lane:
    """A line along: the trunk, a branch with its items, or an edge. It takes the ranks `first` … `last`."""

    first: int
    last: int
    keys: Sequence[Key] = ()
    neighbors: Sequence[Key] = ()
    place: float = 0.0


def laid_out(diagram: Diagram, box_size: Callable[[Box], Size], title_size: Callable[[Frame], Size]) -> Placed:
    """Places for a diagram that flows in its direction; sizes are (width, height)."""
    sideways, reverse = diagram.direction in ("LR", "RL"), diagram.direction in ("BT", "RL")
    layout = _Layout(box_size, title_size, sideways=sideways, reverse=reverse)
    placed = layout.level(diagram.parts, [(edge.source, edge.target) for edge in diagram.edges]).inner
    assert placed is not None
    return turned(placed, sideways=sideways, reverse=reverse)


def turned(placed: Placed, *, sideways: bool, reverse: bool) -> Placed:
    """What is laid out (across, along) as (x, y)."""

    def point(at: Point) -> Point:
        across, along = at[0], placed.height - at[1] if reverse else at[1]
        return (along, across) if sideways else (across, along)

    def area(of: Area) -> Area:
        first, second = point((of.x, of.y)), point((of.x + of.width, of.y + of.height))
        return Area(min(first[0], second[0]), min(first[1], second[1]), abs(second[0] - first[0]), abs(second[1] - first[1]))

    boxes = {name: area(of) for name, of in placed.boxes.items()}
    frames = {name: area(of) for name, of in placed.frames.items()}
    routes = [route._replace(points=[point(at) for at in route.points]) for route in placed.routes]
    width, height = (placed.height, placed.width) if sideways else (placed.width, placed.height)
    return Placed(boxes, frames, routes, width, height)


class _Layout:
    def __init__(
        self, box_size: Callable[[Box], Size], title_size: Callable[[Frame], Size], *, sideways: bool, reverse: bool
    ) -> None:
        self.box_size, self.title_size, self.sideways, self.reverse = box_size, title_size, sideways, reverse

    def level(self, parts: Sequence[Part], edges: Iterable[tuple[str, str]], frame: Frame | None = None) -> Item:
        """Lay out parts, with the edges that begin or end among them, and the frame around them, if any."""
        owner = {box.id: ("part", part.id) for part in parts for box in boxes_of([part])}
        inner: dict[Key, list[tuple[str, str]]] = defaultdict(list)
        wires: dict[Wire, None] = {}
        for source, target in edges:
            start, end = owner.get(source, ("in", source)), owner.get(target, ("out", source))
            for key in {start, end}:
                inner[key].append((source, target))
            if start != end:
                wires[Wire(start, end, source)] = None
        items = {("part", part.id): self._item(part, inner[("part", part.id)]) for part in parts}
        ports = {key: Item(0, 0, 0, 0) for wire in wires for key in (wire.source, wire.target) if key[0] != "part"}
        entries = {key: item for key, item in ports.items() if key[0] == "in"}
        exits = {key: item for key, item in ports.items() if key[0] == "out"}
        level = _Level({**entries, **items, **exits}, list(wires))
        return level.framed(frame.id, *self._around(level, frame)) if frame else level.framed(None, 0, 0, 0, 0)

    def _item(self, part: Part, edges: Sequence[tuple[str, str]]) -> Item:
        if isinstance(part, Frame):
            return self.level(part.parts, edges, part)
        width, height = self.box_size(part)
        across, along = (height, width) if self.sideways else (width, height)
        return Item(across, along, across / 2)

    def _around(self, level: "_Level", frame: Frame) -> tuple[float, float, float, float]:
        """What a frame takes before and after its content, across and along; its title is at the top left."""
        width, height = self.title_size(frame)
        if self.sideways:
            return height, EDGE, 0, max(0.0, width + 2 * EDGE - level.along)
        passing = [key for key in level.items if key[0] == ("out" if self.reverse else "in")]
        free = min((level.place(key) for key in passing), default=level.right) - level.left
        before = max(EDGE, width + EDGE - free)
        return before, EDGE, *((0, height - EDGE) if self.reverse else (height - EDGE, 0))


class _Level:
    """Items in order, ranked and placed; the trunk is at 0 across."""

    def __init__(self, items: Mapping[Key, Item], wires: Sequence[Wire]) -> None:
        self.items, self.wires = items, wires
        self.into: dict[Key, list[Wire]] = {key: [] for key in items}
        self.out_of: dict[Key, list[Wire]] = {key: [] for key in items}
        for wire in wires:
            self.into[wire.target].append(wire)
            self.out_of[wire.source].append(wire)
        self.rank = self._ranks()
        self.ranks = max(self.rank.values()) + 1
        self.lane_of: dict[Key, Lane] = {}
        self.lane_of_wire: dict[Wire, Lane] = {}
        lanes = [*self._branches(), *self._passing()]
        self.lefts = [0.0] * self.ranks
        self.rights = [0.0] * self.ranks
        for key in lanes[0].keys:
            rank, item = self.rank[key], items[key]
            self.lefts[rank], self.rights[rank] = -item.anchor, item.across - item.anchor
        for lane in sorted(lanes[1:], key=lambda lane: (lane.last - lane.first, lane.first)):
            self._settle(lane)
        self.left, self.right = min(self.lefts), max(self.rights)
        self._stack()

    def _ranks(self) -> dict[Key, int]:
        rank: dict[Key, int] = {}
        least = 1 if any(key[0] == "in" for key in self.items) else 0
        for key in self.items:
            ranks = [rank[wire.source] + 1 for wire in self.into[key]]
            rank[key] = 0 if key[0] == "in" else max([least, *ranks])
        last = max(rank.values())
        return {key: last if key[0] == "out" else at for key, at in rank.items()}

    def _branches(self) -> list[Lane]:
        """The trunk and the other branches: each the heaviest way up from its end through what is left."""
        weight: dict[Key, int] = {}
        for key, item in self.items.items():
            weight[key] = item.weight + max((weight[wire.source] for wire in self.into[key]), default=0)
        end = max(self.items, key=lambda key: (weight[key], self.rank[key]))
        lanes = []
        for start in [end, *reversed(self.items)]:
            if start in self.lane_of:
                continue
            keys, ways = [start], []
            while before := [wire for wire in self.into[keys[-1]] if wire.source not in self.lane_of]:
                ways.append(max(before, key=lambda wire: weight[wire.source]))
                keys.append(ways[-1].source)
            lane = Lane(self.rank[keys[-1]], self.rank[start], keys[::-1])
            lanes.append(lane)
            self.lane_of |= dict.fromkeys(keys, lane)
            self.lane_of_wire |= dict.fromkeys(ways, lane)
        for lane in lanes[1:]:
            onward = min(self.out_of[lane.keys[-1]], key=lambda wire: self.rank[wire.target], default=None)
            if onward:
                self.lane_of_wire[onward] = lane
                lane.last = max(lane.last, self.rank[onward.target] - 1)
            reading = [wire.source for wire in self.into[lane.keys[0]]]
            lane.neighbors = [*reading, *([onward.target] if onward else [])]
        return lanes

    def _passing(self) -> list[Lane]:
        """A lane for the edges from one box that pass others."""
        passing: dict[tuple[Key, str], list[Wire]] = defaultdict(list)
        for wire in self.wires:
            if wire not in self.lane_of_wire and self.rank[wire.target] > self.rank[wire.source] + 1:
                passing[wire.source, wire.leaf].append(wire)
        lanes = []
        for (source, _), wires in passing.items():
            last = max(self.rank[wire.target] for wire in wires) - 1
            lanes.append(Lane(self.rank[source] + 1, last, neighbors=[source, *(wire.target for wire in wires)]))
            self.lane_of_wire |= dict.fromkeys(wires, lanes[-1])
        return lanes

    def _settle(self, lane: Lane) -> None:
        """Place a lane on the side that is nearer to its neighbors: of equals, edges at the right, boxes at the left."""
        at = {self.rank[key]: self.items[key] for key in lane.keys}
        before = {rank: at[rank].anchor if rank in at else 0.0 for rank in range(lane.first, lane.last + 1)}
        after = {rank: at[rank].across - at[rank].anchor if rank in at else 0.0 for rank in before}
        left = min(self.lefts[rank] - ASIDE - after[rank] for rank in before)
        right = max(self.rights[rank] + ASIDE + before[rank] for rank in before)
        places = [self.lane_of[key].place for key in lane.neighbors]
        middle = sum(places) / len(places) if places else 0.0
        to_left, to_right = abs(left - middle), abs(right - middle)
        lane.place = left if to_left < to_right + (0.5 if lane.keys else -0.5) else right
        for rank in before:
            self.lefts[rank] = min(self.lefts[rank], lane.place - before[rank])
            self.rights[rank] = max(self.rights[rank], lane.place + after[rank])

    def place(self, key: Key) -> float:
        """Where the trunk of an item is, across."""
        return self.lane_of[key].place

    def _starts(self, wire: Wire) -> float:
        item, place = self.items[wire.source], self.place(wire.source)
        return place - item.anchor + item.leaves[wire.leaf] if item.leaves else place

    def _arrives(self, wire: Wire) -> float:
        """From where an edge comes to its end, across."""
        passes = self.rank[wire.target] > self.rank[wire.source] + 1
        return self.lane_of_wire[wire].place if passes else self._starts(wire)

    def _ends(self) -> dict[Wire, float]:
        """Where edges end, across: those to one box side by side, in the order they come from; straight ones straight."""
        ends: dict[Wire, float] = {}
        for key, wires in self.into.items():
            item, place = self.items[key], self.place(key)
            if item.enters:
                ends |= {wire: place - item.anchor + item.enters[wire.leaf] for wire in wires}
                continue
            ordered = sorted(wires, key=self._arrives)
            straight = [number for number, wire in enumerate(ordered) if abs(self._arrives(wire) - place) < 1]
            middle = straight[0] if straight else (len(ordered) - 1) / 2
            far = max(middle, len(ordered) - 1 - middle)
            step = min(PORT, (item.across / 2 - 4) / far) if far else 0.0
            ends |= {wire: place + (number - middle) * max(0.0, step) for number, wire in enumerate(ordered)}
        return ends

    def _stack(self) -> None:
        """Heights of the ranks, of the gaps between them, and where they begin."""
        self.ends = self._ends()
        self.heights = [0.0] * self.ranks
        for key, item in self.items.items():
            self.heights[self.rank[key]] = max(self.heights[self.rank[key]], item.along)
        aside = [0.0] * self.ranks
        for wire in self.wires:
            first, last = self.rank[wire.source], self.rank[wire.target] - 1
            start, middle, end = self._starts(wire), self._arrives(wire), self.ends[wire]
            aside[first] = max(aside[first], abs((end if first == last else middle) - start))
            aside[last] = max(aside[last], abs(end - middle if first != last else end - start))
        self.gaps = [BETWEEN + min(MOST_MORE, far * STEEPEST) for far in aside]
        self.tops = [0.0]
        for height, gap in zip(self.heights, self.gaps, strict=True):
            self.tops.append(self.tops[-1] + height + gap)
        self.along = self.tops[self.ranks - 1] + self.heights[-1]

    def route(self, wire: Wire) -> list[Point]:
        """The way of an edge: straight along in its lane, and in the gaps between ranks a curve aside."""
        first, last = self.rank[wire.source], self.rank[wire.target]
        start, lane, end = self._starts(wire), self._arrives(wire), self.ends[wire]
        bottom, top = self._top(wire.source) + self.items[wire.source].along, self._top(wire.target)
        stops = [(start, bottom), (start, self.tops[first] + self.heights[first])]
        if last > first + 1:
            stops += [(lane, self.tops[first + 1]), (lane, self.tops[last - 1] + self.heights[last - 1])]
        return curve([*stops, (end, self.tops[last]), (end, top)])

    def _top(self, key: Key) -> float:
        """An item is in the middle of its rank."""
        return self.tops[self.rank[key]] + (self.heights[self.rank[key]] - self.items[key].along) / 2

    def framed(self, name: str | None, before: float, after: float, above: float, below: float) -> Item:
        """The level as an item, with a frame of this name if there is one, that wide around it."""
        x, y = before - self.left, above
        boxes: dict[str, Area] = {}
        frames: dict[str, Area] = {}
        routes = [
            Route(wire.leaf, wire.target[1], self.route(wire), wire.target[0] == "part" and not self.items[wire.target].enters)
            for wire in self.wires
        ]
        across, along = before + self.right - self.left + after, above + self.along + below
        if name:
            frames[name] = Area(-x, -y, across, along)
        for key, item in self.items.items():
            left, top = self.place(key) - item.anchor, self._top(key)
            if item.inner:
                inner = item.inner.moved(left, top)
                boxes |= inner.boxes
                frames |= inner.frames
                routes += inner.routes
            elif key[0] == "part":
                boxes[key[1]] = Area(left, top, item.across, item.along)
        ports = {key: self.place(key) + x for key in self.items if key[0] != "part"}
        return Item(
            across,
            along,
            x,
            sum(item.weight for item in self.items.values()),
            {leaf: at for (kind, leaf), at in ports.items() if kind == "in"},
            {leaf: at for (kind, leaf), at in ports.items() if kind == "out"},
            Placed(boxes, frames, routes, across, along).moved(x, y),
        )


def curve(stops: Sequence[Point]) -> list[Point]:
    """Bézier curves through places, along at each of them."""
    kept = [stops[0]]
    for before, stop in zip(stops, stops[1:], strict=False):
        if abs(stop[0] - before[0]) + abs(stop[1] - before[1]) > 0.01:
            if len(kept) > 1 and kept[-1][0] == kept[-2][0] == stop[0]:
                kept.pop()
            kept.append(stop)
    points = kept[:1]
    for (x, y), (to_x, to_y) in zip(kept, kept[1:], strict=False):
        middle = (y + to_y) / 2
        points += [(x, middle), (to_x, middle), (to_x, to_y)]
    return points
