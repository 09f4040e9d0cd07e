"""Tables of image files and their classes, read without NumPy.

The class is in one column, or several columns are classes themselves, with a 1 in each that the image shows and a 0
elsewhere. What spreadsheets and other systems write is understood where it can mean one thing only: semicolons or tabs
between columns, UTF-16 with its mark, names of files as `table_files.TableFiles` finds them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cnncli.datasets.layouts import image_tables, table_columns
from cnncli.datasets.layouts.image_tables import Row, Told
from cnncli.datasets.layouts.table_columns import NONE, Columns
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import is_number
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError, DeclarationError

YES = frozenset(("1", "1.0", "true", "True", "TRUE"))
NO = frozenset(("0", "0.0", "false", "False", "FALSE"))
EITHER = YES | NO
SEPARATOR = "|"
"""Between several classes in one cell."""


class Labelled(NamedTuple):
    """A file, the names of its classes, and its split, group and weight where the table names them."""

    file: str
    classes: tuple[str, ...]
    split: str = ""
    group: str = ""
    weight: float | None = None


@dataclass(frozen=True)
class Table:
    """`rows`: a file and the names of its classes, of which there may be none or many where `several` is true.

    `exclusive`: each row has exactly one, which may be by chance.
    """

    classes: tuple[str, ...]
    several: bool
    rows: list[Labelled] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    exclusive: bool = False


def read(path: Path, data: DataSection) -> Table:
    """Read a table. What is wrong with a row is among its problems, with the line as the file.

    Raises CnncliError for a table that can't be read or whose columns are others, DeclarationError where it is not sure
    which column has the class.
    """
    found = image_tables.read(path, data, _choose, _flaws)
    columns, names = found.columns, tuple(map(composed, found.columns.label_names))
    strict = image_tables.is_strict(path, columns)
    if not columns.single:
        rows = [
            _labelled(row, tuple(name for name, cell in zip(names, row.cells, strict=True) if cell in YES))
            for row in found.rows
        ]
        exclusive = not (strict or columns.asked) and bool(rows) and all(len(row.classes) == 1 for row in rows)
        return Table(names, True, rows, found.problems, found.notes, exclusive)
    between = (data.columns or NONE).get("separator", "")
    if not (between or strict) and any(SEPARATOR in row.cells[0] for row in found.rows):
        between = SEPARATOR
        found.notes.append(f"{path.name}: images have several classes, which are separated by {SEPARATOR}")
    rows = [_labelled(row, _parts(row.cells[0], between)) for row in found.rows]
    classes = tuple(sorted({name for row in rows for name in row.classes}))
    return Table(classes, bool(between), rows, found.problems, found.notes)


def exclusive_note(table: Table) -> str:
    """What to tell about columns of classes of which each image has exactly one."""
    listed = ", ".join(table.classes)
    return (
        f"each image has a 1 in exactly one column, so that it has one class; `columns: {{label: [{listed}]}}` under "
        "`data` makes several possible"
    )


def _labelled(row: Told, classes: tuple[str, ...]) -> Labelled:
    return Labelled(row.file, classes, row.split, row.group, row.weight)


def _parts(cell: str, between: str) -> tuple[str, ...]:
    if not between:
        return (composed(cell),)
    return tuple(dict.fromkeys(composed(part.strip()) for part in cell.split(between) if part.strip()))


def _choose(path: Path, columns: Columns, rows: Sequence[Row]) -> Columns:
    """The columns with those labels that the cells are of: of several with names, the one that says the same."""
    if columns.asked or image_tables.is_strict(path, columns):
        return columns
    if columns.single:
        return columns.with_labels([_same(path, columns, rows)])
    halves = [at for at in columns.labels if 2 * sum(cells[at] in EITHER for _, cells in rows) >= len(rows)]
    if not rows:
        return columns
    if len(halves) < 2:
        raise CnncliError(table_columns.wrong(path, columns.names))
    return columns.with_labels(halves)


def _same(path: Path, columns: Columns, rows: Sequence[Row]) -> int:
    """The one column of several that have usual names: they must name the same classes, perhaps by a number.

    Raises DeclarationError where they do not.
    """
    first, *others = columns.labels
    for other in others:
        pairs = {(cells[first], cells[other]) for _, cells in rows}
        if not len({one for one, _ in pairs}) == len({two for _, two in pairs}) == len(pairs):
            choices = " or ".join(f"`columns: {{label: {name}}}`" for name in columns.label_names)
            raise DeclarationError(
                f"{path}: each of the columns {', '.join(columns.label_names)} can be the class: set "
                f"{choices} under `data`",
                "columns",
            )
    return next((at for at in columns.labels if rows and not all(is_number(cells[at]) for _, cells in rows)), first)


def _flaws(columns: Columns, labels: Mapping[str, str]) -> Iterator[str]:
    """The rules that the classes of a row break."""
    if not columns.single and EITHER.issuperset(labels.values()):
        return
    for name, cell in labels.items():
        if not columns.single and cell not in EITHER:
            way = " (numbers to be predicted need `targets: values` under `data`)" if is_number(cell) else ""
            yield f"column {name!r} must be 0 or 1; received {cell!r}{way}"
        elif not cell:
            yield f"column {name!r} must be a class name; it is empty"
