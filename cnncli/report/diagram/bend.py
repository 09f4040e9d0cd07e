"""A network that goes down and up again, such as a U-Net, drawn as a U: each skip leads straight to the other arm."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from cnncli.report.diagram.level import Level
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
    turned,
)

CROSSING = 48.0
"""Below boxes with a skip, for the skip."""


class Pair(NamedTuple):
    """A skip, and the ranks that it connects."""

    wire: Wire
    first: int
    last: int


def nested(level: Level) -> list[Pair]:
    """The skips of a chain if there are several, each within the one before; else none."""
    pairs = [Pair(wire, level.rank[wire.source], level.rank[wire.target]) for wire in level.wires]
    pairs = sorted((pair for pair in pairs if pair.last > pair.first + 1), key=lambda pair: pair.first)
    chain = len(level.items) == level.ranks
    within = all(a.first < b.first and b.last < a.last for a, b in pairwise(pairs))
    return pairs if chain and within and len(pairs) > 1 else []


def bent(level: Level, pairs: Sequence[Pair], again: Mapping[Key, Item]) -> Placed:
    """The chain as a U. `again`: the items of the second arm, laid out with the skips at their left."""
    return _Bend(level, pairs, again).placed()


class _Bend:
    """Two arms: the parts before the last target of a skip go down at 0 across, the others up at `up`."""

    def __init__(self, level: Level, pairs: Sequence[Pair], again: Mapping[Key, Item]) -> None:
        self.level, self.pairs, self.turn = level, pairs, pairs[-1].last
        self.keys = sorted(level.items, key=lambda key: level.rank[key])
        self.items = [again.get(key, level.items[key]) for key in self.keys]
        left, right = self.items[: self.turn], self.items[self.turn :]
        self.left = max(item.anchor for item in left)
        self.up = max(item.across - item.anchor for item in left) + 2 * GUTTER + max(item.anchor for item in right)
        self.right = self.up + max(item.across - item.anchor for item in right)
        self.tops: dict[int, float] = {}
        bottom = self._stack()
        self.along = bottom + TURN

    def _stack(self) -> float:
        """Place both arms so that the ends of each skip are level; the end of the first arm."""
        top, before, after = 0.0, 0, len(self.items) - 1
        for pair in self.pairs:
            down, up = range(pair.first, before - 1, -1), range(pair.last, after + 1)
            base = top + max(self._length(down), self._length(up))
            for ranks in (down, up):
                at = base
                for rank in ranks:
                    self.tops[rank] = at - self.items[rank].along
                    at = self.tops[rank] - BETWEEN
            top, before, after = base + CROSSING, pair.first + 1, pair.last - 1
        for rank in range(before, self.turn):
            self.tops[rank] = top
            top += self.items[rank].along + BETWEEN
        return top - BETWEEN

    def _length(self, ranks: range) -> float:
        return sum(self.items[rank].along for rank in ranks) + BETWEEN * (len(ranks) - 1)

    def placed(self) -> Placed:
        """Both arms with all edges."""
        boxes: dict[str, Area] = {}
        frames: dict[str, Area] = {}
        routes = [self._route(wire) for wire in self.level.wires]
        for rank, (key, item) in enumerate(zip(self.keys, self.items, strict=True)):
            left = (self.up if rank >= self.turn else 0.0) - item.anchor
            if item.inner:
                flipped = turned(item.inner, sideways=False, reverse=True) if rank >= self.turn else item.inner
                inner = flipped.moved(left, self.tops[rank])
                boxes |= inner.boxes
                frames |= inner.frames
                routes += inner.routes
            else:
                boxes[key[1]] = Area(left, self.tops[rank], item.across, item.along)
        return Placed(boxes, frames, routes, self.left + self.right, self.along).moved(self.left, 0)

    def _route(self, wire: Wire) -> Route:
        first, last = self.level.rank[wire.source], self.level.rank[wire.target]
        start, end = self._leaves(wire, first), self._enters(wire, last)
        points: list[Point]
        if last < self.turn or first >= self.turn:
            points = curve([start, end])
        else:
            low = max(start[1], end[1])
            turn = CROSSING if last > first + 1 else TURN * 4 / 3
            points = [start, (start[0], low + turn), (end[0], low + turn), (end[0], low)]
            points += curve([(end[0], low), end])[1:]
        return Route(wire.leaf, wire.target[1], points, not self.items[last].enters)

    def _leaves(self, wire: Wire, rank: int) -> Point:
        """Where an edge leaves its source: below it in the first arm, above it in the second."""
        item, second = self.items[rank], rank >= self.turn
        across = self._across(rank) + (item.leaves[wire.leaf] - item.anchor if item.leaves else 0.0)
        return across, self.tops[rank] + (0 if second else item.along)

    def _enters(self, wire: Wire, rank: int) -> Point:
        """Where an edge enters its target: skips to a box beside its middle, towards the first arm."""
        item, second = self.items[rank], rank >= self.turn
        skips = self.level.rank[wire.source] < rank - 1
        aside = item.enters[wire.leaf] - item.anchor if item.enters else -min(PORT, item.across / 4) * skips
        return self._across(rank) + aside, self.tops[rank] + (item.along if second else 0)

    def _across(self, rank: int) -> float:
        return self.up if rank >= self.turn else 0.0
