"""The layout of one level: parts with their sizes, and the edges between them.

A simple case of Sugiyama's layered layout, for graphs with a trunk. The rank of a box is the length of the longest way
to it. The heaviest way through the graph is the trunk, one straight line; what remains is divided into branches
likewise. A branch, and an edge that passes boxes, takes a lane beside the trunk: the shortest are placed first, each as
near to the trunk as what is there already allows, so that the others enclose them. A long level has several columns.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log
from typing import NamedTuple

from cnncli.report.diagram.places import (
    BETWEEN,
    GUTTER,
    PORT,
    TURN,
    Area,
    Item,
    Key,
    Placed,
    Point,
    Route,
    Wire,
    curve,
)

STEEPEST, MOST_MORE = 0.15, 44.0
"""What an edge adds to the gap between two ranks for each pixel that it goes across, and at most."""
ASIDE = 18.0
"""Between two boxes, or a box and a lane, of one rank."""
FOR_EDGES = 80.0
"""How much farther an edge may be at the right than at the left of the trunk."""
LONG = 1100.0
"""What is longer is divided into columns."""
SCREEN = 1.5
"""Its width for each unit of height."""
LEAST_FILL = 0.6
"""Of the columns: those that differ more are no better than one."""


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


class Level:
    """Items in order, ranked and placed; the trunk is at 0 across.

    `framed`: parts leave the outer ranks free; `mirrored`: edges that pass boxes are rather at the left.
    """

    def __init__(self, items: Mapping[Key, Item], wires: Sequence[Wire], *, framed: bool, mirrored: bool) -> None:
        self.items, self.wires, self.mirrored = items, wires, mirrored
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
        to_left += (-0.5 if any(key[0] == "part" for key in lane.keys) else FOR_EDGES) * (-1 if self.mirrored else 1)
        lane.place = left if to_left < to_right else right
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

    def starts(self, wire: Wire) -> float:
        item, place = self.items[wire.source], self.place(wire.source)
        return place - item.anchor + item.leaves[wire.leaf] if item.leaves else place

    def _arrives(self, wire: Wire) -> float:
        """From where an edge comes to its end, across."""
        passes = self.rank[wire.target] > self.rank[wire.source] + 1
        return self.lane_of_wire[wire].place if passes else self.starts(wire)

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
            start, middle, end = self.starts(wire), self._arrives(wire), self.ends[wire]
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
        """Ranks after which nothing but one edge to the next rank passes."""
        passing = Counter[int]()
        for wire in self.wires:
            first, last = self.rank[wire.source], self.rank[wire.target]
            passing.update(range(first, last) if last == first + 1 else [*range(first, last)] * 2)
        return [rank for rank in range(self.ranks - 1) if passing[rank] == 1]

    def _packed(self, cuts: Sequence[int], limit: float) -> list[Column]:
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

    def _waste(self, columns: Sequence[Column], sideways: bool) -> float:
        """How far columns are from the proportions of a screen, and from filling it."""
        lengths = [self._length(column) for column in columns]
        across = columns[-1].across + self._extent(columns[-1])[1]
        along, fill = max(lengths), sum(lengths) / (max(lengths) * len(lengths))
        if fill < LEAST_FILL:
            return inf
        return abs(log(along / across / SCREEN if sideways else across / along / SCREEN)) + 2 * (1 - fill)

    def _extent(self, column: Column) -> tuple[float, float]:
        ranks = slice(column.first, column.last + 1)
        return min(self.lefts[ranks]), max(self.rights[ranks])

    def _length(self, column: Column) -> float:
        return self._end(column.last) + column.along + (TURN if len(self.columns) > 1 or column.along else 0.0)

    def _end(self, rank: int) -> float:
        return self.tops[rank] + self.heights[rank]

    def _column(self, rank: int) -> Column:
        return next(column for column in self.columns if rank <= column.last)

    def _turn(self, wire: Wire) -> list[Point]:
        """The way from the end of a column to the beginning of the next one, through the gutter between them."""
        here, there = self._column(self.rank[wire.source]), self._column(self.rank[wire.target])
        start, end = self.starts(wire) + here.across, self.ends[wire] + there.across
        bottom, top = self._end(here.last) + here.along, self.tops[there.first] + there.along
        gutter = there.across + self._extent(there)[0] - GUTTER / 2
        down = curve([(start, self._top(wire.source) + self.items[wire.source].along + here.along), (start, bottom)])
        down += [(start, bottom + TURN), (gutter, bottom + TURN), (gutter, bottom)]
        up = [*curve([(gutter, bottom), (gutter, top)])[1:], (gutter, top - TURN), (end, top - TURN), (end, top)]
        return [*down, *up, *curve([(end, top), (end, self._top(wire.target) + there.along)])[1:]]

    def route(self, wire: Wire) -> list[Point]:
        """The way of an edge: straight along in its lane, and in the gaps between ranks a curve aside."""
        first, last = self.rank[wire.source], self.rank[wire.target]
        column = self._column(first)
        if column != self._column(last):
            return self._turn(wire)
        start, lane, end = self.starts(wire), self._arrives(wire), self.ends[wire]
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
