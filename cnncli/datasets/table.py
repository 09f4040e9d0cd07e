"""`labels.csv`: which images there are and what each shows, read without NumPy.

The columns are `file` and `label`, the name of a class; or `file` and several that are classes themselves, with a 1 in
each that the image shows and a 0 elsewhere. Files are relative to the table's folder, and in it.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cnncli.datasets.problems import Problem
from cnncli.errors import CnncliError
from cnncli.files import text_lines

TABLE = "labels.csv"
FILE, LABEL = "file", "label"


@dataclass(frozen=True)
class Table:
    """`rows`: a file and the names of its classes, of which there may be none or many where `several` is true."""

    classes: tuple[str, ...]
    several: bool
    rows: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read(path: Path) -> Table:
    """Read a table. What is wrong with a row is among its problems, with the line as the file.

    Raises CnncliError for a table that can't be read or whose columns are others.
    """
    try:
        with text_lines(path) as lines:
            reader = csv.reader(lines)
            columns = [name.strip() for name in next(reader, [])]
            table = _empty(path, columns)
            seen: dict[str, int] = {}
            for cells in reader:
                if cells:
                    row = [cell.strip() for cell in cells]
                    _add(table, path.parent, columns, row, line=reader.line_num, seen=seen)
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise CnncliError(
            f"{path}: a table must be UTF-8 text; received the byte 0x{error.object[error.start]:02x}: save it as UTF-8"
        ) from None
    except csv.Error as error:
        raise CnncliError(f"{path}: is no table that can be read: {error}") from None
    if table.several:
        return table
    names = tuple(sorted({name for _, given in table.rows for name in given}))
    return Table(names, several=False, rows=table.rows, problems=table.problems)


def _empty(path: Path, columns: list[str]) -> Table:
    others = [name for name in columns if name != FILE]
    known = len(others) == len(columns) - 1 == len(set(others)) and all(others)
    if not known or not (others == [LABEL] or (len(others) > 1 and LABEL not in others)):
        raise CnncliError(
            f"{path}: the columns must be {FILE} and {LABEL}, or {FILE} and several classes with 0 or 1 in each row; "
            f"received {', '.join(columns) or 'none'}"
        )
    several = others != [LABEL]
    return Table(tuple(others) if several else (), several)


def _add(table: Table, folder: Path, columns: list[str], cells: list[str], *, line: int, seen: dict[str, int]) -> None:
    place = f"{TABLE}:{line}"
    problems = list(_flaws(table, folder, columns, cells, seen))
    if problems:
        table.problems.extend(Problem(place, rule) for rule in problems)
        return
    row = dict(zip(columns, cells, strict=True))
    file = str(PurePosixPath(row.pop(FILE)))
    seen[file] = line
    names = tuple(name for name, cell in row.items() if cell == "1") if table.several else (row[LABEL],)
    table.rows.append((file, names))


def _flaws(table: Table, folder: Path, columns: list[str], cells: list[str], seen: dict[str, int]) -> Iterator[str]:
    """The rules that a row breaks."""
    if len(cells) != len(columns):
        yield f"a row must have {len(columns)} values, one a column; received {len(cells)}"
        return
    row = dict(zip(columns, cells, strict=True))
    file = PurePosixPath(row.pop(FILE))
    if str(file) == "." or file.is_absolute() or ".." in file.parts:
        yield f"a file must be named by its path in the table's folder; received {str(file)!r}"
    elif str(file) in seen:
        yield f"a file must be named once; {str(file)!r} is in line {seen[str(file)]}, too"
    elif not (folder / file).is_file():
        yield f"there must be a file '{file}' in the table's folder"
    for name, cell in row.items():
        if table.several and cell not in ("0", "1"):
            yield f"column {name!r} must be 0 or 1; received {cell!r}"
        elif not cell:
            yield f"column {name!r} must have the name of a class; it is empty"
