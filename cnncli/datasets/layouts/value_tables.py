"""`labels.csv` with numbers: a table of image files and the values that a model predicts, read without NumPy.

The columns are `file` and one for each value, such as `age`; or, of a table with others, the one that is asked for.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from cnncli.datasets.layouts import labels_csv
from cnncli.datasets.layouts.labels_csv import FILE, TABLE
from cnncli.datasets.layouts.split_folders import is_image, joined, labelled_folders
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing, Sample
from cnncli.errors import CnncliError, DeclarationError

GREATEST = 3.4e38
"""Of a float32."""


@dataclass
class _Table:
    """`rows`: files and their values, one for each of `outputs`, the names of the columns."""

    outputs: tuple[str, ...]
    rows: dict[str, tuple[float, ...]] = field(default_factory=dict)


def read(root: Path, data: DataSection) -> Listing:
    """List the images of a folder that its table has numbers for; with `label_column`, of this column alone.

    Raises CnncliError where there is no such table, in each split's folder or for all, or its columns are others.
    """
    problems: list[Problem] = []
    parts = labelled_folders(root)
    tables = {split: _table(root, folder, data.label_column, problems) for split, folder in parts.folders.items()}
    outputs = {table.outputs for table in tables.values()}
    if len(outputs) > 1:
        columns = " and ".join(", ".join(names) for names in outputs)
        raise CnncliError(f"{root}: the {TABLE} of every split must have the same columns; received {columns}")
    splits: dict[str, list[Sample]] = {name: [] for name in ("train", "validation", "test")}
    values: dict[str, tuple[float, ...]] = {}
    for split, table in tables.items():
        values |= table.rows
        for file in table.rows:
            splits[parts.named.get(file.partition("/")[0], split)].append(Sample(file))
    kept = {name: sorted(samples) for name, samples in splits.items() if samples}
    empty = [folder for split, folder in parts.folders.items() if not tables[split].rows]
    faults = [Problem(joined(folder, TABLE), "there must be at least one usable row") for folder in empty]
    notes = parts.notes_beside(values)
    return Listing(root, (), kept, False, problems, faults, notes=notes, values=values, outputs=outputs.pop())


def are_values(listing: Listing) -> bool:
    """Whether numbers are surely no classes: several columns that are not all 0 or 1, or fractions."""
    numbers = {number for values in listing.values.values() for number in values}
    if len(listing.outputs) > 1:
        return not numbers <= {0.0, 1.0}
    return any(not number.is_integer() for number in numbers)


def _table(root: Path, folder: str, column: str | int | None, problems: list[Problem]) -> _Table:
    """The table in a folder. What is wrong with its rows is added to `problems`, with the line as the file."""
    path = root / folder / TABLE
    if not path.exists():
        raise CnncliError(
            f"{path.parent}: `targets: values` requires a {TABLE} with the column {FILE} and a column for each value"
        )
    flaws: Counter[str] = Counter()
    count = 0
    with labels_csv.opened(path) as (columns, rows):
        table, files = _Table(_outputs(path, columns, column)), labels_csv.ListedFiles(path.parent)
        for line, cells in rows:
            count += 1
            found: list[str] = []
            row = dict(zip(columns, cells, strict=False))
            if len(cells) != len(columns):
                found.append(f"a row must have {len(columns)} values, one per column; received {len(cells)}")
            file = files.find(row.get(FILE, ""), line, found)
            wrong = {name: row.get(name, "") for name in table.outputs if number_in(row.get(name, "")) is None}
            flaws.update(wrong.keys())
            found += _rules(wrong)
            problems.extend(Problem(joined(folder, f"{TABLE}:{line}"), rule) for rule in found)
            if not found and is_image(joined(folder, file), problems):
                files.lines[file] = line
                table.rows[joined(folder, file)] = tuple(float(row[name]) for name in table.outputs)
    _refuse_words(path, table, flaws, count)
    return table


def _outputs(path: Path, columns: Sequence[str], column: str | int | None) -> tuple[str, ...]:
    """The columns with values."""
    others = [name for name in columns if name != FILE]
    if len(others) != len(columns) - 1 or not others or not all(others) or len(others) != len(set(others)):
        raise CnncliError(
            f"{path}: with `targets: values` the columns must be {FILE} and one for each value; "
            f"received {', '.join(columns) or 'none'}"
        )
    if column is None:
        return tuple(others)
    name = column if isinstance(column, str) else columns[column - 1] if column <= len(columns) else ""
    if name not in others:
        raise DeclarationError(
            f"label_column must be one of {', '.join(others)} in {path}; received {column}", "label_column"
        )
    return (name,)


def number_in(cell: str) -> float | None:
    """The number in a cell; None for anything else and for one that no float32 holds."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if isfinite(number) and abs(number) < GREATEST and "_" not in cell else None


def _rules(wrong: Mapping[str, str]) -> Iterator[str]:
    for name, cell in wrong.items():
        yield f"column {name!r} must be a number; " + (f"received {cell!r}" if cell else "it is empty")


def _refuse_words(path: Path, table: _Table, flaws: Mapping[str, int], count: int) -> None:
    """Raise DeclarationError for columns without a number, which are no values."""
    words = [name for name in table.outputs if flaws[name] == count and count]
    if not words:
        return
    numbers = [name for name in table.outputs if name not in words]
    way = f"; choose another with `label_column: {numbers[0]}` under `data`" if numbers else ""
    raise DeclarationError(
        f"{path}: column {words[0]!r} holds no numbers, as `targets: values` requires{way}", "targets"
    )
