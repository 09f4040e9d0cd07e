"""Matrices of shaded cells."""

from math import sqrt

from cnncli.report.pictures.axes import round_step
from cnncli.report.pictures.drawing import Drawing, Group, Item, Label, Raster, Rect, shortened, text_width
from cnncli.report.pictures.figures import Heatmap
from cnncli.report.pictures.parts import EDGE, SMALL, TITLE, add_note, add_title
from cnncli.report.pictures.theme import rgb

LARGEST, SMALLEST = 44.0, 2.0
"""Sides of a cell."""
SIDE = 620.0
"""What the cells together may take, unless they would be smaller than SMALLEST."""
WIDEST_NAME = 150.0
DARK = 0.7
"""The opacity of a cell above which its text is in the color of the paper: both can be read best, light and dark."""
MOST_CELLS = 60 * 60
"""With more, the cells are one image: a viewer is slow with a million rectangles."""


def draw_heatmap(figure: Heatmap) -> Drawing:
    """The drawing of a matrix. Where cells are too small for their names, some of the names are left out."""
    down, across = len(figure.rows), len(figure.columns)
    cell = min(LARGEST, max(SMALLEST, SIDE / max(down, across, 1)))
    left = EDGE + 24 + max((_name_width(name) for name in figure.rows), default=0) + 6
    upright = all(text_width(name, SMALL) <= cell * _every(cell) - 4 for name in figure.columns)
    names = SMALL + 6 if upright else max((_name_width(name) for name in figure.columns), default=0) + 8
    items: list[Item] = []
    top = add_title(items, figure.title, EDGE)
    items.append(Label(left + across * cell / 2, top + SMALL, figure.column_label, SMALL, "muted", "middle"))
    top += SMALL * 1.8 + names
    middle = top + down * cell / 2
    items.append(Label(EDGE + 8, middle, figure.row_label, SMALL, "muted", "middle", angle=-90))
    items += _names(figure, left, top, cell, upright=upright)
    items += _image(figure, left, top, cell) if down * across > MOST_CELLS else _cells(figure, left, top, cell)
    items.append(Rect(left, top, across * cell, down * cell, stroke="muted"))
    bottom = add_note(items, figure.note, top + down * cell + 8)
    width = max(left + across * cell, EDGE + text_width(figure.title, TITLE, bold=True))
    width = max(width, *(EDGE + text_width(line, SMALL) for line in figure.note.split("\n")))
    return Drawing(width + EDGE, bottom + EDGE, items, figure.title, figure.note)


def _names(figure: Heatmap, left: float, top: float, cell: float, *, upright: bool) -> list[Item]:
    items: list[Item] = []
    every = _every(cell)
    for number, name in [*enumerate(figure.rows)][::every]:
        y = top + (number + 0.5) * cell + SMALL / 3
        items.append(Label(left - 6, y, shortened(name, WIDEST_NAME, SMALL), SMALL, "ink", "end", tip=name))
    for number, name in [*enumerate(figure.columns)][::every]:
        x = left + (number + 0.5) * cell
        shown = shortened(name, WIDEST_NAME, SMALL)
        if upright:
            items.append(Label(x, top - 6, shown, SMALL, "ink", "middle", tip=name))
        else:
            items.append(Label(x + SMALL / 3, top - 6, shown, SMALL, "ink", "start", angle=-90, tip=name))
    return items


def _every(cell: float) -> int:
    """Of how many rows or columns one has room for its name: a round number."""
    return 1 if cell >= SMALL else round(round_step(1.3 * SMALL / cell))


def _cells(figure: Heatmap, left: float, top: float, cell: float) -> list[Item]:
    items: list[Item] = []
    for i, shares in enumerate(figure.shares):
        for j, share in enumerate(shares):
            text = figure.texts[i][j] if figure.texts else ""
            x, y = left + j * cell, top + i * cell
            tip = f"{figure.rows[i]} → {figure.columns[j]}: {text or share}"
            shade = _shade(share)
            shown: list[Item] = []
            if shade:
                shown.append(Rect(x, y, cell, cell, "accent", None, shade, tip=tip))
            if text and text_width(text, SMALL) <= cell - 2:
                role = "paper" if shade > DARK else "ink"
                shown.append(Label(x + cell / 2, y + cell / 2 + SMALL / 3, text, SMALL, role, "middle", tip=tip))
            link = figure.links.get((i, j), "")
            items += [Group(0, 0, shown, link, tip)] if link else shown
    return items


def _image(figure: Heatmap, left: float, top: float, cell: float) -> list[Item]:
    """All cells as one image, a pixel each: its opacity is the share, so that it can be on light
    and on dark paper; its color is between those for either.
    """
    from PIL import Image

    down, across = len(figure.rows), len(figure.columns)
    image = Image.new("P", (across, down))
    shade = [(light + dark) // 2 for light, dark in zip(rgb("accent"), rgb("accent", dark=True), strict=True)]
    image.putpalette(shade * 256)
    image.info["transparency"] = bytes(range(256))
    image.putdata([round(255 * _shade(share)) for shares in figure.shares for share in shares])
    return [Raster(left, top, across * cell, down * cell, image)]


def _shade(share: float | None) -> float:
    """The opacity of a cell: the root, because what is rare must be seen beside what is usual."""
    return sqrt(share) if share else 0.0


def _name_width(name: str) -> float:
    return min(WIDEST_NAME, text_width(name, SMALL)) + 2
