"""Folders of images: files, classes and splits, determined by names only.

    photos/cats/1.jpg            one folder per class
    photos/train/cats/1.jpg      `train`, `val`, `test` and the like are splits, not classes
    photos/labels.csv            a table of files and their classes, in the folder or in that of each split

Files are taken in the order of their names, whatever the file system's is. Hidden files are not looked at.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnncli.datasets.layouts import labels_csv, mask_folders, masks_beside, name_classes
from cnncli.datasets.layouts.split_folders import EMPTY, WHOLE, images_below, is_image, joined, labelled_folders
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing, Sample, absent, numbers_hint
from cnncli.datasets.sources.image_names import entries, is_picture
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError

LOOSE = "an image must be in the folder of its class"
MASKED = {mask_folders.IMAGES, mask_folders.MASKS}


class _Part(NamedTuple):
    """What one folder, or one of a split, has: files with their classes' names, and the classes that it speaks of.

    `listed`: a table says so.
    """

    rows: list[tuple[str, tuple[str, ...]]]
    classes: tuple[str, ...]
    several: bool
    listed: bool = False

    @property
    def unlisted(self) -> list[str]:
        """The files that no table names."""
        return [] if self.listed else [file for file, _ in self.rows]

    def without(self, files: Collection[str]) -> "_Part":
        """The part without some files."""
        left = set(files)
        return self._replace(rows=[row for row in self.rows if row[0] not in left])


def read(root: Path, data: DataSection) -> Listing:
    """List the images of a folder. With the layout class_folders its folders are the classes, whatever they are called.

    Raises CnncliError where the folder or its table can't be read, something other than splits lies beside them, or the
    folders look like splits of other names.
    """
    problems: list[Problem] = []
    whole = data.layout == "class_folders"
    parts = WHOLE if whole else labelled_folders(root)
    if not whole:
        for folder in parts.folders.values():
            _refuse_unnamed_splits(root / folder)
    found = {split: _part(root, folder, problems) for split, folder in parts.folders.items()}
    notes = list(parts.notes_beside(file for part in found.values() for file, _ in part.rows if part.listed))
    masks = [] if whole else [file for part in found.values() for file in masks_beside.masks_beside(part.unlisted)]
    if masks:
        found = {split: part.without(masks) for split, part in found.items()}
        notes.append(masks_beside.note(masks))
    classes = _classes(root, found)
    number = {name: i for i, name in enumerate(classes)}
    splits: dict[str, list[Sample]] = {name: [] for name in ("train", "validation", "test")}
    for split, part in found.items():
        for file, names in part.rows:
            # A table for the whole folder may name files in the folders of splits.
            own = parts.named.get(file.partition("/")[0], split)
            splits[own].append(Sample(file, tuple(sorted(number[name] for name in names))))
    kept = {name: sorted(samples) for name, samples in splits.items() if samples}
    several = any(part.several for part in found.values())
    faults = list(_faults(classes, parts.folders, found))
    loose = [problem.file for problem in problems if problem.rule == LOOSE]
    if loose and not classes:
        problems = [problem for problem in problems if problem.rule != LOOSE]
        trained = [file for file in loose if file.startswith(joined(parts.folders.get("train", ""), ""))]
        faults = [Problem(".", f"images lie in no folder of a class: {name_classes.advice(trained or loose)}")]
    if not whole and set(classes) == MASKED:
        faults = [Problem(".", "holds images and masks, not classes: set `targets: masks` under `data`")]
    if not kept and not faults:
        faults.append(EMPTY)
    if any(part.listed for part in found.values()) and not several:
        notes += numbers_hint(classes)
    untrained = tuple(_untrained(kept, classes, parts.folders, several=several))
    return Listing(root, classes, kept, several, tuple(problems), tuple(faults), notes=notes, untrained=untrained)


def _refuse_unnamed_splits(place: Path) -> None:
    """Raise CnncliError where no folder has a picture of its own, and all have the same folders."""
    if (place / labels_csv.TABLE).exists():
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
        f"{place}: its folders {_few(outer)} all hold the folders {_few(folders)} and no image of their own:"
        " if they are splits, name them train, val and test; if they are the classes, set "
        "`layout: class_folders` under `data`"
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _part(root: Path, folder: str, problems: list[Problem]) -> _Part:
    """What lies in `folder`, a split's or "" for the root itself. What can't be used is added to `problems`."""
    place = root / folder
    if (place / labels_csv.TABLE).exists():
        told = labels_csv.read(place / labels_csv.TABLE)
        problems.extend(Problem(joined(folder, problem.file), problem.rule) for problem in told.problems)
        rows = [(joined(folder, file), names) for file, names in told.rows]
        return _Part([row for row in rows if is_image(row[0], problems)], told.classes, told.several, listed=True)
    rows, classes = [], []
    for name, is_folder in entries(place):
        path = joined(folder, name)
        if is_folder:
            classes.append(composed(name))
            rows += [(file, (composed(name),)) for file in images_below(root, path, problems)]
        elif is_picture(name) and is_image(path, problems):
            problems.append(Problem(path, LOOSE))
    return _Part(rows, tuple(classes), several=False)


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
                f"{root}: the {labels_csv.TABLE} of every split must have the same columns in the same order; "
                f"received {columns}"
            )
        return orders.pop()
    return tuple(sorted({name for part in found.values() for name in part.classes}))


def _faults(classes: Sequence[str], parts: Mapping[str, str], found: Mapping[str, _Part]) -> Iterator[Problem]:
    tables = [split for split, part in found.items() if part.listed]
    if not classes and tables:
        yield Problem(joined(parts[tables[0]], labels_csv.TABLE), "there must be at least one usable row")
    elif not classes:
        yield Problem(".", f"there must be a folder for each class, or a {labels_csv.TABLE}")


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
