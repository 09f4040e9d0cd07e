"""Folders of splits and folders around a dataset, and the images below them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cnncli.datasets.layouts import array_files, table_columns, table_text
from cnncli.datasets.layouts.split_names import Names, is_filler, split_names, split_of
from cnncli.datasets.problems import Problem
from cnncli.datasets.sources.image_names import ENDINGS, READ, entries, is_picture, unread
from cnncli.errors import CnncliError

EMPTY = Problem(".", f"a folder must have at least one image ({READ})")
HINT = "; if they are classes, set `layout: class_folders` under `data`"
BESIDE = ("docs", "doc", "documentation", "license", "licenses", "scripts", "code", "src", "notebooks")
"""Folders beside data: no classes where they hold no pictures."""


@dataclass(frozen=True)
class Parts:
    """`folders`: of splits by their split, {"train": ""} where there are none or one table rules; relative to the root.

    `named`: the split of each folder whose name says one; `left_out`: folders that are no part of the dataset.
    """

    folders: Mapping[str, str]
    named: Mapping[str, str]
    left_out: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell about folders that are left out."""
        return tuple(
            f"'{name}' is left out, because it has no classes: predict its images with `cnncli predict`"
            for name in self.left_out
        )

    def notes_beside(self, files: Iterable[str]) -> tuple[str, ...]:
        """The same, where a table lists `files`: what is left out has none of them."""
        listed = {file.partition("/")[0] for file in files}
        return replace(self, left_out=tuple(name for name in self.left_out if name not in listed)).notes


WHOLE = Parts({"train": ""}, {})
"""A folder without splits."""


def split_folders(root: Path) -> Parts:
    """The folders of splits. Raises CnncliError where other folders of images lie beside them, or a split has two."""
    folders = [name for name, is_folder in entries(root) if is_folder]
    names = split_names(folders)
    named = {folder: split for split, folder in names.splits.items()}
    if (root / table_columns.TABLE).exists():
        return of_tables(root, ["train"])
    if names.twice:
        raise CnncliError(f"{root}: each split must have one folder; received {' and '.join(names.twice)}{HINT}")
    left_out = tuple(name for name in names.unlabelled if _is_bare(root / name))
    others = [name for name in names.others if name not in left_out and has_pictures(root / name)]
    if others and named:
        if not names.sure:
            return WHOLE
        raise CnncliError(_mixed(root, names, others[0]))
    if not named:
        return WHOLE
    return Parts({split: _within(root, folder, split) for split, folder in names.splits.items()}, named, left_out)


def of_tables(root: Path, tables: Collection[str]) -> Parts:
    """The splits of tables in a folder, which rule; other folders of splits, and of images to predict, are left out."""
    names = split_names([name for name, is_folder in entries(root) if is_folder])
    named = {name: split for split, name in names.splits.items()}
    tests = [name for name, split in named.items() if split == "test" and "test" not in tables]
    left_out = tuple(name for name in (*tests, *names.unlabelled) if _is_bare(root / name))
    return Parts(dict.fromkeys(tables, ""), named, left_out)


def labelled_folders(root: Path) -> Parts:
    """The folders of splits, without a test folder that has no labels beside one for training that has some."""
    parts = split_folders(root)
    train, test = (parts.folders.get(split, "") for split in ("train", "test"))
    if not (train and test and _is_bare(root / test)) or _is_bare(root / train):
        return parts
    folders = {split: folder for split, folder in parts.folders.items() if split != "test"}
    named = {folder: split for folder, split in parts.named.items() if split != "test"}
    return Parts(folders, named, (*parts.left_out, test))


def _mixed(root: Path, names: Names, other: str) -> str:
    several, listed = len(names.splits) > 1, " and ".join(names.splits.values())
    return (
        f"{root}: {listed} {'are splits' if several else 'is a split'}, not {'classes' if several else 'a class'}: all "
        f"other folders must be splits, too; received '{other}'{HINT}"
    )


def unwrapped(path: Path) -> Path:
    """The folder that holds the data: folders around nothing but one folder are passed."""
    while (inner := _only_folder(path)) and not split_of(inner) and _may_hold_data(path / inner):
        path = path / inner
    return path


def _may_hold_data(folder: Path) -> bool:
    """Whether a folder holds folders, or files of arrays, and no pictures: with pictures, it is a class."""
    found = entries(folder)
    return not any(not is_folder and is_picture(name) for name, is_folder in found) and any(
        is_folder or array_files.is_named(name) for name, is_folder in found
    )


def _within(root: Path, folder: str, split: str) -> str:
    """The folder of a split, or the one in it that holds all: seg_train/seg_train."""
    while inner := _only_folder(root / folder):
        if (split_of(inner) != split and not is_filler(inner)) or _is_flat(root / folder / inner):
            break
        folder = joined(folder, inner)
    return folder


def _only_folder(path: Path) -> str:
    """The one folder in a folder, where nothing else in it is data; else ""."""
    found = entries(path)
    folders = [name for name, is_folder in found if is_folder]
    if len(folders) > 1:
        folders = [name for name in folders if not is_beside(path / name)]
    files = [name for name, is_folder in found if not is_folder]
    data = any(is_picture(name) or name == table_columns.TABLE or array_files.is_named(name) for name in files)
    return folders[0] if len(folders) == 1 and not data else ""


def is_beside(folder: Path) -> bool:
    """Whether a folder lies beside data: it is called so, and holds no pictures."""
    return folder.name.lower() in BESIDE and not has_pictures(folder)


def has_pictures(folder: Path) -> bool:
    """Whether there is a picture in a folder or anywhere below."""
    return any(is_picture(file) for file in files_below(folder, ""))


def _has_pictures(folder: Path) -> bool:
    return any(not is_folder and is_picture(name) for name, is_folder in entries(folder))


def _is_flat(folder: Path) -> bool:
    """Whether a folder holds pictures and no folders."""
    return _has_pictures(folder) and not any(is_folder for _, is_folder in entries(folder))


def _is_bare(folder: Path) -> bool:
    """Whether a folder holds nothing but pictures, or a folder of them whose name says nothing: no labels."""
    if any(_is_table(folder / name) for name, is_folder in entries(folder) if not is_folder):
        return False
    inner = _only_folder(folder)
    return _is_flat(folder) or bool(inner and (is_filler(inner) or split_of(inner)) and _is_bare(folder / inner))


def images_below(root: Path, folder: str, problems: list[Problem]) -> Iterator[str]:
    """Every image below `folder`, relative to the root; other files are added to `problems`, tables aside."""
    for file in files_below(root, folder):
        if not _is_table(root / file) and is_image(file, problems):
            yield file


def _is_table(path: Path) -> bool:
    """Whether a file is a table of images, by its name and the names of its columns."""
    return path.name == table_columns.TABLE or (
        path.name.lower().endswith(table_text.ENDINGS) and table_columns.is_image_table(table_text.header(path))
    )


def is_image(file: str, problems: list[Problem]) -> bool:
    """Whether a file's name is an image's; it is a problem where it is not."""
    if not file.isprintable():
        problems.append(Problem(ascii(file), "the name of an image must be printable UTF-8"))
        return False
    if file.lower().endswith(ENDINGS):
        return True
    problems.append(Problem(file, unread(file)))
    return False


def of_unread_formats(problems: Sequence[Problem]) -> tuple[list[Problem], list[Problem]]:
    """Problems of images whose formats are not read, one for all of a format, and the other problems."""
    rules: dict[str, list[str]] = {}
    for file, rule in problems:
        if is_picture(file) and rule == unread(file):
            rules.setdefault(rule, []).append(file)
    counted = [
        Problem(f"all {len(files):,} files, such as {files[0]}" if len(files) > 1 else files[0], rule)
        for rule, files in rules.items()
    ]
    return counted, [problem for problem in problems if problem.rule not in rules]


def joined(folder: str, name: str) -> str:
    """A path relative to the root."""
    return f"{folder}/{name}" if folder else name


def files_below(root: Path, folder: str) -> Iterator[str]:
    """Every file below `folder`, relative to the root. Links to folders are not followed further down."""
    for name, is_folder in entries(root / folder):
        path = joined(folder, name)
        if not is_folder:
            yield path
        elif not (root / path).is_symlink() and not is_beside(root / path):
            yield from files_below(root, path)
