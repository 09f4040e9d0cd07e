"""Tables of images: which files in a folder are some, and their rows, whatever is told of the images.

dogs/labels.csv, dogs/train/000bec180.jpg       id,breed: without endings, in a folder beside the table
skin/metadata.csv, skin/images/1.jpg            file_name,label,split: the split in a column
own/train.csv, own/val.csv, own/images/1.jpg    a table for each split
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from cnncli.datasets.layouts import table_columns, table_text
from cnncli.datasets.layouts.class_table import is_class_table
from cnncli.datasets.layouts.split_names import split_of, words
from cnncli.datasets.layouts.table_columns import FILE, NONE, TABLE, Columns
from cnncli.datasets.layouts.table_files import TableFiles
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources import array_names
from cnncli.datasets.sources.found import weight_in
from cnncli.datasets.sources.image_names import entries
from cnncli.errors import CnncliError, DeclarationError
from cnncli.hints import few

USUAL = ("labels", "metadata", "annotations", "classes", "data", "index")
"""Usual names of tables, beside those that say a split."""
LEFT = ("submission", "submit")
"""Words in the names of tables that are to be filled in."""
KAGGLE = {"publictest": "validation", "privatetest": "test"}
FEWEST = 10
"""A table that names fewer than one in so many images beside it is asked about."""

Row = tuple[int, list[str]]
Rules = Callable[[Columns, Mapping[str, str]], Iterable[str]]
Choice = Callable[[Path, Columns, Sequence[Row]], Columns]


class Told(NamedTuple):
    """A usable row: a file relative to the table's folder, its cells of labels, and its split, group and weight, if it
    names them.
    """

    file: str
    cells: tuple[str, ...]
    split: str = ""
    group: str = ""
    weight: float | None = None


@dataclass(frozen=True)
class Contents:
    """What a table says. `problems`: what is wrong with its rows, with the line as the file."""

    columns: Columns
    rows: list[Told] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_strict(path: Path, columns: Columns) -> bool:
    """Whether all columns of a table can mean one thing only: it is labels.csv, with `file` and nothing to ignore."""
    plain = columns.names[columns.file] == FILE and columns.split is None and not columns.ignored
    return path.name == TABLE and plain and not columns.asked


def read(path: Path, data: DataSection, choose: Choice, rules: Rules) -> Contents:
    """Read a table. `choose`: which of the columns that can be labels are; `rules`: those that cells of labels break.

    Raises CnncliError for a table that can't be read or whose columns are others, DeclarationError where they are not
    sure.
    """
    values = data.targets == "values"
    with table_text.opened(path, data.columns) as (names, lines):
        columns = table_columns.columns(path, names, data)
        rows = list(lines)
    whole = [(line, cells) for line, cells in rows if len(cells) == len(names)]
    columns, splits = _split(columns, whole, sure=data.columns is not None and "split" in data.columns)
    columns = choose(path, columns, whole)
    files = TableFiles(path, (data.columns or NONE).get("folder", ""))
    found = dict(zip((line for line, _ in whole), files.find([cells[columns.file] for _, cells in whole]), strict=True))
    made, taken = Contents(columns), dict[str, int]()
    for line, cells in rows:
        problems: list[str] = []
        if len(cells) != len(names):
            problems.append(f"a row must have {len(names)} values, one per column; received {len(cells)}")
        else:
            file = found[line]
            if isinstance(file, ValueError):
                problems.append(str(file))
            elif file in taken:
                problems.append(f"a file must be listed once; '{file}' is already on line {taken[file]}")
            labels = {names[at]: cells[at] for at in columns.labels}
            problems += rules(columns, labels)
            group = "" if columns.group is None else cells[columns.group]
            if columns.group is not None and not group:
                problems.append(f"column {names[columns.group]!r} must be the name of a group; it is empty")
            weight = None if columns.weight is None else weight_in(cells[columns.weight])
            if isinstance(weight, str):
                problems.append(f"column {names[columns.weight or 0]!r} {weight}")
        if problems:
            made.problems.extend(Problem(f"{path.name}:{line}", rule) for rule in problems)
        else:
            assert isinstance(file, str) and not isinstance(weight, str)
            taken[file] = line
            split = "" if columns.split is None else splits[cells[columns.split]]
            made.rows.append(Told(file, tuple(labels.values()), split, group, weight))
    if not is_strict(path, columns):
        made.notes.append(_note(path, columns, files, values=values))
        sure = path.name == TABLE or data.columns is not None or data.name.endswith(table_text.ENDINGS)
        _weigh(path, made, files, sure=sure)
    if columns.weight is not None:
        made.notes.append(f"{path.name}: {array_names.weights_note([names[columns.weight]])}")
    return made


def tables(root: Path, data: DataSection) -> dict[str, str]:
    """The tables of images in a folder by their splits, {"train": …} for one that is not a split's; none where there is
    none. Raises DeclarationError where several can be meant.
    """
    if (root / TABLE).exists():
        return {"train": TABLE}
    chosen = labelled(root, data)
    splits: dict[str, str] = {}
    others: list[str] = []
    for name in chosen:
        split = split_of(Path(name).stem)
        if not split:
            others.append(name)
        elif splits.setdefault(split, name) != name:
            raise _several(root, [splits[split], name], data)
    if "train" not in splits:
        others, splits = [*others, *splits.values()], {}
    if len(others) + bool(splits) > 1:
        raise _several(root, [*others, *list(splits.values())[:1]], data)
    if others:
        return {"train": others[0]}
    if len(splits) < 2:
        return splits
    # A table of images to be predicted lacks what the training's has.
    known = {split: set(_header(root / name, data)) for split, name in splits.items()}
    return {split: name for split, name in splits.items() if known["train"] <= known[split]}


def labelled(root: Path, data: DataSection) -> list[str]:
    """The names of the tables of images in a folder: those that surely have labels and usual names, or as much of that
    as there is.
    """
    names = [name for name, is_folder in entries(root) if not is_folder and name.lower().endswith(table_text.ENDINGS)]
    known = {name: header for name in names if (header := _header(root / name, data))}
    usual = [name for name in known if _is_usual(name)]
    sure = [name for name in known if table_columns.has_label(known[name], data.columns)]
    return [name for name in usual if name in sure] or usual or sure or list(known)


def refuse_unknown(root: Path, data: DataSection) -> None:
    """Raise CnncliError for a table of a usual name that can't be read, or whose column of files has another name."""
    for name, is_folder in entries(root):
        if is_folder or not name.lower().endswith(table_text.ENDINGS) or not _is_usual(name):
            continue
        with table_text.opened(root / name, data.columns) as (names, _):
            others = table_columns.are_pixels(names) or is_class_table(names)
            if not names or (table_columns.has_label(names, data.columns) and not others):
                raise CnncliError(table_columns.wrong(root / name, names))


def is_table(path: Path, data: DataSection) -> bool:
    """Whether a file is a table of images, by its name and the names of its columns."""
    return path.name.lower().endswith(table_text.ENDINGS) and bool(_header(path, data))


def _header(path: Path, data: DataSection) -> list[str]:
    """The columns of a table of images; none of another file."""
    if any(word.startswith(LEFT) for word in words(path.stem)):
        return []
    names = table_text.header(path, data.columns)
    return names if table_columns.is_image_table(names, data.columns) else []


def _is_usual(name: str) -> bool:
    known = words(Path(name).stem)
    left = any(word.startswith(LEFT) for word in known)
    return not left and bool(split_of(Path(name).stem) or any(word in USUAL for word in known))


def _several(root: Path, names: Sequence[str], data: DataSection) -> DeclarationError:
    choices = " or ".join(f"`dataset: {Path(data.name) / name}`" for name in names)
    return DeclarationError(f"{root} has several tables of images: set {choices} under `data`")


def _split(columns: Columns, rows: Sequence[Row], *, sure: bool) -> tuple[Columns, dict[str, str]]:
    """The columns, with that of splits only if all its cells say one; and what each cell says."""
    if columns.split is None:
        return columns, {}
    cells = {cells[columns.split] for _, cells in rows}
    said = {cell: KAGGLE.get(cell.lower()) or split_of(cell) for cell in cells}
    unknown = sorted(cell for cell, split in said.items() if not split)
    if not unknown:
        return columns, said
    if sure:
        raise DeclarationError(
            f"columns: split must be a column of train, validation and test; {columns.names[columns.split]} has "
            f"{unknown[0]!r}",
            "columns",
        )
    place = columns.split
    kept = columns.labels if columns.single or columns.asked else tuple(sorted((*columns.labels, place)))
    return replace(columns, split=None, labels=kept), {}


def _note(path: Path, columns: Columns, files: TableFiles, *, values: bool) -> str:
    """How a table was understood."""
    what = "numbers" if values else "class" if columns.single else "classes"
    where = sorted({home.split("/")[0] for home in files.homes if home})
    text = f"{path.name}: file in column {columns.names[columns.file]}, {what} in {few(columns.label_names, 4)}"
    if columns.split is not None:
        text += f", split in {columns.names[columns.split]}"
    if columns.group is not None:
        text += f", group in {columns.names[columns.group]}"
    if where and len(where) <= 4:
        text += f"; images in {' and '.join(f'{home}/' for home in where)}"
    if columns.ignored:
        text += f"; ignored: {few(columns.ignored, 6)}"
    return text


def _weigh(path: Path, made: Contents, files: TableFiles, *, sure: bool) -> None:
    """Note that a table names not all images beside it. Raises DeclarationError where it names few."""
    named, there = len(made.rows), files.pictures
    if not named or named >= there:
        return
    if FEWEST * named < there and not sure:
        file, label = made.columns.names[made.columns.file], made.columns.label_names[0]
        raise DeclarationError(
            f"{path} names only {named:,} of the {there:,} images beside it: to use these alone, set "
            f"`columns: {{file: {file}, label: {label}}}` under `data`"
        )
    made.notes.append(f"{path.name} names {named:,} of {there:,} images; the others are left out")
