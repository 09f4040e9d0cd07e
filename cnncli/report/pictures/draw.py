"""Figures to drawings."""

from collections.abc import Sequence
from functools import singledispatch
from math import dist, isfinite

from cnncli.report.pictures.axes import Axis, bounds, tick_texts
from cnncli.report.pictures.drawing import (
    LINE,
    Circle,
    Drawing,
    Item,
    Label,
    Path,
    Raster,
    Rect,
    shortened,
    text_width,
    wrapped,
)
from cnncli.report.pictures.figures import (
    BarChart,
    Figure,
    Heatmap,
    LineChart,
    ParallelCoordinates,
    Series,
    Sheet,
    Tile,
    whole_ticks,
)
from cnncli.report.pictures.heatmap import draw_heatmap
from cnncli.report.pictures.parallel import draw_parallel
from cnncli.report.pictures.parts import EDGE, SMALL, TITLE, add_note, add_title
from cnncli.report.pictures.theme import series

HEIGHT, SQUARE = 230.0, 420.0
"""The height of a chart's frame; of one whose axes have the same bounds."""
GAP = 8.0
CLOSE = 0.4
"""Distance of points of a line of which one is enough, in pixels."""


@singledispatch
def draw(figure: Figure) -> Drawing:
    """The drawing of a figure."""
    raise TypeError(type(figure))


@draw.register
def _(figure: LineChart) -> Drawing:
    values = [value for line in figure.series for value in line.y]
    x_bounds = figure.x_bounds or bounds([x for line in figure.series for x in line.x], log=figure.x_log)
    y_bounds = figure.y_bounds or bounds(values, log=figure.y_log, rounded=True)
    plot = _Plot(figure, _legend(figure.series), figure.ticks, (*x_bounds, figure.x_log), (*y_bounds, figure.y_log))
    if figure.diagonal:
        plot.diagonal()
    for line in figure.series:
        plot.line(line)
    for mark in figure.marks:
        plot.mark(mark.x, mark.y, mark.text, series(mark.color))
    return plot.drawing()


@draw.register
def _(figure: BarChart) -> Drawing:
    y_bounds = figure.y_bounds or bounds([0.0, *(bar.value for bar in figure.bars)], rounded=True)
    plot = _Plot(figure, [], None, (*figure.x_bounds, False), (*y_bounds, False))
    for bar in figure.bars:
        left, right, top = plot.x.at(bar.start), plot.x.at(bar.end), plot.y.at(bar.value)
        plot.items.append(
            Rect(
                left + 1,
                top,
                right - left - 2,
                plot.y.start - top,
                "series-1",
                opacity=0.3 if bar.faint else 0.75,
                tip=bar.shown,
            )
        )
    if figure.diagonal:
        plot.diagonal()
    return plot.drawing()


draw.register(Heatmap)(draw_heatmap)
draw.register(ParallelCoordinates)(draw_parallel)


@draw.register
def _(figure: Sheet) -> Drawing:
    tall = max((tile.image.height for tile in figure.tiles), default=1)
    wide = max((tile.image.width for tile in figure.tiles), default=1)
    scale = figure.size / max(tall, wide)
    width, height = wide * scale, tall * scale
    lines = max((len(tile.captions) for tile in figure.tiles), default=0)
    column, row = width + GAP, height + lines * SMALL * LINE + GAP + 4
    items: list[Item] = []
    top = add_title(items, figure.title, EDGE)
    for number, head in enumerate(figure.heads):
        x = EDGE + number * column + width / 2
        items.append(Label(x, top + SMALL, shortened(head, width, SMALL), SMALL, "muted", "middle"))
    top += SMALL * LINE + 4 if figure.heads else 0
    for number, tile in enumerate(figure.tiles):
        y, x = top + number // figure.columns * row, EDGE + number % figure.columns * column
        items += _tile(tile, x, y, width, scale)
    rows = -(-len(figure.tiles) // figure.columns)
    total = max(2 * EDGE + figure.columns * column - GAP, 2 * EDGE + text_width(figure.title, TITLE, bold=True))
    bottom = _chips(items, figure.legend, top + rows * row, total)
    bottom = add_note(items, figure.note, bottom)
    return Drawing(total, bottom + EDGE, items, figure.title, figure.note)


def _tile(tile: Tile, x: float, y: float, width: float, scale: float) -> list[Item]:
    w, h = tile.image.width * scale, tile.image.height * scale
    left = x + (width - w) / 2
    items: list[Item] = [Raster(left, y, w, h, tile.image, scale < 2, tile.tip, tile.link)]
    items.append(Rect(left, y, w, h, stroke="grid"))
    for number, caption in enumerate(tile.captions):
        role = "bad" if tile.wrong and number == 1 else "ink" if number == 0 else "muted"
        line = y + h + (number + 1) * SMALL * LINE
        items.append(Label(x + width / 2, line, shortened(caption, width, SMALL), SMALL, role, "middle", tip=caption))
    return items


class _Plot:
    """The frame of a chart with axes and legend, and what is drawn in it."""

    def __init__(
        self,
        figure: LineChart | BarChart,
        legend: Sequence[Series],
        ticks: Sequence[float] | None,
        x_range: tuple[float, float, bool],
        y_range: tuple[float, float, bool],
    ) -> None:
        self.figure = figure
        self.items: list[Item] = []
        top = add_title(self.items, shortened(figure.title, figure.width - 2 * EDGE, TITLE, bold=True), EDGE)
        top = self._legend(legend, top)
        bottom = top + (min(SQUARE, 0.75 * figure.width) if x_range == y_range else HEIGHT)
        self.y = Axis(*y_range[:2], bottom, top, y_range[2])
        y_ticks = self.y.ticks()
        texts = tick_texts(y_ticks)
        left = EDGE + 20 + max((text_width(text, SMALL) for text in texts), default=0)
        self.x = Axis(*x_range[:2], left, figure.width - EDGE - 8, x_range[2])
        for value, text in zip(y_ticks, texts, strict=True):
            y = self.y.at(value)
            self.items.append(Path([(left, y), (self.x.end, y)], "grid", 1))
            self.items.append(Label(left - 6, y + SMALL / 3, text, SMALL, "muted", "end"))
        x_ticks = [tick for tick in ticks if x_range[0] <= tick <= x_range[1]] if ticks else self._x_ticks()
        for value, text in zip(x_ticks, tick_texts(x_ticks), strict=True):
            x = self.x.at(value)
            self.items.append(Path([(x, bottom), (x, bottom + 4)], "muted", 1))
            self.items.append(Label(x, bottom + 17, text, SMALL, "muted", "middle"))
        self.items.append(Path([(left, bottom), (self.x.end, bottom)], "muted", 1))
        middle = (left + self.x.end) / 2
        self.items.append(Label(middle, bottom + 34, figure.x_label, SMALL, "muted", "middle"))
        center = (top + bottom) / 2
        y_label = shortened(figure.y_label, bottom - top, SMALL)
        self.items.append(Label(EDGE + 6, center, y_label, SMALL, "muted", "middle", angle=-90))
        self.bottom = bottom + 40

    def _x_ticks(self) -> Sequence[float]:
        """Round numbers; of epochs and the like only integers."""
        found = self.x.ticks(8)
        return whole_ticks(found, self.figure) if isinstance(self.figure, LineChart) else found

    def _legend(self, lines: Sequence[Series], top: float) -> float:
        """Names with samples of their lines, in as many rows as they need; the y below."""
        x, y = EDGE, top + SMALL
        for line in lines:
            width = 30 + text_width(line.name, SMALL)
            if x > EDGE and x + width > self.figure.width - EDGE:
                x, y = EDGE, y + SMALL * 1.5
            self.items.append(Path([(x, y - 4), (x + 20, y - 4)], series(line.color), 2, dashed=line.dashed))
            self.items.append(Label(x + 25, y, shortened(line.name, self.figure.width - 3 * EDGE, SMALL), SMALL))
            x += width + 14
        return y + 12 if lines else top + 4

    def line(self, line: Series) -> None:
        """Draw a line, interrupted where a value is not finite, and its dots with what they tell."""
        role = series(line.color)
        parts: list[list[tuple[float, float]]] = [[]]
        dots: list[Item] = []
        for x, y in zip(line.x, line.y, strict=True):
            if not isfinite(y) or (self.y.log and y <= 0):
                parts.append([])
                continue
            point = self.x.at(x), self.y.at(min(max(y, self.y.low), self.y.high))
            if len(parts[-1]) > 1 and dist(*parts[-1][-2:]) < CLOSE and dist(parts[-1][-2], point) < CLOSE:
                parts[-1].pop()  # nobody sees it
            parts[-1].append(point)
            if line.marker:
                told = f"{line.name}: {y:.4g} ({self.figure.x_label} {x:g})"
                dots.append(Circle(*point, 2.5, role, tip=told))
        self.items += [Path(part, role, 2, dashed=line.dashed) for part in parts if len(part) > 1]
        self.items += dots

    def mark(self, x: float, y: float, text: str, role: str) -> None:
        """Point out a point: a faint vertical line, a ring, and the text at the end of the line that is far from it."""
        px, py = self.x.at(x), self.y.at(min(max(y, self.y.low), self.y.high))
        self.items.append(Path([(px, self.y.start), (px, self.y.end)], "muted", 1, dashed=True))
        self.items.append(Circle(px, py, 5, None, role))
        right = px + 8 + text_width(text, SMALL) > self.x.end
        line = self.y.start - 6 if py < (self.y.start + self.y.end) / 2 else self.y.end + SMALL
        self.items.append(Label(px - 6 if right else px + 6, line, text, SMALL, "ink", "end" if right else "start"))

    def diagonal(self) -> None:
        """A faint line from corner to corner."""
        self.items.append(Path([(self.x.start, self.y.start), (self.x.end, self.y.end)], "muted", 1, dashed=True))

    def drawing(self) -> Drawing:
        """The chart."""
        width = self.figure.width
        bottom = add_note(self.items, wrapped(self.figure.note, width - 2 * EDGE, SMALL), self.bottom)
        return Drawing(width, bottom + GAP, self.items, self.figure.title, self.figure.note, (self.x, self.y))


def _legend(lines: Sequence[Series]) -> list[Series]:
    """What needs a legend: several lines, or one with a name of its own."""
    return [line for line in lines if line.name]


def _chips(items: list[Item], legend: Sequence[tuple[str, int]], top: float, width: float) -> float:
    """Add names behind squares of their colors, in as many rows as they need; the y below."""
    x = EDGE
    for name, number in legend:
        shown = shortened(name, width - 3 * EDGE, SMALL)
        needed = 16 + text_width(shown, SMALL)
        if x > EDGE and x + needed > width - EDGE:
            x, top = EDGE, top + SMALL * 1.6
        items.append(Rect(x, top, SMALL, SMALL, series(number), radius=2))
        items.append(Label(x + 16, top + SMALL - 1.5, shown, SMALL))
        x += needed + 14
    return top + SMALL * 2 if legend else top
