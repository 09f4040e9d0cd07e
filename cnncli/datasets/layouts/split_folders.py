"""Folders of splits, recognized by their names, and the files below them."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cnncli.datasets.layouts import labels_csv
from cnncli.datasets.problems import Problem
from cnncli.datasets.sources.image_names import ENDINGS, READ, entries, unread
from cnncli.errors import CnncliError

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""What a subfolder may be called, and the split that it is."""
EMPTY = Problem(".", f"a folder must have at least one image ({READ})")


def split_folders(root: Path) -> dict[str, str]:
    """The folders of splits by their split; {"train": ""} where there are none or one table rules.

    Raises CnncliError where something other than splits lies beside them, or a split has several.
    """
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


def images_below(root: Path, folder: str, problems: list[Problem]) -> Iterator[str]:
    """Every image below `folder`, relative to the root; other files are added to `problems`, tables aside."""
    for file in _files(root, folder):
        if PurePosixPath(file).name != labels_csv.TABLE and is_image(file, problems):
            yield file


def is_image(file: str, problems: list[Problem]) -> bool:
    """Whether a file's name is an image's; it is a problem where it is not."""
    if not file.isprintable():
        problems.append(Problem(ascii(file), "the name of an image must be printable UTF-8"))
        return False
    if file.lower().endswith(ENDINGS):
        return True
    problems.append(Problem(file, unread(file)))
    return False


def joined(folder: str, name: str) -> str:
    """A path relative to the root."""
    return f"{folder}/{name}" if folder else name


def _files(root: Path, folder: str) -> Iterator[str]:
    """Every file below `folder`, relative to the root. Links to folders are not followed further down."""
    for name, is_folder in entries(root / folder):
        path = joined(folder, name)
        if not is_folder:
            yield path
        elif not (root / path).is_symlink():
            yield from _files(root, path)
