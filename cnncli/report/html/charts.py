"""Figures as SVG elements of the page, and what the cursor over a chart shows."""

import json
from dataclasses import replace
from math import isfinite
from typing import TypeVar

from markupsafe import Markup

from cnncli.report.html.page import Picture
from cnncli.report.pictures.draw import draw
from cnncli.report.pictures.drawing import Drawing
from cnncli.report.pictures.figures import BarChart, Figure, LineChart, Series
from cnncli.report.pictures.svg import svg
from cnncli.report.terminal.figures import figure as digits

AnyFigure = TypeVar("AnyFigure", bound=Figure)
WIDTH = 420.0
"""Of charts, in pixels."""
MOST_PLACES = 600
"""Values of x that a chart with a cursor has."""


def picture(figure: Figure, *, wide: bool = False) -> Picture:
    """The figure drawn."""
    return Picture(figure.title, element(draw(_fitting(figure))), wide=wide)


def with_cursor(figure: LineChart) -> Picture:
    """The chart drawn, with a cursor that tells the values of all series at an x."""
    fitting = _thinned(_fitting(figure))
    drawing = draw(fitting)
    return Picture(figure.title, element(drawing), _cursor(fitting, drawing))


def _thinned(figure: LineChart) -> LineChart:
    """The chart with every second, third, … x, and those of its marks and ends, if it has more than MOST_PLACES."""
    places = sorted({x for line in figure.series for x in line.x})
    every = -(-len(places) // MOST_PLACES)
    if every <= 1:
        return figure
    kept = {*places[::every], places[-1], *(mark.x for mark in figure.marks)}
    lines = [_without(line, kept) for line in figure.series]
    return replace(figure, series=lines, note=f"drawn: 1 of {every} {figure.x_label}s")


def _without(line: Series, kept: set[float]) -> Series:
    points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if x in kept]
    return replace(line, x=[x for x, _ in points], y=[y for _, y in points])


def _fitting(figure: AnyFigure) -> AnyFigure:
    """Charts that remain readable when they are shrunk to the width of a telephone."""
    return replace(figure, width=WIDTH) if isinstance(figure, LineChart | BarChart) else figure


def element(drawing: Drawing) -> Markup:
    """The drawing as an SVG element in the colors of the page."""
    return Markup(svg(drawing, styled=False))  # its texts are escaped


def _cursor(figure: LineChart, drawing: Drawing) -> str:
    """JSON: the places of the x values, what they are called, and the value of each series there; null for none."""
    assert drawing.axes
    x_axis, y_axis = drawing.axes
    values = [dict(zip(line.x, line.y, strict=True)) for line in figure.series]
    places = sorted({x for line in values for x in line})
    best = {mark.x for mark in figure.marks if mark.text}
    names = [line.name or figure.y_label for line in figure.series]
    series = [[digits(line[x]) if isfinite(line.get(x, float("nan"))) else None for x in places] for line in values]
    return json.dumps(
        {
            "label": figure.x_label,
            "x": [round(x_axis.at(x), 1) for x in places],
            "at": [f"{x:g}" for x in places],
            "best": [number for number, x in enumerate(places) if x in best],
            "names": names,
            "values": series,
            "top": round(y_axis.end, 1),
            "bottom": round(y_axis.start, 1),
        },
        separators=(",", ":"),
    )
