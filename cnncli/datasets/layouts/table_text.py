"""The rows of a table, without NumPy: commas, semicolons or tabs between columns, UTF-8 or UTF-16, or JSON Lines."""

import codecs
import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnncli.datasets.layouts.table_columns import FILE, LABEL, is_image_table
from cnncli.datasets.section import TableColumns
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError
from cnncli.system.files import open_regular, text_lines

ENDINGS = (".csv", ".tsv", ".jsonl")
DELIMITERS = (",", ";", "\t")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
Rows = Iterator[tuple[int, list[str]]]


@contextmanager
def opened(path: Path, asked: TableColumns | None = None) -> Iterator[tuple[list[str], Rows]]:
    """The names of a table's columns, and the lines and cells of its rows. Raises CnncliError if it can't be read."""
    try:
        with text_lines(path, encoding(path)) as lines:
            if path.suffix.lower() == ".jsonl":
                yield _objects(path, lines)
                return
            columns, delimiter = _header(next(lines, ""), asked)
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


def header(path: Path, asked: TableColumns | None = None) -> list[str]:
    """The names of a table's columns; none of one that can't be read."""
    try:
        with opened(path, asked) as (names, _):
            return names
    except CnncliError:
        return []


def encoding(path: Path) -> str:
    """UTF-8, or UTF-16 where the first two bytes say so. Raises CnncliError for UTF-16 that does not say it."""
    with open_regular(path) as file:
        start = file.read(1024)
    if start[:2] in UTF_16:
        return "utf-16"
    if b"\0" in start:
        raise CnncliError(f"{path}: a table must be UTF-8 text; received zero bytes, as UTF-16 has: save it as UTF-8")
    return "utf-8-sig"


def _header(line: str, asked: TableColumns | None) -> tuple[list[str], str]:
    """The columns' names, and what is between them: the first by which one of them is that of files and others are
    there.
    """
    found = {}
    for delimiter in DELIMITERS:
        names = [composed(name.strip()) for name in next(csv.reader([line], delimiter=delimiter), [])]
        own = {name.lower(): name for name in names}
        found[delimiter] = [name.lower() if name in (own.get(FILE), own.get(LABEL)) else name for name in names]
        if is_image_table(found[delimiter], asked):
            return found[delimiter], delimiter
    return max(found.items(), key=lambda item: len(item[1]))[::-1]


def _objects(path: Path, lines: Iterator[str]) -> tuple[list[str], Rows]:
    """The rows of JSON Lines, whose columns are the keys of the first."""
    first = _object(path, 1, next(lines, ""))
    names = list(first)

    def rows() -> Rows:
        yield 1, [_cell(first[name]) for name in names]
        for number, line in enumerate(lines, 2):
            if line.strip():
                row = _object(path, number, line)
                yield number, [_cell(row.get(name)) for name in names]

    return [composed(name) for name in names], rows()


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise CnncliError(f'{path}: line {number:,} must be a JSON object, such as {{"file_name": "1.jpg"}}')
    return row


def _cell(value: Any) -> str:
    """A value as the text of a cell; nothing of what holds more."""
    if isinstance(value, bool):
        return str(int(value))
    return str(value).strip() if isinstance(value, str | int | float) else ""
