"""The drawing of a layer diagram."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from cnncli.report.diagram.colors import ROLES, TINT
from cnncli.report.diagram.diagram import Box, Diagram, Frame, Part
from cnncli.report.diagram.layout import laid_out
from cnncli.report.diagram.places import Area, Route
from cnncli.report.pictures.drawing import LINE, TEXT, Drawing, Item, Label, Path, Rect, arrowhead, text_width

SMALL, HEAD = 10.5, 15.0
"""Sizes of text: the lines of a box, and the title of the diagram."""
PAD, STRIP = 7.0, 5.0
"""Within a box, around its text; and the strip of color at its left."""
MARGIN = 16.0


def draw_diagram(diagram: Diagram) -> Drawing:
    """The diagram with its title and a legend of the colors in it."""
    placed = laid_out(diagram, box_size, title_size)
    legend = list(_legend(diagram))
    top = MARGIN + HEAD * 1.6 + SMALL * 2
    width = max(placed.width, text_width(diagram.title, HEAD, bold=True), _end(legend)) + 2 * MARGIN
    left = (width - placed.width) / 2
    moved = placed.moved(left, top)
    items: list[Item] = [Label(MARGIN, MARGIN + HEAD * 0.8, diagram.title, HEAD, bold=True)]
    items += legend
    boxes = {box.id: box for box in diagram.boxes}
    frames = {frame.id: frame for frame in frames_of(diagram.parts)}
    for name, area in moved.frames.items():
        items += _frame(frames[name], area)
    for route in moved.routes:
        items += _arrow(route)
    for name, area in moved.boxes.items():
        items += _box(boxes[name], area)
    told = f"{len(boxes)} boxes; " + ", then ".join(box.title for box in diagram.boxes[:40])
    return Drawing(width, top + placed.height + MARGIN, items, diagram.title, told)


def frames_of(parts: Sequence[Part]) -> Iterator[Frame]:
    """All frames, an outer one before those in it."""
    for part in parts:
        if isinstance(part, Frame):
            yield part
            yield from frames_of(part.parts)


def box_size(box: Box) -> tuple[float, float]:
    """Width and height for the texts of a box."""
    widths = [text_width(_title(box), TEXT, bold=True), *(text_width(line, SMALL) for line in box.lines)]
    return max(widths) + 2 * PAD + STRIP, TEXT * 1.25 + len(box.lines) * SMALL * LINE + 2 * PAD - 3


def title_size(frame: Frame) -> tuple[float, float]:
    """Width and height for the title of a frame."""
    return text_width(frame.title, SMALL, bold=True), SMALL * 2


def _title(box: Box) -> str:
    return f"{box.title}  ×{box.times}" if box.times > 1 else box.title


def _box(box: Box, area: Area) -> Iterator[Item]:
    x, y, width, height = area
    role = ROLES[box.kind]
    for behind in (6.0, 3.0) if box.times > 1 else ():
        yield Rect(x + behind, y + behind, width, height, "paper", role, radius=4)
    tip = ", ".join(box.layers)
    yield Rect(x, y, width, height, "paper", radius=4)
    yield Rect(x, y, width, height, role, role, TINT, radius=4, tip=tip)
    yield from _strip(box, area)
    center, line = x + STRIP + (width - STRIP) / 2, y + PAD + TEXT * 0.85
    yield Label(center, line, _title(box), TEXT, "ink", "middle", bold=True)
    for text in box.lines:
        line += SMALL * LINE
        yield Label(center, line, text, SMALL, "muted", "middle")


def _strip(box: Box, area: Area) -> Iterator[Item]:
    """The color of a layer, or the colors of the layers in a block one below the other."""
    each = area.height / len(box.kinds)
    start = 0
    for kind, run in groupby(box.kinds):
        count = len(list(run))
        yield Rect(area.x, area.y + start * each, STRIP, count * each, ROLES[kind], radius=2)
        start += count


def _frame(frame: Frame, area: Area) -> Iterator[Item]:
    yield Rect(*area, "panel", "grid", radius=6)
    yield Label(area.x + 8, area.y + SMALL * 1.4, frame.title, SMALL, "muted", bold=True)


def _arrow(route: Route) -> Iterator[Item]:
    points = list(route.points)
    yield Path(points, "muted", 1.3, curved=True)
    if route.arrow:
        yield arrowhead(points[-1], points[-2], "muted", 7)


def _legend(diagram: Diagram) -> Iterator[Rect | Label]:
    """The kinds of layers in the diagram, with their colors, if there are several."""
    present = {kind for box in diagram.boxes for kind in box.kinds}
    x, y = MARGIN, MARGIN + HEAD * 1.6 + SMALL * 0.5
    for kind, role in ROLES.items():
        if kind in present - {"input"}:
            yield Rect(x, y - 8, 10, 10, role, role, 0.35, radius=2)
            yield Label(x + 14, y + 1, kind, SMALL, "muted")
            x += 14 + text_width(kind, SMALL) + 14


def _end(legend: Sequence[Rect | Label]) -> float:
    return max(
        (item.x + text_width(item.text, SMALL) - MARGIN for item in legend if isinstance(item, Label)), default=0
    )
