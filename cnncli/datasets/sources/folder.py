"""Folders of images: files, classes and splits, determined by names only.

    photos/cats/1.jpg            one folder per class
    photos/train/cats/1.jpg      `train`, `val` (`valid`, `validation`) and `test` are splits, never classes
    photos/labels.csv            a table of files and their classes, in the folder or in that of each split

Files are taken in the order of their names, whatever the file system's is. Hidden files are not looked at.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cnncli.datasets.problems import Problem
from cnncli.datasets.sources import labels_csv
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""What a subfolder may be called, and the split that it is."""
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
READ = "PNG, JPEG, WebP, BMP or GIF"
UNREAD = (
    *(".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".jfif", ".svg", ".eps", ".ico", ".tga", ".pcx"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".psd", ".xcf", ".exr", ".hdr", ".dcm"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"),
)
"""Endings of images that are not read: such files are named wherever images are looked for."""
NEEDLESS = ("Thumbs.db", "desktop.ini", "__MACOSX")
"""What file managers and archivers leave behind."""


class Sample(NamedTuple):
    """An image: its file, relative to the source's folder and with /, and the numbers of its classes."""

    file: str
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What a folder has. `splits`: the images by "train", "validation", "test"; all in "train" where it names none.

    `several`: an image may have any number of classes, not one. `problems`: files that can't be used; `faults`: what
    is wrong with the whole and can't be helped by leaving a file out. `masks`: by the image, where they are its target.
    """

    root: Path
    classes: tuple[str, ...]
    splits: Mapping[str, Sequence[Sample]]
    several: bool
    problems: Sequence[Problem]
    faults: Sequence[Problem]
    masks: Mapping[str, str] = field(default_factory=dict)


class _Found(NamedTuple):
    """What one folder, or one of a split, has: files with their classes' names, and the classes that it speaks of.

    `listed`: a table says so.
    """

    rows: list[tuple[str, tuple[str, ...]]]
    classes: tuple[str, ...]
    several: bool
    listed: bool = False


def read(root: Path, *, labelled: bool = True) -> Listing:
    """List the images of a folder; without `labelled` wherever they lie, and of no class.

    Raises CnncliError where the folder or its table can't be read, or something other than splits lies beside them.
    """
    problems: list[Problem] = []
    parts = _parts(root)
    found = {split: _found(root, folder, problems, labelled=labelled) for split, folder in parts.items()}
    classes = _classes(root, found)
    number = {name: i for i, name in enumerate(classes)}
    splits: dict[str, list[Sample]] = {name: [] for name in ("train", "validation", "test")}
    for split, part in found.items():
        for file, names in part.rows:
            # A table for the whole folder may name files in the folders of splits.
            own = SPLITS.get(file.partition("/")[0].lower(), split) if "/" in file else split
            splits[own].append(Sample(file, tuple(sorted(number[name] for name in names))))
    kept = {name: sorted(samples) for name, samples in splits.items() if samples}
    several = any(part.several for part in found.values())
    faults = list(_faults(kept, classes, parts, found)) if labelled else []
    if not kept and not faults:
        faults.append(Problem(".", f"a folder must have at least one image ({READ})"))
    return Listing(root, classes, kept, several, tuple(problems), tuple(faults))


def absent(samples: Sequence[Sample], classes: Sequence[str]) -> list[str]:
    """The classes that none of the samples shows."""
    shown = {label for sample in samples for label in sample.labels}
    return [name for number, name in enumerate(classes) if number not in shown]


def _parts(root: Path) -> dict[str, str]:
    """The folders of splits by their split; {"train": ""} where there are none or one table rules."""
    folders = [name for name, is_folder in entries(root) if is_folder]
    parts: dict[str, str] = {}
    if (root / labels_csv.TABLE).exists():
        return {"train": ""}
    for name in folders:
        split = SPLITS.get(name.lower())
        if split is None:
            continue
        if split in parts:
            raise CnncliError(f"{root}: each split must have one folder; received {parts[split]} and {name}")
        parts[split] = name
    if parts and len(parts) < len(folders):
        other = next(name for name in folders if name not in parts.values())
        raise CnncliError(
            f"{root}: {' and '.join(parts.values())} {'are splits' if len(parts) > 1 else 'is a split'}, not "
            f"{'classes' if len(parts) > 1 else 'a class'}: all other folders must be splits, too; received '{other}'"
        )
    return parts or {"train": ""}


def _found(root: Path, folder: str, problems: list[Problem], *, labelled: bool) -> _Found:
    """What lies in `folder`, a split's or "" for the root itself. What can't be used is added to `problems`."""
    place = root / folder
    if labelled and (place / labels_csv.TABLE).exists():
        told = labels_csv.read(place / labels_csv.TABLE)
        problems.extend(Problem(_joined(folder, problem.file), problem.rule) for problem in told.problems)
        rows = [(_joined(folder, file), names) for file, names in told.rows]
        return _Found([row for row in rows if _is_image(row[0], problems)], told.classes, told.several, listed=True)
    if not labelled:
        files = [file for file in _files(root, folder) if PurePosixPath(file).name != labels_csv.TABLE]
        return _Found([(file, ()) for file in files if _is_image(file, problems)], (), several=False)
    rows, classes = [], []
    for name, is_folder in entries(place):
        path = _joined(folder, name)
        if is_folder:
            classes.append(composed(name))
            rows += [(file, (composed(name),)) for file in _files(root, path) if _is_image(file, problems)]
        elif is_picture(name) and _is_image(path, problems):
            problems.append(Problem(path, "an image must be in the folder of its class"))
    return _Found(rows, tuple(classes), several=False)


def _classes(root: Path, found: Mapping[str, _Found]) -> tuple[str, ...]:
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


def _faults(
    splits: Mapping[str, Sequence[Sample]],
    classes: Sequence[str],
    parts: Mapping[str, str],
    found: Mapping[str, _Found],
) -> Iterator[Problem]:
    tables = [split for split, part in found.items() if part.listed]
    if not classes and tables:
        yield Problem(_joined(parts[tables[0]], labels_csv.TABLE), "there must be at least one usable row")
    elif not classes:
        yield Problem(".", f"there must be a folder for each class, or a {labels_csv.TABLE}")
    elif len(classes) == 1 and not any(part.several for part in found.values()):
        yield Problem(classes[0], "there must be at least two classes; this is the only one")
    for split in parts if len(parts) > 1 else splits or parts:
        for name in absent(splits.get(split, ()), classes):
            folder = parts.get(split, split)
            rule = "a class must have at least one image"
            yield Problem(_joined(folder, name), f"{rule} in every split" if folder else rule)


def is_picture(name: str) -> bool:
    """Whether a file's name is an image's, of one of the formats that are read or of another."""
    return name.lower().endswith((*ENDINGS, *UNREAD))


def unread(name: str) -> str:
    """The rule that a file breaks whose name is not that of an image that is read; "" for one that is."""
    if name.lower().endswith(ENDINGS):
        return ""
    return f"an image must be {READ}; received {PurePosixPath(name).suffix or 'a file without an ending'}"


def entries(folder: Path) -> list[tuple[str, bool]]:
    """What lies in a folder, by name: the name, and whether it is a folder. Raises CnncliError."""
    try:
        with os.scandir(folder) as found:
            return sorted((entry.name, entry.is_dir()) for entry in found if _looked_at(entry.name))
    except OSError as error:
        raise CnncliError(f"{folder}: can't be read: {error.strerror or error}") from None


def _files(root: Path, folder: str) -> Iterator[str]:
    """Every file below `folder`, relative to the root. Links to folders are not followed further down."""
    for name, is_folder in entries(root / folder):
        path = _joined(folder, name)
        if not is_folder:
            yield path
        elif not (root / path).is_symlink():
            yield from _files(root, path)


def _looked_at(name: str) -> bool:
    return not name.startswith(".") and name not in NEEDLESS


def _is_image(file: str, problems: list[Problem]) -> bool:
    """Whether a file's name is an image's; it is a problem where it is not."""
    if not file.isprintable():
        problems.append(Problem(ascii(file), "the name of an image must be printable UTF-8"))
        return False
    if file.lower().endswith(ENDINGS):
        return True
    problems.append(Problem(file, unread(file)))
    return False


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
