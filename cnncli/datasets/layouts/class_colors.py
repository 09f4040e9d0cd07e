"""Tables of classes and their colors in masks: class_dict.csv or classes.csv, with the columns name, r, g and b."""

import csv
from collections.abc import Mapping
from pathlib import Path

from cnncli.datasets.section import MOST_MASKED
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError
from cnncli.system.files import read_bounded

TABLES = ("class_dict.csv", "classes.csv", "class_dict_seg.csv", "label_colors.csv")
COLUMNS = ("name", "r", "g", "b")
MOST_BYTES = 1 << 20
Color = tuple[int, int, int]


def read(root: Path) -> tuple[str, Mapping[str, Color]]:
    """The name of a folder's table and the colors of its classes; "" and none where there is no such table.

    Raises CnncliError for one with such columns that does not give each class a color of its own.
    """
    for name in TABLES:
        path = root / name
        if path.is_file() and (colors := _colors(path)):
            return name, colors
    return "", {}


def note(table: str, names: Mapping[str, Color]) -> str:
    """What is told of a table."""
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    return f"classes and their colors are those of {table}: {listed}"


def _colors(path: Path) -> dict[str, Color]:
    try:
        lines = read_bounded(path, MOST_BYTES).decode("utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None
    rows = csv.reader(lines)
    columns = [cell.strip().lower() for cell in next(rows, [])]
    if not set(COLUMNS) <= set(columns):
        return {}
    found: dict[str, Color] = {}
    for row in rows:
        cells = dict(zip(columns, map(str.strip, row), strict=False))
        if not any(cells.values()):
            continue
        name, color = composed(cells.get("name", "")), _color(cells)
        if not name or not name.isprintable() or color is None or name in found or color in found.values():
            raise CnncliError(
                f"{path}: line {rows.line_num} must have a name and r, g, b from 0 to {MOST_MASKED}, and each once"
            )
        found[name] = color
    if len(found) > MOST_MASKED + 1:
        raise CnncliError(f"{path}: must have at most {MOST_MASKED + 1} classes; it has {len(found):,}")
    return found


def _color(cells: Mapping[str, str]) -> Color | None:
    levels = [int(cells[band]) if cells.get(band, "").isdecimal() and len(cells[band]) < 4 else -1 for band in "rgb"]
    red, green, blue = levels
    return (red, green, blue) if min(levels) >= 0 and max(levels) <= MOST_MASKED else None
