"""The layout of a diagram: an expanded block is laid out by itself, and then treated as a box."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from cnncli.report.diagram.bend import bent, nested
from cnncli.report.diagram.diagram import Box, Diagram, Frame, Part, boxes_of
from cnncli.report.diagram.level import Level
from cnncli.report.diagram.places import Item, Key, Placed, Size, Wire, turned

EDGE = 12.0
"""Within a frame, around what is in it."""


def laid_out(diagram: Diagram, box_size: Callable[[Box], Size], title_size: Callable[[Frame], Size]) -> Placed:
    """Places for a diagram that flows in its direction; sizes are (width, height)."""
    sideways, reverse = diagram.direction in ("LR", "RL"), diagram.direction in ("BT", "RL")
    layout = _Layout(box_size, title_size, sideways=sideways, reverse=reverse, mirrored=False)
    placed = layout.level(diagram.parts, [(edge.source, edge.target) for edge in diagram.edges]).inner
    assert placed is not None
    return turned(placed, sideways=sideways, reverse=reverse)


class _Layout:
    """The layout of levels within each other. `mirrored`: edges that pass boxes are rather at the left."""

    def __init__(
        self,
        box_size: Callable[[Box], Size],
        title_size: Callable[[Frame], Size],
        *,
        sideways: bool,
        reverse: bool,
        mirrored: bool,
    ) -> None:
        self.box_size, self.title_size = box_size, title_size
        self.sideways, self.reverse, self.mirrored = sideways, reverse, mirrored

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
        items = {("part", part.id): self.item(part, inner[("part", part.id)]) for part in parts}
        ports = {key: Item(0, 0, 0, 0) for wire in wires for key in (wire.source, wire.target) if key[0] != "part"}
        entries = {key: item for key, item in ports.items() if key[0] == "in"}
        exits = {key: item for key, item in ports.items() if key[0] == "out"}
        level = Level({**entries, **items, **exits}, list(wires), framed=frame is not None, mirrored=self.mirrored)
        if frame:
            return level.framed(frame.id, *self._around(level, frame))
        if pairs := nested(level):
            back = _Layout(
                self.box_size, self.title_size, sideways=self.sideways, reverse=not self.reverse, mirrored=True
            )
            second = [part for part in parts if level.rank["part", part.id] >= pairs[-1].last]
            placed = bent(level, pairs, {("part", part.id): back.item(part, inner["part", part.id]) for part in second})
            return Item(placed.width, placed.height, 0, inner=placed)
        level.divide(sideways=self.sideways)
        return level.framed(None, 0, 0, 0, 0)

    def item(self, part: Part, edges: Sequence[tuple[str, str]]) -> Item:
        """Lay out a part."""
        if isinstance(part, Frame):
            return self.level(part.parts, edges, part)
        width, height = self.box_size(part)
        across, along = (height, width) if self.sideways else (width, height)
        return Item(across, along, across / 2)

    def _around(self, level: "Level", frame: Frame) -> tuple[float, float, float, float]:
        """What a frame takes before and after its content, across and along; its title is at the top left."""
        width, height = self.title_size(frame)
        if self.sideways:
            return height, EDGE, 0, max(0.0, width + 2 * EDGE - level.along)
        passing = [key for key in level.items if key[0] == ("out" if self.reverse else "in")]
        free = min((level.place(key) for key in passing), default=level.right) - level.left
        before = max(EDGE, width + EDGE - free)
        return before, EDGE, *((0, height - EDGE) if self.reverse else (height - EDGE, 0))
