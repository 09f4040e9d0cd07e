"""Draws a layout: its files as a tree, beside the images as cnncli reads them."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnncli.datasets.dataset import Dataset, Split
from cnncli.datasets.images.as_image import as_image
from cnncli.report.pictures.draw import draw
from cnncli.report.pictures.drawing import LINE, TEXT, Drawing, Group, Item, Label, text_width
from cnncli.report.pictures.figures import Sheet, Tile
from cnncli.report.pictures.parts import EDGE, SMALL
from cnncli.report.plots.overlays import class_colors, covered

MOST_FOLDERS, MOST_NAMES, MOST_LINES, LONGEST = 6, 4, 3, 40
"""What is shown of a folder: folders, and kinds of names; of a table, and of one of its lines."""
LINES = {".xml": 9, ".yaml": 6}
"""Of files of which more lines are shown."""
INDENT, TILE, COLUMNS, GAP = 18.0, 64.0, 4, 32.0
TABLES = (".csv", ".txt", ".tsv", ".json", ".yaml", ".xml")
Line = tuple[int, str, str]
"""The depth of a line in the tree, its text, and its color."""


def picture(root: Path, data: Dataset, title: str) -> Drawing:
    """The files below `root`, and some images of each class of `data`."""
    lines = list(tree(root))
    sheet = draw(samples(data))
    items: list[Item] = [
        Label(EDGE + depth * INDENT, 2 * EDGE + number * TEXT * LINE, text, TEXT if role == "ink" else SMALL, role)
        for number, (depth, text, role) in enumerate(lines)
    ]
    wide = max(depth * INDENT + text_width(text) for depth, text, _ in lines)
    left = EDGE + wide + GAP
    height = max(sheet.height, (len(lines) + 1) * TEXT * LINE + 2 * EDGE)
    return Drawing(left + sheet.width, height, [*items, Group(left, 0, sheet.items)], title)


def tree(folder: Path, depth: int = 0) -> Iterator[Line]:
    """The names in a folder, some of them for many; of tables and arrays what is in them."""
    entries = sorted(folder.iterdir(), key=lambda entry: (entry.is_file(), _in_order(entry.name)))
    folders, files = [e for e in entries if e.is_dir()], [e for e in entries if e.is_file()]
    for entry in folders[:MOST_FOLDERS]:
        yield depth, f"{entry.name}/", "ink"
        yield from tree(entry, depth + 1)
    if len(folders) > MOST_FOLDERS:
        yield depth, f"… {len(folders) - MOST_FOLDERS} more folders", "muted"
    kinds: dict[str, list[Path]] = {}
    for file in sorted(files, key=_is_told):
        kinds.setdefault(_kind(file.name), []).append(file)
    for same in list(kinds.values())[:MOST_NAMES]:
        yield depth, " … ".join(dict.fromkeys((same[0].name, same[-1].name))), "ink"
        if _is_told(same[0]):
            yield from ((depth + 1, text, "muted") for text in _told(same[0]))
    if len(kinds) > MOST_NAMES:
        yield depth, "…", "muted"


def _kind(name: str) -> str:
    """A file's name without numbers."""
    return re.sub(r"[0-9a-f]{10,}|\d+", "0", name)


def _in_order(name: str) -> list[tuple[int, str]]:
    """A key that sorts 9 before 10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _is_told(file: Path) -> bool:
    return file.suffix in (*TABLES, *ARRAYS)


def _told(file: Path) -> Iterator[str]:
    """What is in a table or an array."""
    if file.suffix in ARRAYS:
        yield from ARRAYS[file.suffix](file)
        return
    if file.suffix == ".json":
        told = json.loads(file.read_text(encoding="utf-8"))
        lines = [f"{key}: {len(entries)} of {', '.join(entries[0])}" for key, entries in told.items()]
    else:
        lines = file.read_text(encoding="utf-8").splitlines()
    most = LINES.get(file.suffix, MOST_LINES)
    yield from (_short(line) for line in lines[:most])
    if len(lines) > most:
        yield "…"


def _short(line: str) -> str:
    bare = line.lstrip(" ")
    indented = "\N{NO-BREAK SPACE}" * (len(line) - len(bare)) + bare
    return indented if len(line) <= LONGEST else f"{indented[:LONGEST]}…"


def _npy(file: Path) -> Iterator[str]:
    yield _array(np.load(file, mmap_mode="r"))


def _npz(file: Path) -> Iterator[str]:
    with np.load(file) as held:
        yield from (f"{key}: {_array(held[key])}" for key in held)


def _hdf5(file: Path) -> Iterator[str]:
    import h5py  # an extra

    with h5py.File(file) as held:
        names: list[str] = []
        held.visit(names.append)
        yield from (f"{name}: {_array(held[name])}" for name in names if isinstance(held[name], h5py.Dataset))


ARRAYS: Mapping[str, Callable[[Path], Iterator[str]]] = {".npy": _npy, ".npz": _npz, ".h5": _hdf5}


def _array(array: Any) -> str:
    return f"{array.dtype} ({', '.join(map(str, array.shape))}{',' * (array.ndim == 1)})"


def samples(data: Dataset) -> Sheet:
    """Some images of each class, or of all where there are none, with what the model is to say of them."""
    split = data.train
    assert split is not None
    rows = list(_rows(split, len(data.classes)))
    answers = [_answer(split, row, data.classes) for row in rows]
    tiles = [Tile(_image(split, row), (answer,) * bool(answer)) for row, answer in zip(rows, answers, strict=True)]
    counts = ", ".join(f"{count} {name}" for name, count in data.sizes.items())
    return Sheet("", tiles, COLUMNS, TILE, note=f"Images: {counts}")


def _rows(split: Split, classes: int) -> Iterator[int]:
    if split.y is None or split.y.dtype != np.int64:
        yield from split.numbers[:: max(1, len(split) // (3 * COLUMNS))][: 3 * COLUMNS].tolist()
        return
    for number in range(min(classes, 3)):
        own = [row for row in split.numbers.tolist() if split.y[row] == number]
        yield from own[:COLUMNS]


def _image(split: Split, row: int) -> Image.Image:
    image = as_image(split.x[row])
    y = split.y
    return covered(image, y[row], class_colors(256)) if y is not None and y.ndim == 3 else image


def _answer(split: Split, row: int, classes: tuple[str, ...]) -> str:
    if split.y is None or split.y.ndim == 3:
        return ""
    wanted = split.y[row]
    if wanted.ndim == 0:
        return classes[int(wanted)] if split.y.dtype == np.int64 and classes else f"{float(wanted):g}"
    if ((split.y == 0) | (split.y == 1)).all():
        return ", ".join(name for name, shown in zip(classes, wanted, strict=True) if shown) or "none"
    return ", ".join(f"{value:g}" for value in wanted)
