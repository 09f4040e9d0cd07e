"""The picture of a terminal: each character in its column, styles as classes, the moment that was asked for."""

from xml.etree import ElementTree

from pytest import approx

from tests.report.screenshot import MARGIN, WIDTH, during, svg
from tests.report.terminal import cells, screen

CLOSED = "\r\x1b[1A\x1b[J\x1b[?25h"
"""How a region of two lines is taken away."""
TEXT = "{http://www.w3.org/2000/svg}text"


def test_parts_of_a_line_stand_in_their_columns():
    picture = ElementTree.fromstring(svg(cells("\x1b[32m\x1b[1mab\x1b[0m c<&  d")))
    parts = [
        (part.text, part.get("class"), float(part.get("x")), float(part.get("textLength")))
        for part in picture.iter(TEXT)
    ]
    assert parts == [
        ("ab", "green bold", MARGIN, 2 * WIDTH),
        ("c<&", None, MARGIN + 3 * WIDTH, approx(3 * WIDTH)),
        ("d", None, MARGIN + 8 * WIDTH, WIDTH),
    ]


def test_the_moment_is_the_last_drawing_in_an_epoch():
    frames = "\x1b[?25lbar 1\nrate\x1b[J\r\x1b[1Abar 2\x1b[K\nrate\x1b[J"
    written = f"begin\n{frames}{CLOSED}epoch 1\n{frames}{CLOSED}epoch 2\n"
    assert screen(during(written, 1)) == ["begin", "bar 2", "rate"]
    assert screen(during(written, 2)) == ["begin", "epoch 1", "bar 2", "rate"]


def test_a_style_ends_where_it_is_reset():
    assert [cell.style for cell in cells("a\x1b[2mb\x1b[0mc")[0]] == [(), ("2",), ()]
