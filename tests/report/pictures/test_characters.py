"""Charts of characters: dots where the numbers are, within the width, with and without colors."""

import io
import re
import sys
from math import nan

import pytest

from cnncli.report.pictures.characters import bar_lines, chart_lines
from cnncli.report.pictures.figures import Bar, BarChart, LineChart, Series
from cnncli.report.terminal.figures import drawable
from tests.report.terminal import screen

COLORS = re.compile(r"\x1b\[[\d;]*m")


def chart(y: list[float], *more: Series) -> LineChart:
    return LineChart("Loss", "epoch", "loss", [Series("training", list(range(1, len(y) + 1)), y), *more])


def dots(line: str) -> list[int]:
    """The columns of Braille characters."""
    return [column for column, letter in enumerate(line) if "\u2801" <= letter <= "\u28ff"]


def test_a_falling_line_goes_from_the_upper_left_to_the_lower_right() -> None:
    lines = chart_lines(chart([4.0, 3.0, 2.0, 1.0, 0.0]), 40, 12, colored=False)
    assert lines[0] == "Loss by epoch"
    assert lines[1] == "━━ training"
    drawn = [(row, column) for row, line in enumerate(lines) for column in dots(line)]
    assert drawn == sorted(drawn)
    assert drawn[0][1] < 6
    assert drawn[-1][1] > 34
    columns = [column for _, column in drawn]
    assert columns == sorted(columns), "each row is further right than the one above"


@pytest.mark.parametrize(("width", "height"), [(40, 12), (80, 18), (24, 5), (10, 2), (200, 50)])
def test_it_keeps_to_its_size(width: int, height: int) -> None:
    lines = chart_lines(chart([1000.5, nan, 20.0, 3.0]), width, height, colored=False)
    assert max(map(len, lines)) <= max(width, 24)
    assert len(lines) <= max(height, 6)


def test_colors_add_nothing_but_colors() -> None:
    figure = chart([3.0, 2.0, 1.0], Series("validation", [1, 2, 3], [1.0, 2.0, 3.0], 1, dashed=True))
    plain, colored = (chart_lines(figure, 60, 14, colored=colored) for colored in (False, True))
    assert [COLORS.sub("", line) for line in colored] == plain
    assert any("\x1b[" in line for line in colored)
    assert not any("\x1b[" in line for line in plain)
    assert screen("\r\n".join(plain))[1] == "━━ training   ╌╌ validation"


@pytest.mark.parametrize(("encoding", "term"), [("latin-1", "xterm"), ("ascii", "xterm"), ("utf-8", "linux")])
def test_a_terminal_without_braille_gets_asterisks(encoding: str, term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    monkeypatch.setenv("TERM", term)
    figure = chart([3.0, 2.0, 1.0], Series("validation", [1, 2, 3], [1.0, 2.0, 3.0], 1, dashed=True))
    lines = drawable(chart_lines(figure, 40, 10, colored=False))
    assert lines[1] == "** training   -- validation"
    assert any("*" in line for line in lines[2:])
    bars = BarChart("Calibration", "probability", "right", [Bar(0, 0.5, 0.3, ""), Bar(0.5, 1, 0.8, "")], (0, 1), (0, 1))
    assert "".join([*lines, *drawable(bar_lines(bars, 40, 10))]).isascii()


def test_names_do_not_steer_the_terminal() -> None:
    hostile = "a\x1b]0;owned\x07\n\u202e"
    lines = chart_lines(LineChart(hostile, "epoch", "loss", [Series(hostile, [1, 2], [1, 2])]), 60, 8, colored=False)
    assert lines[0] == r"a\x1b]0;owned\x07\n\u202e by epoch"
    assert lines[1] == r"━━ a\x1b]0;owned\x07\n\u202e"


def test_nothing_to_draw_is_an_empty_frame() -> None:
    lines = chart_lines(chart([nan, nan]), 40, 10, colored=False)
    assert not any(dots(line) for line in lines)
    assert not any(dots(line) for line in chart_lines(chart([]), 40, 10, colored=False))


def test_bars_are_where_their_numbers_are() -> None:
    """The first half has no bar."""
    bars = [Bar(0.5, 0.75, 1.0), Bar(0.75, 1.0, 0.25)]
    lines = bar_lines(BarChart("Calibration", "p", "share", bars, y_bounds=(0, 1)), 43, 11)
    columns = list(zip(*(line.split("│")[1].ljust(40) for line in lines if "│" in line), strict=True))
    heights = [sum(" ▁▂▃▄▅▆▇█".index(letter) for letter in column) / 8 for column in columns]
    assert heights == [0] * 20 + [8] * 10 + [2] * 10


def test_epochs_are_whole() -> None:
    lines = chart_lines(chart([4.0, 3.0, 2.0, 1.0]), 80, 10, colored=False)
    assert lines[-1].split() == ["1", "2", "3", "4"]
