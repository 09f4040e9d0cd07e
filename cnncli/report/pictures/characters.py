"""Charts drawn with characters, for a terminal: lines of Braille dots, eight to a character."""

from collections.abc import Sequence
from itertools import groupby
from math import inf, isfinite

import click

from cnncli.escaping import one_line
from cnncli.report.pictures.axes import Axis, bounds, tick_texts
from cnncli.report.pictures.figures import BarChart, LineChart, Series, whole_ticks

COLORS = ("blue", "yellow", "green", "magenta", "cyan", "red", "white")
"""Of the series, which the user's terminal makes readable on its background."""
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a Braille character by row and column of its dots."""
BRAILLE = 0x2800
DASH = 4
"""Dots on and off of a dashed line."""
EIGHTHS = " ▁▂▃▄▅▆▇█"
LEAST_WIDTH, LEAST_HEIGHT = 24, 5
MOST_COLUMNS = 60
"""Of a bar chart: more makes it no clearer."""


def chart_lines(chart: LineChart, width: int, height: int, *, colored: bool) -> list[str]:
    """The chart in at most `height` lines of at most `width` characters, colors not counted.

    `colored`: with the terminal's colors.
    """
    width, height = max(width, LEAST_WIDTH), max(height, LEAST_HEIGHT)
    legend = _legend(chart.series, width, colored=colored)
    head = [_title(chart, width), *legend]
    x_bounds = chart.x_bounds or bounds([x for line in chart.series for x in line.x], log=chart.x_log)
    values = [y for line in chart.series for y in line.y]
    y_bounds = chart.y_bounds or bounds(values, log=chart.y_log, rounded=True)
    rows = max(2, height - len(head) - 2)
    y = Axis(*y_bounds, 4 * rows - 1, 0, chart.y_log)
    ticks = y.ticks(max(2, rows // 2))
    texts = dict(zip((int(y.at(tick)) // 4 for tick in ticks), tick_texts(ticks), strict=True))
    margin = max(map(len, texts.values()), default=0) + 1
    columns = width - margin - 1
    x = Axis(*x_bounds, 0, 2 * columns - 1, chart.x_log)
    canvas = _Canvas(columns, rows)
    for line in chart.series:
        canvas.draw(line, x, y)
    body = [
        f"{texts.get(number, '').rjust(margin - 1)} {'┤' if number in texts else '│'}{text}"
        for number, text in enumerate(canvas.lines(colored=colored))
    ]
    return [*head, *body, *_x_axis(x, columns, margin, whole_ticks(_x_ticks(x, columns), chart))]


def bar_lines(chart: BarChart, width: int, height: int) -> list[str]:
    """A bar chart in at most `height` lines, each bar where its numbers are."""
    rows = max(2, height - 3)
    low, high = chart.y_bounds or bounds([0.0, *(bar.value for bar in chart.bars)], rounded=True)
    ticks = dict(zip((0, rows - 1), tick_texts([high, low]), strict=True))
    margin = max(map(len, ticks.values())) + 1
    columns = min(MOST_COLUMNS, max(width, LEAST_WIDTH) - margin - 1)
    filled = _filled(chart, columns)
    lines = []
    for row in range(rows):
        cells = [_column((value - low) / (high - low) * rows - (rows - 1 - row)) for value in filled]
        lines.append(f"{ticks.get(row, '').rjust(margin - 1)} │{''.join(cells)}".rstrip())
    x = Axis(*chart.x_bounds, 0, 2 * columns - 1)
    return [_title(chart, width), *lines, *_x_axis(x, columns, margin, _x_ticks(x, columns))]


def _filled(chart: BarChart, columns: int) -> list[float]:
    """For each column of characters, the value of the bar that its middle is in; else -inf."""
    low, high = chart.x_bounds
    middles = [low + (column + 0.5) / columns * (high - low) for column in range(columns)]
    return [next((bar.value for bar in chart.bars if bar.start <= x < bar.end), -inf) for x in middles]


def _column(filled: float) -> str:
    return EIGHTHS[round(8 * min(1.0, max(0.0, filled)))]


class _Canvas:
    """Characters of 2 × 4 dots; the color of a character is that of the series drawn last."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.bits = [[0] * columns for _ in range(rows)]
        self.series = [[0] * columns for _ in range(rows)]

    def draw(self, line: Series, x: Axis, y: Axis) -> None:
        """Draw a series, interrupted where a value is not finite."""
        before: tuple[float, float] | None = None
        on = 0
        for at, value in zip(line.x, line.y, strict=True):
            if not isfinite(value) or (y.log and value <= 0):
                before = None
                continue
            point = x.at(at), y.at(min(max(value, y.low), y.high))
            start = before or point
            steps = max(1, round(max(abs(point[0] - start[0]), abs(point[1] - start[1]))))
            for step in range(steps + 1):
                on += 1
                if not line.dashed or on % (2 * DASH) < DASH or before is None:
                    share = step / steps
                    self._dot(start[0] + share * (point[0] - start[0]), start[1] + share * (point[1] - start[1]), line)
            before = point

    def _dot(self, x: float, y: float, line: Series) -> None:
        column, row = round(x), round(y)
        if 0 <= column < 2 * self.columns and 0 <= row < 4 * self.rows:
            self.bits[row // 4][column // 2] |= DOTS[row % 4][column % 2]
            self.series[row // 4][column // 2] = line.color

    def lines(self, *, colored: bool) -> list[str]:
        """The rows as text, without blanks at their ends."""
        return [self._line(bits, colors, colored=colored) for bits, colors in zip(self.bits, self.series, strict=True)]

    def _line(self, bits: Sequence[int], series: Sequence[int], *, colored: bool) -> str:
        text = "".join(chr(BRAILLE + cell) if cell else " " for cell in bits).rstrip()
        if not colored:
            return text
        runs = groupby(zip(text, series, strict=False), key=lambda cell: cell[1])
        return "".join(click.style("".join(cell[0] for cell in run), fg=_color(number)) for number, run in runs)


def _legend(lines: Sequence[Series], width: int, *, colored: bool) -> list[str]:
    """`━━ validation   ╌╌ training`, as many as there is room for."""
    shown, used = [], 0
    for line in lines:
        name, sample = one_line(line.name), "╌╌" if line.dashed else "━━"
        used += len(name) + 6
        if not name or used > width:
            continue
        shown.append(f"{click.style(sample, fg=_color(line.color)) if colored else sample} {name}")
    return ["   ".join(shown)] if shown else []


def _title(chart: LineChart | BarChart, width: int) -> str:
    """The title, which also says what the x axis has: there is no room below it."""
    return one_line(f"{chart.title} by {chart.x_label}")[:width]


def _color(series: int) -> str:
    return COLORS[series % len(COLORS)]


def _x_ticks(x: Axis, columns: int) -> list[float]:
    return x.ticks(max(2, columns // 10))


def _x_axis(x: Axis, columns: int, margin: int, ticks: Sequence[float]) -> list[str]:
    """The axis with its ticks, and a line of their numbers."""
    rule, numbers = ["─"] * columns, [" "] * (columns + margin + 1)
    for tick, text in zip(ticks, tick_texts(ticks), strict=True):
        place = min(columns - 1, int(x.at(tick)) // 2)
        rule[place] = "┴"
        start = max(0, min(len(numbers) - len(text), margin + 1 + place - len(text) // 2))
        numbers[start : start + len(text)] = text
    return [f"{' ' * margin}└{''.join(rule)}", "".join(numbers).rstrip()]
