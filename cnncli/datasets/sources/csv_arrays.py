"""The pixels of CSV files as arrays."""

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.datasets.problems import Problem, raise_any
from cnncli.datasets.sources.csv_layout import Columns, Tables, cell_of, csv_errors
from cnncli.errors import CnncliError
from cnncli.system.files import bounded_lines, open_regular, text_lines
from cnncli.system.memory import limit, shown

Array = np.ndarray[Any, Any]
MOST = 1000
"""Problems of a file after which it is read no further."""


def read(found: Tables) -> dict[str, Array]:
    """The pixels of each split: (N, pixels), uint8 if all are integers from 0 to 255, else float32.

    Raises CnncliError with the places of cells that are no finite numbers and of rows that are too short or too long.
    """
    arrays = {
        split: _read(path, found.columns[split], len(found.numbers[split])) for split, path in found.files.items()
    }
    problems = [
        problem
        for split, array in arrays.items()
        if array is None or not np.isfinite(array).all()
        for problem in islice(_problems(found.files[split], found.columns[split]), MOST)
    ]
    raise_any(str(found.source.file), problems)
    made = {split: array for split, array in arrays.items() if array is not None}
    return (
        made
        if len({array.dtype for array in made.values()}) == 1
        else {k: v.astype(np.float32) for k, v in made.items()}
    )


def pixels(path: Path, columns: Columns, rows: int) -> Array:
    """The pixels of one table of so many rows: (rows, pixels), uint8 or float32. Raises CnncliError as `read` does."""
    array = _read(path, columns, rows)
    if array is None or not np.isfinite(array).all():
        raise_any(str(path), list(islice(_problems(path, columns), MOST)))
    if array is None:
        raise CnncliError(f"{path}: can't be read as a table of numbers")
    return array


def _read(path: Path, columns: Columns, rows: int) -> Array | None:
    """The pixels of one file, (rows, pixels), by NumPy's own reader; None where it finds something that it can't read.

    Raises CnncliError where they take more memory than there is.
    """
    if columns.packed is not None:
        return _read_packed(path, columns, columns.packed, rows)
    ends = [*columns.others, len(columns.names)]
    counts = [end - start - 1 for start, end in zip([-1, *ends], ends, strict=False)]
    for dtype in (np.uint8, np.float32):
        _check_memory(path, 2 * rows * columns.pixels * np.dtype(dtype).itemsize)  # as they are read, and put together
        fields: list[tuple[Any, ...]] = []
        for number, count in enumerate(counts):
            fields += [(f"pixels{number}", dtype, (count,)), (f"other{number}", np.uint8)]
        try:
            with csv_errors(path), np.errstate(over="ignore"):
                table = np.loadtxt(
                    path,
                    np.dtype(fields[:-1]),
                    delimiter=",",
                    comments=None,
                    quotechar='"',
                    skiprows=int(columns.header),
                    converters={at: lambda text: 0 for at in columns.others} or None,
                    encoding="utf-8-sig",
                    ndmin=1,
                )
        except ValueError:
            continue
        return _settled(np.concatenate([table[f"pixels{number}"] for number in range(len(counts))], axis=1))
    return None


def _read_packed(path: Path, columns: Columns, at: int, rows: int) -> Array | None:
    """The pixels in column `at` of one file, (rows, pixels), as `_read` has them."""
    readers: dict[Any, Callable[[list[bytes]], Any]] = {
        np.uint8: lambda pixels: np.frombuffer(bytes(map(int, pixels)), np.uint8),
        np.float32: lambda pixels: np.array(list(map(float, pixels)), np.float32),
    }
    for dtype, reader in readers.items():
        _check_memory(path, 2 * rows * columns.pixels * np.dtype(dtype).itemsize)
        made = np.empty((rows, columns.pixels), dtype)
        try:
            with csv_errors(path), open_regular(path) as file, np.errstate(over="ignore"):
                lines = (row for line in islice(bounded_lines(file), 1, None) if (row := line.rstrip(b"\r\n")))
                for number, line in enumerate(lines):
                    cell = cell_of(line, at, len(columns.names)).strip(b' "')
                    if b"_" in cell:  # Python would read 1_0
                        return None
                    made[number] = reader(cell.split())
        except ValueError:
            continue
        return _settled(made)
    return None


def _check_memory(path: Path, needed: int) -> None:
    if needed > limit():
        raise CnncliError(
            f"{path}: its pixels need {shown(needed)} of memory, but this process may use only {shown(limit())}"
        )


def _settled(pixels: Array) -> Array:
    """Floats that are all integers from 0 to 255 as uint8."""
    if pixels.dtype == np.uint8 or not (pixels.min() >= 0 and pixels.max() <= 255):
        return pixels
    whole = pixels.astype(np.uint8)
    return whole if np.array_equal(whole, pixels) else pixels


def _problems(path: Path, columns: Columns) -> Iterator[Problem]:
    """What is wrong with the pixels of a file, row by row."""
    count = len(columns.names)
    with csv_errors(path), text_lines(path) as lines:
        reader = csv.reader(lines)
        for cells in reader:
            line = f"{path.name}:{reader.line_num}"
            if not cells or (columns.header and reader.line_num == 1):
                continue
            if len(cells) != count:
                yield Problem(line, f"a row must have {count:,} values, like the first row; received {len(cells):,}")
                continue
            if columns.packed is not None:
                yield from _packed_problems(line, columns, cells[columns.packed].split(), columns.packed)
                continue
            for column, cell in enumerate(cells):
                if column not in columns.others and not _is_pixel(cell.strip()):
                    name = repr(columns.names[column]) if columns.header else "a pixel"
                    said = f"received {cell.strip()!r}" if cell.strip() else "it is empty"
                    yield Problem(f"{line}:{column + 1}", f"{name} must be a finite number; {said}")


def _packed_problems(line: str, columns: Columns, pixels: Sequence[str], at: int) -> Iterator[Problem]:
    place, name = f"{line}:{at + 1}", columns.names[at]
    if len(pixels) != columns.pixels:
        rule = f"{name!r} must have {columns.pixels:,} numbers, like the first row; received {len(pixels):,}"
        yield Problem(place, rule)
    wrong = next((pixel for pixel in pixels if not _is_pixel(pixel)), None)
    if wrong is not None:
        yield Problem(place, f"{name!r} must have finite numbers; received {wrong!r}")


def _is_pixel(text: str) -> bool:
    try:
        return "_" not in text and abs(float(text)) <= float(np.finfo(np.float32).max)
    except ValueError:
        return False
