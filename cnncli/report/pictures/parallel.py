"""Parallel coordinates: lines across vertical scales."""

from typing import Literal

from cnncli.report.pictures.drawing import Drawing, Item, Label, Path, shortened, text_width, wrapped
from cnncli.report.pictures.figures import WIDTH, ParallelCoordinates, Strand
from cnncli.report.pictures.parts import EDGE, SMALL, TITLE, add_note, add_title

HEIGHT, DISTANCE = 230.0, 130.0
"""Of the scales, and between two of them where that is wider than the chart."""


def draw_parallel(figure: ParallelCoordinates) -> Drawing:
    """The drawing of scales and the lines across them."""
    left = EDGE + 14 + max((text_width(text, SMALL) for _, text in figure.scales[0].ticks), default=0)
    right = EDGE + 50
    gaps = max(1, len(figure.scales) - 1)
    width = max(WIDTH, left + right + gaps * DISTANCE)
    distance = (width - left - right) / gaps
    items: list[Item] = []
    top = add_title(items, shortened(figure.title, width - 2 * EDGE, TITLE, bold=True), EDGE) + SMALL * 1.8
    places = [left + number * distance for number in range(len(figure.scales))]
    items += [_strand(strand, places, top) for strand in figure.strands]
    for x, scale in zip(places, figure.scales, strict=True):
        items.append(Path([(x, top), (x, top + HEIGHT)], "muted", 1))
        anchor: Literal["start", "middle"] = "start" if x == places[0] else "middle"
        at = x - left + EDGE if x == places[0] else x
        items.append(
            Label(at, top - 10, shortened(scale.name, distance - 8, SMALL), SMALL, anchor=anchor, tip=scale.name)
        )
        for height, text in scale.ticks:
            y = top + HEIGHT * (1 - height)
            items.append(Path([(x - 4, y), (x, y)], "muted", 1))
            shown = shortened(text, distance * 0.7, SMALL)
            items.append(Label(x - 7, y + SMALL / 3, shown, SMALL, "muted", "end", tip=text))
    lowest = min((height for scale in figure.scales for height, _ in scale.ticks), default=0.0)
    bottom = add_note(items, wrapped(figure.note, width - 2 * EDGE, SMALL), top + HEIGHT * (1 - min(0.0, lowest)) + 14)
    return Drawing(width, bottom + EDGE, items, figure.title, figure.note)


def _strand(strand: Strand, places: list[float], top: float) -> Item:
    """The line of a strand."""
    points = [(x, top + HEIGHT * (1 - height)) for x, height in zip(places, strand.heights, strict=True)]
    role, width = ("series-2", 2.5) if strand.strong else ("series-1", 0.8)
    return Path(points, role, width, tip=strand.tip)
