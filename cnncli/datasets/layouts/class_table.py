"""Tables of the classes that masks show.

class_dict.csv, classes.csv    name, r, g, b: also the colors (CamVid)
_classes.csv                   Pixel Value, Class (Roboflow), also in the folder of a split
codes.txt                      a name a line, in the order of class numbers
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnncli.datasets.section import MOST_MASKED
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError
from cnncli.system.files import read_bounded

COLORED = ("class_dict.csv", "classes.csv", "class_dict_seg.csv", "label_colors.csv")
NUMBERED, LISTED = ("_classes.csv", "train/_classes.csv"), ("codes.txt",)
COLUMNS, PIXELS = ("name", "r", "g", "b"), ("pixel value", "class")
MOST_BYTES = 1 << 20
Color = tuple[int, int, int]


class ClassTable(NamedTuple):
    """`names`: of the classes by their numbers. `colors`: theirs, if it has them. `notes`: what is told of it."""

    names: tuple[str, ...] = ()
    colors: tuple[Color, ...] = ()
    notes: tuple[str, ...] = ()


def read(root: Path) -> ClassTable:
    """The table of a folder's classes; an empty one where there is none.

    Raises CnncliError for one that does not give each class a name, and a color or a number, of its own.
    """
    for names, reader in ((COLORED, _colored), (NUMBERED, _numbered), (LISTED, _listed)):
        for name in names:
            path = root / name
            if path.is_file() and (found := reader(path)).names:
                listed = ", ".join(f"{number} {one}" for number, one in enumerate(found.names))
                colors = " and their colors" if found.colors else ""
                return found._replace(notes=(f"classes{colors} are those of {name}: {listed}",))
    return ClassTable()


def is_class_table(names: Sequence[str]) -> bool:
    """Whether columns of these names are those of a table of classes."""
    return [name.strip().lower() for name in names] in ([*COLUMNS], [*PIXELS])


def _colored(path: Path) -> ClassTable:
    found: dict[str, Color] = {}
    for line, row in _rows(path, COLUMNS):
        name, color = composed(row["name"]), _color(row)
        if not name or not name.isprintable() or color is None or name in found or color in found.values():
            raise CnncliError(
                f"{path}: line {line} must have a name and r, g, b from 0 to {MOST_MASKED}, and each once"
            )
        found[name] = color
    if len(found) > MOST_MASKED + 1:
        raise CnncliError(f"{path}: must have at most {MOST_MASKED + 1} classes; it has {len(found):,}")
    return ClassTable(tuple(found), tuple(found.values()))


def _numbered(path: Path) -> ClassTable:
    found: list[str] = []
    for line, row in _rows(path, PIXELS):
        if row["pixel value"] != str(len(found)) or not row["class"].isprintable() or row["class"] in ("", *found):
            raise CnncliError(f"{path}: line {line} must have the pixel value {len(found)} and a class of its own")
        found.append(composed(row["class"]))
    return ClassTable(tuple(found))


def _listed(path: Path) -> ClassTable:
    names = [composed(line.strip()) for line in _lines(path) if line.strip()]
    usable = len(set(names)) == len(names) <= MOST_MASKED and all(map(str.isprintable, names))
    return ClassTable(tuple(names) if usable else ())


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, Mapping[str, str]]]:
    """The lines of a table with these columns; none of another."""
    rows = csv.reader(_lines(path))
    header = [cell.strip().lower() for cell in next(rows, [])]
    if not set(columns) <= set(header):
        return []
    empty = dict.fromkeys(columns, "")
    return [(rows.line_num, empty | dict(zip(header, map(str.strip, row), strict=False))) for row in rows if any(row)]


def _lines(path: Path) -> list[str]:
    try:
        return read_bounded(path, MOST_BYTES).decode("utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None


def _color(cells: Mapping[str, str]) -> Color | None:
    levels = [int(cells[band]) if cells[band].isdecimal() and len(cells[band]) < 4 else -1 for band in "rgb"]
    red, green, blue = levels
    return (red, green, blue) if min(levels) >= 0 and max(levels) <= MOST_MASKED else None
