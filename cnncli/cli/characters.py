"""Charts drawn with characters on standard output."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnncli.escaping import one_line
from cnncli.report.terminal.figures import coloured, drawable
from cnncli.report.terminal.output import echo_raw

if TYPE_CHECKING:
    from cnncli.report.pictures.figures import Figure

ROWS = 18
"""Lines of a chart."""


def draw_in_characters(figures: "Sequence[Figure]") -> bool:
    """Draw those figures that have such a form, with their notes; whether there was one."""
    lines = drawable(line for figure in figures for line in _lines(figure))
    if lines:
        echo_raw("\n".join(lines))
    return bool(lines)


def _lines(figure: "Figure") -> list[str]:
    """The figure with characters; nothing if it has no such form."""
    from cnncli.report.pictures.characters import bar_lines, chart_lines
    from cnncli.report.pictures.figures import BarChart, LineChart

    width = shutil.get_terminal_size().columns - 1
    if isinstance(figure, LineChart):
        lines = chart_lines(figure, width, ROWS, colored=coloured())
    elif isinstance(figure, BarChart):
        lines = bar_lines(figure, width, ROWS)
    else:
        return []
    return [*lines, *(one_line(line)[:width] for line in figure.note.split("\n") if line)]
