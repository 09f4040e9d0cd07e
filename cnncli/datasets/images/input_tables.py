"""Tables of images to predict: of pixels, a row per image, or of the names of files; classes are ignored."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from cnncli.datasets.layouts import table_columns
from cnncli.datasets.layouts.split_names import is_filler, split_of
from cnncli.datasets.layouts.table_columns import folded
from cnncli.datasets.layouts.table_text import DELIMITERS, encoding
from cnncli.datasets.sources import csv_arrays
from cnncli.datasets.sources.csv_layout import LABELS, Columns, is_weight
from cnncli.datasets.sources.found import is_number
from cnncli.datasets.sources.image_files import UnusableError
from cnncli.datasets.sources.image_names import entries, is_picture
from cnncli.errors import CnncliError
from cnncli.system.files import text_lines

Array = np.ndarray[Any, Any]
ENDINGS = (".csv", ".tsv")
IDS = ("id", "imageid", "index")
"""Columns of ids beside pixels, as `folded` makes them."""
FILES = (*table_columns.FILES, "index", "name")
"""Columns that name files, as `folded` makes them: those of tables to train on, first those that are sure."""


class Pixels(NamedTuple):
    """`images`: uint8 or float32 (N, H, W, C). `keys`: what each is called in a column of ids, or its number from 1."""

    images: Array
    keys: Sequence[str]


class Row(NamedTuple):
    """A row of a table of files: the name in it, and the file that it means, or else what is wrong."""

    key: str
    file: Path | None
    problem: str = ""


def read(path: Path, shape: tuple[int, ...]) -> Pixels | list[Row]:
    """Read a table of images of the model's input shape, (H, W, C). Raises UnusableError if it is none, CnncliError for
    pixels that are no numbers.
    """
    try:
        header, *rows = _lines(path)
        count = len(header) - prod(shape) - any(map(is_weight, header))
        if count in (0, 1) and prod(shape) > 1:
            return _pixels(path, header, rows, shape)
        return list(_files(path, header, rows))
    except UnusableError:
        raise
    except (OSError, csv.Error, ValueError) as error:
        said = getattr(error, "strerror", None) or "it must have a line of names and a row for each image, in UTF-8"
        raise UnusableError(f"can't be read as a table: {said}") from None


def cells(path: Path) -> list[list[str]]:
    """The header and the rows of a table. Raises CnncliError if it can't be read."""
    try:
        return _lines(path)
    except (OSError, csv.Error, UnicodeError) as error:
        raise CnncliError(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from None


def without_ending(name: str) -> str:
    """The name of an image's file without folders and ending."""
    file = PurePosixPath(name.replace("\\", "/")).name
    return PurePosixPath(file).stem if is_picture(file) else file


def _lines(path: Path) -> list[list[str]]:
    with text_lines(path, encoding(path)) as lines:
        first = next(lines, "")
        delimiter = max(DELIMITERS, key=first.count)
        made = [next(csv.reader([first], delimiter=delimiter), []), *csv.reader(lines, delimiter=delimiter)]
    return [[cell.strip() for cell in row] for row in made if row]


def _pixels(path: Path, header: list[str], rows: list[list[str]], shape: tuple[int, ...]) -> Pixels:
    named = not all(map(is_number, header))
    extra, weight = None, next((at for at, name in enumerate(header) if is_weight(name)), None)
    if len(header) - (weight is not None) > prod(shape):
        known = [at for at, name in enumerate(header) if folded(name) in IDS or name.lower() in (*LABELS, "")]
        if not named or len(known) != 1:
            raise UnusableError(
                f"has {len(header):,} columns, one more than the pixels of the model's input: name it label or id in a "
                "first line, or remove it"
            )
        (extra,) = known
    rows = rows if named else [header, *rows]
    if not rows:
        raise UnusableError("must have a row for each image; it has none")
    images = csv_arrays.pixels(path, Columns(tuple(header), extra, header=named, weight=weight), len(rows))
    ids = extra is not None and folded(header[extra]) in IDS
    keys = [row[extra] if ids and extra is not None else str(number) for number, row in enumerate(rows, start=1)]
    return Pixels(images.reshape(len(images), *shape), keys)


def _files(path: Path, header: list[str], rows: list[list[str]]) -> Iterator[Row]:
    names = [folded(name) for name in header]
    at = next((names.index(name) for name in FILES if name in names), None)
    if at is None:
        raise UnusableError(
            f"a table of images must have a column {', '.join(FILES[:2])} or id that names files, or the pixels of the "
            f"model's input; received {', '.join(header[:4])}{', …' if len(header) > 4 else ''}"
        )
    if not rows:
        raise UnusableError("must have a row for each image; it has none")
    files = _Files(path.parent)
    for row in rows:
        name = row[at] if at < len(row) else ""
        try:
            yield Row(without_ending(name), files.find(name))
        except UnusableError as error:
            yield Row(name, None, str(error))


class _Files:
    """The images that a table may mean: in its folder, in one for tests or pictures there, or else in any."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str) -> Path:
        """The file of a name, which may lack its ending. Raises UnusableError if there is none, or several."""
        path = PurePosixPath(name.replace("\\", "/"))
        if not name or path.is_absolute() or ".." in path.parts:
            raise UnusableError("a file must be a path inside the table's folder")
        for place in self.places:
            if is_picture(path.name) and (place / path).is_file():
                return place / path
        found = next((index[str(path)] for index in self.stems if str(path) in index), [])
        if len(found) > 1:
            raise UnusableError(f"is ambiguous: {' or '.join(file.name for file in found)}")
        if not found:
            others = ", ".join(place.relative_to(self.folder).as_posix() for place in self.places[1:])
            raise UnusableError(f"there is no such image in {self.folder}{f', nor in {others}' if others else ''}")
        return found[0]

    @cached_property
    def places(self) -> list[Path]:
        return [self.folder, *(list(_folders(self.folder, named=True)) or _folders(self.folder, named=False))]

    @cached_property
    def stems(self) -> list[dict[str, list[Path]]]:
        """By place, the images by their names without ending."""
        made = []
        for place in self.places:
            found: defaultdict[str, list[Path]] = defaultdict(list)
            for name, is_folder in entries(place):
                if not is_folder and is_picture(name):
                    found[PurePosixPath(name).stem].append(place / name)
            made.append(dict(found))
        return made


def _folders(folder: Path, *, named: bool) -> Iterator[Path]:
    """The folders in a folder and below; with `named` those for tests or for pictures."""
    for name, is_folder in entries(folder):
        place = folder / name
        if is_folder and not place.is_symlink() and (not named or split_of(name) == "test" or is_filler(name)):
            yield place
            yield from _folders(place, named=named)
