"""Places of boxes and ways of edges.

A simple case of Sugiyama's layered layout, for graphs with a trunk. The rank of a box is the length of the longest way
to it. The heaviest way through the graph is the trunk, one straight line; what remains is divided into branches
likewise. A branch, and an edge that passes boxes, takes a lane beside the trunk: the shortest are placed first, each as
near to the trunk as what is there already allows, so that the others enclose them. An expanded block is laid out by
itself, and then treated as a box.

Within this module a place is (across, along): the data flows along. `Layout` turns it to the direction wanted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, log
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
FOR_EDGES = 80.0
"""How much farther an edge may be at the right than at the left of the trunk."""
PORT = 14.0
"""Between the arrowheads of two edges that end at one box."""
LONG = 1100.0
"""What is longer is divided into columns."""
SCREEN = 1.5
"""Its width for each unit of height."""
LEAST_FILL = 0.6
"""Of the columns: those that differ more are no better than one."""
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


class Column(NamedTuple):
    """Ranks that are moved across and along together."""

    first: int
    last: int
    across: float
    along: float


@dataclass
class Lane:
    """A line along: the trunk, a branch with its items, or an edge. It takes the ranks `first` … `last`."""

    first: int
    last: int
    keys: Sequence[Key] = ()
    neighbors: Sequence[tuple[Key, str]] = ()
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
        return Area(
            min(first[0], second[0]), min(first[1], second[1]), abs(second[0] - first[0]), abs(second[1] - first[1])
        )

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
        level = _Level({**entries, **items, **exits}, list(wires), framed=frame is not None)
        if frame:
            return level.framed(frame.id, *self._around(level, frame))
        level.divide(sideways=self.sideways)
        return level.framed(None, 0, 0, 0, 0)

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
    """Items in order, ranked and placed; the trunk is at 0 across. `framed`: parts leave the outer ranks free."""

    def __init__(self, items: Mapping[Key, Item], wires: Sequence[Wire], *, framed: bool) -> None:
        self.items, self.wires = items, wires
        self.into: dict[Key, list[Wire]] = {key: [] for key in items}
        self.out_of: dict[Key, list[Wire]] = {key: [] for key in items}
        for wire in wires:
            self.into[wire.target].append(wire)
            self.out_of[wire.source].append(wire)
        self.rank: dict[Key, int] = {}
        for key in items:
            before = [self.rank[wire.source] for wire in self.into[key]]
            self.rank[key] = 0 if key[0] == "in" else max([framed - 1, *before]) + 1
        last = max(self.rank[key] for key in items if key[0] == "part") + framed
        self.rank |= {key: last for key in items if key[0] == "out"}
        self.ranks = last + 1
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
        self.columns = [Column(0, self.ranks - 1, 0.0, 0.0)]

    def _branches(self) -> list[Lane]:
        """The trunk and the other branches: each the heaviest way up from its end through what is left."""
        weight: dict[Key, int] = {}
        for key, item in self.items.items():
            weight[key] = item.weight + max((weight[wire.source] for wire in self.into[key]), default=0)
        end = max(self.items, key=lambda key: (weight[key], self.rank[key]))
        lanes = []
        for start in [end, *reversed(list(self.items))]:
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
            lane.neighbors = [(wire.source, "") for wire in self.into[lane.keys[0]]]
            lane.neighbors += [(onward.target, onward.leaf)] if onward else []
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
            neighbors = [(source, ""), *((wire.target, wire.leaf) for wire in wires)]
            lanes.append(Lane(self.rank[source] + 1, last, neighbors=neighbors))
            self.lane_of_wire |= dict.fromkeys(wires, lanes[-1])
        return lanes

    def _settle(self, lane: Lane) -> None:
        """Place a lane on the side that is nearer to its neighbors: boxes rather at the left, edges at the right."""
        at = {self.rank[key]: self.items[key] for key in lane.keys}
        before = {rank: at[rank].anchor if rank in at else 0.0 for rank in range(lane.first, lane.last + 1)}
        after = {rank: at[rank].across - at[rank].anchor if rank in at else 0.0 for rank in before}
        left = min(self.lefts[rank] - ASIDE - after[rank] for rank in before)
        right = max(self.rights[rank] + ASIDE + before[rank] for rank in before)
        places = [self._port(*neighbor) for neighbor in lane.neighbors]
        middle = sum(places) / len(places) if places else 0.0
        to_left, to_right = abs(left - middle), abs(right - middle)
        boxes = any(key[0] == "part" for key in lane.keys)
        lane.place = left if to_left < to_right + (0.5 if boxes else -FOR_EDGES) else right
        for rank, here in before.items():
            self.lefts[rank] = min(self.lefts[rank], lane.place - here)
            self.rights[rank] = max(self.rights[rank], lane.place + after[rank])

    def _port(self, key: Key, leaf: str) -> float:
        """Where an edge from the box `leaf` ends at an item, across."""
        item, place = self.items[key], self.place(key)
        return place - item.anchor + item.enters[leaf] if leaf in item.enters else place

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
        """Where edges end, across: those to one box side by side, in the order they arrive; a straight one straight."""
        ends: dict[Wire, float] = {}
        for key, wires in self.into.items():
            item, place = self.items[key], self.place(key)
            if item.enters:
                ends |= {wire: self._port(key, wire.leaf) for wire in wires}
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

    def divide(self, *, sideways: bool) -> None:
        """Divide a long level into columns, cut where only one edge passes, so that it fits a screen."""
        if self.along <= LONG:
            return
        cuts = self._cuts()
        limits = [LONG * 1.1**power / 2 for power in range(60) if LONG * 1.1**power / 2 < self.along]
        self.columns = min(
            (self._packed(cuts, limit) for limit in limits), key=lambda found: self._waste(found, sideways)
        )
        self.left, self.right = 0.0, max(column.across + self._extent(column)[1] for column in self.columns)
        self.along = max(self._length(column) for column in self.columns)
        if len(self.columns) > 1:
            self.right += ASIDE

    def _cuts(self) -> list[int]:
        """Ranks after which nothing but the edge to the next rank passes."""
        passing: list[set[tuple[Key, str]]] = [set() for _ in range(self.ranks)]
        straight = [True] * self.ranks
        for wire in self.wires:
            first, last = self.rank[wire.source], self.rank[wire.target]
            for rank in range(first, last):
                passing[rank].add((wire.source, wire.leaf))
                straight[rank] = straight[rank] and last == first + 1
        return [rank for rank in range(self.ranks - 1) if len(passing[rank]) == 1 and straight[rank]]

    def _packed(self, cuts: Sequence[int], limit: float) -> list["Column"]:
        """Columns no longer than `limit`, if there are cuts for it."""
        bounds, first = [], 0
        for cut, after in pairwise([*cuts, self.ranks - 1]):
            if self._end(after) - self.tops[first] > limit and cut >= first:
                bounds.append((first, cut))
                first = cut + 1
        columns: list[Column] = []
        right = -GUTTER
        for start, end in [*bounds, (first, self.ranks - 1)]:
            left, width = -min(self.lefts[start : end + 1]), max(self.rights[start : end + 1])
            columns.append(Column(start, end, right + GUTTER + left, -self.tops[start]))
            right += GUTTER + left + width
        room = TURN if len(columns) > 1 else 0.0
        return [column._replace(along=column.along + room) for column in columns]

    def _waste(self, columns: Sequence["Column"], sideways: bool) -> float:
        """How far columns are from the proportions of a screen, and from filling it."""
        lengths = [self._length(column) for column in columns]
        across = columns[-1].across + self._extent(columns[-1])[1]
        along, fill = max(lengths), sum(lengths) / (max(lengths) * len(lengths))
        if fill < LEAST_FILL:
            return inf
        return abs(log(along / across / SCREEN if sideways else across / along / SCREEN)) + 2 * (1 - fill)

    def _extent(self, column: "Column") -> tuple[float, float]:
        ranks = slice(column.first, column.last + 1)
        return min(self.lefts[ranks]), max(self.rights[ranks])

    def _length(self, column: "Column") -> float:
        return self._end(column.last) + column.along + (TURN if len(self.columns) > 1 or column.along else 0.0)

    def _end(self, rank: int) -> float:
        return self.tops[rank] + self.heights[rank]

    def _column(self, rank: int) -> "Column":
        return next(column for column in self.columns if rank <= column.last)

    def _turn(self, wire: Wire) -> list[Point]:
        """The way from the end of a column to the beginning of the next one, through the gutter between them."""
        here, there = self._column(self.rank[wire.source]), self._column(self.rank[wire.target])
        start, end = self._starts(wire) + here.across, self.ends[wire] + there.across
        bottom = self._top(wire.source) + self.items[wire.source].along + here.along
        top = self._top(wire.target) + there.along
        gutter = there.across + self._extent(there)[0] - GUTTER / 2
        down = [(start, bottom), (start, bottom + TURN), (gutter, bottom + TURN), (gutter, bottom)]
        up = [*curve([(gutter, bottom), (gutter, top)])[1:], (gutter, top - TURN), (end, top - TURN), (end, top)]
        return [*down, *up]

    def route(self, wire: Wire) -> list[Point]:
        """The way of an edge: straight along in its lane, and in the gaps between ranks a curve aside."""
        first, last = self.rank[wire.source], self.rank[wire.target]
        column = self._column(first)
        if column != self._column(last):
            return self._turn(wire)
        start, lane, end = self._starts(wire), self._arrives(wire), self.ends[wire]
        bottom, top = self._top(wire.source) + self.items[wire.source].along, self._top(wire.target)
        stops = [(start, bottom), (start, self._end(first))]
        if last > first + 1:
            stops += [(lane, self.tops[first + 1]), (lane, self._end(last - 1))]
        points = curve([*stops, (end, self.tops[last]), (end, top)])
        return [(x + column.across, y + column.along) for x, y in points]

    def _top(self, key: Key) -> float:
        """An item is in the middle of its rank."""
        return self.tops[self.rank[key]] + (self.heights[self.rank[key]] - self.items[key].along) / 2

    def framed(self, name: str | None, before: float, after: float, above: float, below: float) -> Item:
        """The level as an item, with a frame of this name if there is one, that wide around it."""
        x, y = before - self.left, above
        across, along = before + self.right - self.left + after, above + self.along + below
        boxes: dict[str, Area] = {}
        frames = {name: Area(-x, -y, across, along)} if name else {}
        routes = [self._route(wire, above, below) for wire in self.wires]
        for key, item in self.items.items():
            column = self._column(self.rank[key])
            left, top = self.place(key) - item.anchor + column.across, self._top(key) + column.along
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

    def _route(self, wire: Wire, above: float, below: float) -> Route:
        """With its beginning and end at the frame, where these are outside."""
        points = self.route(wire)
        if wire.source[0] == "in":
            points = [*curve([(points[0][0], points[0][1] - above), points[0]]), *points[1:]] if above else points
        if wire.target[0] == "out":
            points += curve([points[-1], (points[-1][0], points[-1][1] + below)])[1:] if below else []
        arrow = wire.target[0] == "part" and not self.items[wire.target].enters
        return Route(wire.leaf, wire.target[1], points, arrow)


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
