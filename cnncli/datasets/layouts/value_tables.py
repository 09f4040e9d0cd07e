"""Tables of image files and the values that a model predicts, read without NumPy.

The columns are that of the file and one for each value, such as `age`; or, of a table with others, those that are asked
for.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from cnncli.datasets.layouts import image_tables
from cnncli.datasets.layouts.image_tables import Contents, Row
from cnncli.datasets.layouts.split_folders import is_image, joined, labelled_folders, of_tables
from cnncli.datasets.layouts.table_columns import FILE, TABLE, Columns
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing, Sample, number_in
from cnncli.errors import CnncliError, DeclarationError


def read(root: Path, data: DataSection, table: str = "") -> Listing:
    """List the images of a folder that its table has numbers for; with `label_column`, of this column alone. `table`:
    the one in the folder that is asked for.

    Raises CnncliError where there is no such table, in each split's folder or for all, or its columns are others.
    """
    problems: list[Problem] = []
    given = {"train": table} if table else image_tables.tables(root, data)
    parts = of_tables(root, given) if given else labelled_folders(root)
    tables = {
        split: _table(root, folder, data, problems, given.get(split, "")) for split, folder in parts.folders.items()
    }
    outputs = {each.columns.label_names for each in tables.values()}
    if len(outputs) > 1:
        columns = " and ".join(", ".join(names) for names in outputs)
        raise CnncliError(f"{root}: the {TABLE} of every split must have the same columns; received {columns}")
    splits: dict[str, list[Sample]] = {name: [] for name in ("train", "validation", "test")}
    values: dict[str, tuple[float, ...]] = {}
    groups: dict[str, str] = {}
    weights: dict[str, float] = {}
    for split, each in tables.items():
        for told in each.rows:
            file = joined(parts.folders[split], told.file)
            if is_image(file, problems):
                values[file] = tuple(map(float, told.cells))
                groups |= {file: told.group} if told.group else {}
                weights |= {} if told.weight is None else {file: told.weight}
                own = split if len(tables) > 1 else parts.named.get(file.partition("/")[0], split)
                splits[told.split or own].append(Sample(file))
    kept = {name: sorted(samples) for name, samples in splits.items() if samples}
    empty = [joined(parts.folders[split], given.get(split, TABLE)) for split, each in tables.items() if not each.rows]
    faults = [Problem(file, "there must be at least one usable row") for file in empty]
    notes = [*parts.notes_beside(values), *(note for each in tables.values() for note in each.notes)]
    return Listing(
        *(root, (), kept, False, problems, faults),
        notes=notes,
        values=values,
        outputs=outputs.pop(),
        groups=groups,
        weights=weights,
    )


def are_values(listing: Listing) -> bool:
    """Whether numbers are surely no classes: several columns that are not all 0 or 1, or fractions."""
    numbers = {number for values in listing.values.values() for number in values}
    if len(listing.outputs) > 1:
        return not numbers <= {0.0, 1.0}
    return any(not number.is_integer() for number in numbers)


def _table(root: Path, folder: str, data: DataSection, problems: list[Problem], name: str) -> Contents:
    """The table in a folder. What is wrong with its rows is added to `problems`, with the line as the file."""
    name = name or image_tables.tables(root / folder, data).get("train", TABLE)
    path = root / folder / name
    if not path.exists():
        raise CnncliError(
            f"{path.parent}: `targets: values` requires a {TABLE} with the column {FILE} and a column for each value"
        )
    found = image_tables.read(path, data, partial(_choose, column=data.label_column), _rules)
    problems.extend(Problem(joined(folder, problem.file), problem.rule) for problem in found.problems)
    return found


def _choose(path: Path, columns: Columns, rows: Sequence[Row], *, column: str | int | None) -> Columns:
    """The columns with those labels that are asked for and hold numbers.

    Raises DeclarationError for one that is not there, or holds none.
    """
    strict = image_tables.is_strict(path, columns)
    if column is not None:
        columns = columns.with_labels([_asked(path, columns, column)])
    words = [at for at in columns.labels if rows and all(number_in(cells[at]) is None for _, cells in rows)]
    numbers = [at for at in columns.labels if at not in words]
    if words and not (numbers and column is None and not strict and not columns.asked):
        name, other = columns.names[words[0]], [columns.names[at] for at in numbers]
        way = f"; choose another with `label_column: {other[0]}` under `data`" if other else ""
        raise DeclarationError(
            f"{path}: column {name!r} holds no numbers, as `targets: values` requires{way}", "targets"
        )
    return columns.with_labels(numbers)


def _asked(path: Path, columns: Columns, column: str | int) -> int:
    """The place of the column that `label_column` names."""
    at = columns.names.index(column) if column in columns.names else column - 1 if isinstance(column, int) else -1
    if at == columns.file or not 0 <= at < len(columns.names):
        others = ", ".join(name for place, name in enumerate(columns.names) if place != columns.file)
        raise DeclarationError(f"label_column must be one of {others} in {path}; received {column}", "label_column")
    return at


def _rules(columns: Columns, cells: Mapping[str, str]) -> Iterator[str]:
    """The rules that the cells of a row break."""
    for name, cell in cells.items():
        if number_in(cell) is None:
            yield f"column {name!r} must be a number; " + (f"received {cell!r}" if cell else "it is empty")
