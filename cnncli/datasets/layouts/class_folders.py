"""Folders of images: files, classes and splits, determined by names only.

    photos/cats/1.jpg            one folder per class
    photos/train/cats/1.jpg      `train`, `val`, `test` and the like are splits, not classes
    photos/labels.csv            a table of files and their classes, in the folder or in that of each split, also of
                                 another name: image_tables

Files are taken in the order of their names, whatever the file system's is. Hidden files are not looked at.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnncli.datasets.layouts import image_tables, labels_csv, mask_folders, masks_beside, name_classes
from cnncli.datasets.layouts.labels_csv import Labelled
from cnncli.datasets.layouts.split_folders import (
    EMPTY,
    WHOLE,
    has_pictures,
    images_below,
    is_beside,
    is_image,
    joined,
    labelled_folders,
    of_tables,
    split_folders,
)
from cnncli.datasets.layouts.split_names import are_numbered
from cnncli.datasets.layouts.table_columns import TABLE
from cnncli.datasets.layouts.table_text import ENDINGS
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing, Sample, absent, numbers_hint
from cnncli.datasets.sources.image_names import entries, is_picture
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError, DeclarationError
from cnncli.hints import few

LOOSE = "an image must be in the folder of its class"
MASKED = {mask_folders.IMAGES, mask_folders.MASKS}


class _Part(NamedTuple):
    """What one folder, or one of a split, has: files with their classes' names, and the classes that it speaks of.

    `table`: what says so, relative to the root. `exclusive`: its columns are classes of which an image has one, perhaps
    by chance.
    """

    rows: list[Labelled]
    classes: tuple[str, ...]
    several: bool
    table: str = ""
    notes: Sequence[str] = ()
    exclusive: str = ""

    @property
    def unlisted(self) -> list[str]:
        """The files that no table names."""
        return [] if self.table else [row.file for row in self.rows]

    def without(self, files: Collection[str]) -> "_Part":
        """The part without some files."""
        left = set(files)
        return self._replace(rows=[row for row in self.rows if row.file not in left])


def read(root: Path, data: DataSection, table: str = "") -> Listing:
    """List the images of a folder. With the layout class_folders its folders are the classes, whatever they are called.
    `table`: the one in the folder that is asked for.

    Raises CnncliError where the folder or its table can't be read, something other than splits lies beside them, or the
    folders look like splits of other names; DeclarationError where a table can be read in several ways.
    """
    problems: list[Problem] = []
    notes: list[str] = []
    whole = data.layout == "class_folders"
    given = {"train": table} if table else _tables(root, "", data, notes)
    parts = WHOLE if whole else of_tables(root, given) if given else labelled_folders(root)
    if not whole and not given:
        for folder in parts.folders.values():
            _refuse_unnamed_splits(root / folder)
    found = {
        split: _part(root, folder, data, given.get(split, ""), problems) for split, folder in parts.folders.items()
    }
    if data.columns is not None and not any(part.table for part in found.values()):
        raise DeclarationError(f"columns requires a table of images; {root} has none with these columns", "columns")
    listed = [row.file for part in found.values() if part.table for row in part.rows]
    notes += [*parts.notes_beside(listed), *(note for part in found.values() for note in part.notes)]
    masks = [] if whole else [file for part in found.values() for file in masks_beside.masks_beside(part.unlisted)]
    if masks:
        found = {split: part.without(masks) for split, part in found.items()}
        notes.append(masks_beside.note(masks))
    if all(part.exclusive for part in found.values()):
        notes.append(next(iter(found.values())).exclusive)
        found = {split: part._replace(several=False) for split, part in found.items()}
    classes = _classes(root, found)
    number = {name: i for i, name in enumerate(classes)}
    splits: dict[str, list[Sample]] = {name: [] for name in ("train", "validation", "test")}
    for split, part in found.items():
        for row in part.rows:
            # A table for the whole folder may name files in the folders of splits.
            own = row.split or (split if len(given) > 1 else parts.named.get(row.file.partition("/")[0], split))
            splits[own].append(Sample(row.file, tuple(sorted(number[name] for name in row.classes))))
    kept = {name: sorted(samples) for name, samples in splits.items() if samples}
    several = any(part.several for part in found.values())
    faults = list(_faults(classes, parts.folders, found))
    loose = [problem.file for problem in problems if problem.rule == LOOSE]
    if loose and not classes:
        problems = [problem for problem in problems if problem.rule != LOOSE]
        trained = [file for file in loose if file.startswith(joined(parts.folders.get("train", ""), ""))]
        alone = "" if "train" in parts.folders else " and ".join(parts.named)
        faults = [
            Problem(".", f"the images of {alone} have no classes, and there are no others; `cnncli predict` needs none")
            if alone
            else Problem(".", f"images lie in no folder of a class: {name_classes.advice(trained or loose)}")
        ]
    if not whole and set(classes) == MASKED:
        faults = [Problem(".", "holds images and masks, not classes: set `targets: masks` under `data`")]
    if not kept and not faults:
        faults.append(EMPTY)
    if any(part.table for part in found.values()) and not several:
        notes += numbers_hint(classes)
    groups = {row.file: row.group for part in found.values() for row in part.rows if row.group}
    weights = {row.file: row.weight for part in found.values() for row in part.rows if row.weight is not None}
    told = tuple(dict.fromkeys(notes))
    untrained = tuple(_untrained(kept, classes, parts.folders, several=several))
    return Listing(
        *(root, classes, kept, several, tuple(problems), tuple(faults)),
        notes=told,
        groups=groups,
        weights=weights,
        untrained=untrained,
    )


def _tables(root: Path, folder: str, data: DataSection, notes: list[str]) -> dict[str, str]:
    """The tables in a folder, by their splits, that say what its images are. Folders that are classes go before all
    tables but labels.csv, unless the table is asked for, which is added to `notes`.
    """
    place = root / folder
    if (place / TABLE).exists():
        return {"train": TABLE}
    if data.layout != "auto" or not any(name.lower().endswith(ENDINGS) for name, _ in entries(place)):
        return {}
    known = image_tables.labelled(place, data)
    if data.columns is None and _are_classes(place):
        for name in known[:1]:
            path = joined(folder, name)
            way = f"`dataset: {Path(data.name) / path}` uses it"
            notes.append(f"{path} is not read, because the folders are the classes: {way}")
        return {}
    if known:
        return image_tables.tables(place, data)
    image_tables.refuse_unknown(place, data)
    return {}


def _are_classes(place: Path) -> bool:
    """Whether the folders in a folder, or in all of its splits, hold the images of a class each."""
    try:
        parts = split_folders(place)
    except CnncliError:
        return False
    for folder in parts.folders.values():
        inner = [
            name for name, is_folder in entries(place / folder) if is_folder and has_pictures(place / folder / name)
        ]
        if len(inner) < 2 or are_numbered(inner):
            return False
    return True


def _refuse_unnamed_splits(place: Path) -> None:
    """Raise CnncliError where no folder has a picture of its own, and all have the same folders."""
    if (place / TABLE).exists():
        return
    outer = [name for name, is_folder in entries(place) if is_folder]
    inner = set()
    for name in outer:
        found = entries(place / name)
        if any(not is_folder and is_picture(below) for below, is_folder in found):
            return
        inner.add(tuple(below for below, is_folder in found if is_folder))
    if len(outer) < 2 or len(inner) > 1 or len(folders := inner.pop()) < 2:
        return
    raise CnncliError(
        f"{place}: its folders {few(outer, 3)} all hold the folders {few(folders, 3)} and no image of their own:"
        " if they are splits, name them train, val and test; if they are the classes, set "
        "`layout: class_folders` under `data`"
    )


def _part(root: Path, folder: str, data: DataSection, table: str, problems: list[Problem]) -> _Part:
    """What lies in `folder`, a split's or "" for the root itself. What can't be used is added to `problems`."""
    place, notes = root / folder, list[str]()
    table = table or _tables(root, folder, data, notes).get("train", "") if folder else table
    if table:
        told = labels_csv.read(place / table, data)
        problems.extend(Problem(joined(folder, problem.file), problem.rule) for problem in told.problems)
        rows = [row._replace(file=joined(folder, row.file)) for row in told.rows]
        kept = [row for row in rows if is_image(row.file, problems)]
        exclusive = labels_csv.exclusive_note(told) if told.exclusive else ""
        return _Part(kept, told.classes, told.several, joined(folder, table), told.notes, exclusive)
    rows, classes = [], []
    for name, is_folder in entries(place):
        path = joined(folder, name)
        if is_folder and is_beside(root / path):
            continue
        if is_folder:
            classes.append(composed(name))
            rows += [Labelled(file, (composed(name),)) for file in images_below(root, path, problems)]
        elif is_picture(name) and is_image(path, problems):
            problems.append(Problem(path, LOOSE))
    return _Part(rows, tuple(classes), several=False, notes=notes)


def _classes(root: Path, found: Mapping[str, _Part]) -> tuple[str, ...]:
    if len({part.several for part in found.values()}) > 1:
        has = " and ".join(f"{'multi' if part.several else 'single'}-label {split}" for split, part in found.items())
        raise CnncliError(f"{root}: all splits must be single-label, or all multi-label; received {has}")
    if any(part.several for part in found.values()):
        # The columns are the model's outputs: their order is the table's.
        orders = {part.classes for part in found.values()}
        if len(orders) > 1:
            columns = " and ".join(", ".join(part.classes) for part in found.values())
            raise CnncliError(
                f"{root}: the {TABLE} of every split must have the same columns in the same order; received {columns}"
            )
        return orders.pop()
    return tuple(sorted({name for part in found.values() for name in part.classes}))


def _faults(classes: Sequence[str], parts: Mapping[str, str], found: Mapping[str, _Part]) -> Iterator[Problem]:
    tables = [part.table for part in found.values() if part.table]
    if not classes and tables:
        yield Problem(tables[0], "there must be at least one usable row")
    elif not classes:
        yield Problem(".", f"there must be a folder for each class, or a {TABLE}")


def _untrained(
    splits: Mapping[str, Sequence[Sample]], classes: Sequence[str], parts: Mapping[str, str], *, several: bool
) -> Iterator[Problem]:
    """The only class, or those without training images, if there are any; of several, those without any image."""
    if several:
        for name in absent([sample for part in splits.values() for sample in part], classes):
            yield Problem(name, "a class must have at least one image")
    elif len(classes) == 1:
        hint = name_classes.hint([sample.file for part in splits.values() for sample in part])
        yield Problem(classes[0], f"there must be at least two classes; this is the only one{hint}")
    elif "train" in parts:
        divided = parts["train"] or len(splits) > 1
        for name in absent(splits.get("train", ()), classes):
            yield Problem(
                joined(parts["train"], name), f"a class must have at least one {'training ' * bool(divided)}image"
            )
