"""`labels.csv`: a table of image files and their classes, read without NumPy.

The columns are `file` and `label`, the name of a class; or `file` and several that are classes themselves, with a 1 in
each that the image shows and a 0 elsewhere. Files are relative to the table's folder, and in it. What spreadsheets and
other systems write is understood where it can mean one thing only: semicolons or tabs between columns, UTF-16 with its
mark, and names of files as `unicode_names.Files` finds them.
"""

import codecs
import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cnncli.datasets.problems import Problem
from cnncli.datasets.sources.found import is_number
from cnncli.datasets.sources.unicode_names import Files, composed
from cnncli.errors import CnncliError
from cnncli.system.files import open_regular, text_lines

TABLE = "labels.csv"
FILE, LABEL = "file", "label"
DELIMITERS = (",", ";", "\t")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Table:
    """`rows`: a file and the names of its classes, of which there may be none or many where `several` is true.

    `groups`: that of each file, where the table has a column for it.
    """

    classes: tuple[str, ...]
    several: bool
    rows: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)


def read(path: Path, group_by: str | None = None) -> Table:
    """Read a table. What is wrong with a row is among its problems, with the line as the file. `group_by`: the column
    of groups, if the table has one of this name.

    Raises CnncliError for a table that can't be read or whose columns are others.
    """
    with opened(path) as (columns, lines):
        group = group_column(columns, group_by)
        table = _empty(path, [name for name in columns if name != group])
        rows = _Rows(columns, ListedFiles(path.parent), group)
        for line, cells in lines:
            rows.add(table, cells, line)
    if table.several:
        return table
    names = tuple(sorted({name for _, given in table.rows for name in given}))
    return Table(names, several=False, rows=table.rows, problems=table.problems, groups=table.groups)


@contextmanager
def opened(path: Path) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str]]]]]:
    """The names of a table's columns, and the lines and cells of its rows. Raises CnncliError if it can't be read."""
    try:
        with text_lines(path, _encoding(path)) as lines:
            columns, delimiter = _header(next(lines, ""))
            reader = csv.reader(lines, delimiter=delimiter)
            yield columns, ((1 + reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells)
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise CnncliError(
            f"{path}: a table must be UTF-8 text; received the byte 0x{error.object[error.start]:02x}: save it as UTF-8"
        ) from None
    except UnicodeError as error:
        raise CnncliError(f"{path}: a table must be UTF-8 text: save it as UTF-8 ({error})") from None
    except csv.Error as error:
        raise CnncliError(f"{path}: is not a valid CSV table: {error}") from None


def _encoding(path: Path) -> str:
    """UTF-8, or UTF-16 where the first two bytes say so. Raises CnncliError for UTF-16 that does not say it."""
    with open_regular(path) as file:
        start = file.read(1024)
    if start[:2] in UTF_16:
        return "utf-16"
    if b"\0" in start:
        raise CnncliError(f"{path}: a table must be UTF-8 text; received zero bytes, as UTF-16 has: save it as UTF-8")
    return "utf-8-sig"


def _header(line: str) -> tuple[list[str], str]:
    """The columns' names, and what is between them: the first by which one of them is `file` and others are there."""
    found = {}
    for delimiter in DELIMITERS:
        names = [composed(name.strip()) for name in next(csv.reader([line], delimiter=delimiter), [])]
        own = {name.lower(): name for name in names}
        found[delimiter] = [name.lower() if name in (own.get(FILE), own.get(LABEL)) else name for name in names]
        if FILE in found[delimiter] and len(names) > 1:
            return found[delimiter], delimiter
    return found[DELIMITERS[0]], DELIMITERS[0]


def _empty(path: Path, columns: list[str]) -> Table:
    others = [name for name in columns if name != FILE]
    known = len(others) == len(columns) - 1 == len(set(others)) and all(others)
    if not known or not (others == [LABEL] or (len(others) > 1 and LABEL not in others)):
        raise CnncliError(
            f"{path}: the columns must be {FILE} and {LABEL}, or {FILE} and one 0/1 column per class; "
            f"received {', '.join(columns) or 'none'}"
        )
    several = others != [LABEL]
    return Table(tuple(others) if several else (), several)


def group_column(columns: Sequence[str], group_by: str | None) -> str:
    """The column of groups; "" where `group_by` names none."""
    return group_by if group_by in columns and group_by not in (None, FILE, LABEL) else ""


class ListedFiles:
    """The files that a table names, of which each row must name another. `lines`: the line of each that is taken."""

    def __init__(self, place: Path) -> None:
        self.files = Files(place)
        self.lines: dict[str, int] = {}

    def find(self, name: str, line: int, problems: list[str]) -> str:
        """The file that a row names; what is wrong with it is added to `problems`."""
        try:
            file = self.files.find(name)
        except ValueError as error:
            problems.append(str(error))
            return ""
        if file in self.lines:
            problems.append(f"a file must be listed once; '{file}' is already on line {self.lines[file]}")
        return file


class _Rows:
    """The rows of a table, one after the other."""

    def __init__(self, columns: Sequence[str], files: ListedFiles, group: str) -> None:
        self.columns, self.files, self.group = columns, files, group

    def add(self, table: Table, cells: list[str], line: int) -> None:
        """Add a row to the table, or what is wrong with it to the table's problems."""
        problems: list[str] = []
        if len(cells) != len(self.columns):
            problems.append(f"a row must have {len(self.columns)} values, one per column; received {len(cells)}")
        else:
            row = dict(zip(self.columns, cells, strict=True))
            file = self.files.find(row.pop(FILE), line, problems)
            group = row.pop(self.group, "")
            problems += group_flaws(self.group, group)
            problems += _flaws(row, several=table.several)
            names = tuple(name for name, cell in row.items() if cell == "1") if table.several else (row[LABEL],)
        if problems:
            table.problems.extend(Problem(f"{TABLE}:{line}", rule) for rule in problems)
            return
        self.files.lines[file] = line
        table.rows.append((file, tuple(map(composed, names))))
        if group:
            table.groups[file] = group


def group_flaws(column: str, group: str) -> Iterator[str]:
    """The rule that a row without a group breaks, where there is a column for it."""
    if column and not group:
        yield f"column {column!r} must be the name of a group; it is empty"


def _flaws(row: Mapping[str, str], *, several: bool) -> Iterator[str]:
    """The rules that the classes of a row break."""
    for name, cell in row.items():
        if several and cell not in ("0", "1"):
            way = " (numbers to be predicted need `targets: values` under `data`)" if is_number(cell) else ""
            yield f"column {name!r} must be 0 or 1; received {cell!r}{way}"
        elif not cell:
            yield f"column {name!r} must be a class name; it is empty"
