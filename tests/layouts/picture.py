"""Draws a layout: its files as a tree, beside the images as cnncli reads them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from cnncli.datasets.dataset import Dataset, Split
from cnncli.report.pictures.draw import draw
from cnncli.report.pictures.drawing import LINE, TEXT, Drawing, Group, Item, Label, text_width
from cnncli.report.pictures.figures import Sheet, Tile
from cnncli.report.pictures.parts import EDGE, SMALL
from cnncli.report.plots.images import as_image
from cnncli.report.plots.overlays import class_colors, covered

MOST_FOLDERS, MOST_LINES, LONGEST = 4, 3, 34
"""What is shown of a folder, of a table, and of one of its lines."""
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
    entries = sorted(folder.iterdir(), key=lambda entry: (entry.is_file(), entry.name))
    folders, files = [e for e in entries if e.is_dir()], [e for e in entries if e.is_file()]
    for entry in folders[:MOST_FOLDERS]:
        yield depth, f"{entry.name}/", "ink"
        yield from tree(entry, depth + 1)
    if len(folders) > MOST_FOLDERS:
        yield depth, f"… {len(folders) - MOST_FOLDERS} more folders", "muted"
    if images := [file.name for file in files if not _is_told(file)]:
        yield depth, " … ".join(dict.fromkeys((images[0], images[-1]))), "ink"
    for file in filter(_is_told, files):
        yield depth, file.name, "ink"
        yield from ((depth + 1, text, "muted") for text in _told(file))


def _is_told(file: Path) -> bool:
    return file.suffix in (*TABLES, ".npz", ".npy")


def _told(file: Path) -> Iterator[str]:
    """What is in a table or an array."""
    if file.suffix == ".npy":
        yield _array(np.load(file, mmap_mode="r"))
    elif file.suffix == ".npz":
        with np.load(file) as held:
            yield from (f"{key}: {_array(held[key])}" for key in held)
    else:
        lines = file.read_text(encoding="utf-8").splitlines()
        yield from (line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in lines[:MOST_LINES])
        if len(lines) > MOST_LINES:
            yield "…"


def _array(array: np.ndarray) -> str:
    return f"{array.dtype} ({', '.join(map(str, array.shape))}{',' * (array.ndim == 1)})"


def samples(data: Dataset) -> Sheet:
    """Some images of each class, or of all where there are none, with what the model is to say of them."""
    split = data.train
    assert split is not None
    rows = list(_rows(split, len(data.classes)))
    tiles = [Tile(_image(split, row), (_answer(split, row, data.classes),)) for row in rows]
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
