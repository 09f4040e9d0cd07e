"""Tables of boxes: _annotations.csv with filename, class, xmin, ymin, xmax and ymax (TensorFlow's object detection)."""

import csv
from collections.abc import Sequence
from pathlib import Path

from cnncli.datasets.layouts.objects import Marked, Marks, Pictures, numbers_of, read_text, split_in
from cnncli.datasets.problems import Problem
from cnncli.system.files import open_regular

KIND = "a table"
SIDES = ("xmin", "ymin", "xmax", "ymax")
FILES, LABELS = ("filename", "file", "image", "image_name", "path"), ("class", "label", "name", "class_name")
MOST_BYTES = 256 << 20
SNIFFED = 4096


def found(root: Path, files: Sequence[str]) -> list[str]:
    """The tables with such columns."""
    return [file for file in files if file.lower().endswith(".csv") and _is_one(root / file)]


def read(root: Path, files: Sequence[str], pictures: Pictures) -> Marks:
    """What the tables mark. Raises CnncliError for one that can't be read."""
    marks = Marks()
    for file in files:
        rows = csv.reader(read_text(root / file, MOST_BYTES).splitlines())
        columns = _columns(next(rows, []))
        split = split_in(file)
        for cells in rows:
            row = dict(zip(columns, map(str.strip, cells), strict=False))
            try:
                image = pictures.find(next(row[name] for name in FILES if name in row), file)
                left, top, right, bottom = numbers_of(row, SIDES)
            except (ValueError, StopIteration) as error:
                said = str(error) or "a row must name an image"
                marks.problems.append(Problem(f"{file}:{rows.line_num}", said))
                continue
            label = next((row[name] for name in LABELS if name in row), "")
            marks.objects.setdefault(image, []).append(Marked(label, (left, top, right, bottom)))
            if split or split_in(image):
                marks.split_of[image] = split or split_in(image)
    return marks


def _columns(cells: Sequence[str]) -> list[str]:
    return [cell.strip().lower() for cell in cells]


def _is_one(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            header = file.read(SNIFFED).decode("utf-8-sig", errors="replace").split("\n", 1)[0]
    except OSError:
        return False
    columns = set(_columns(header.split(",")))
    return columns.issuperset(SIDES) and bool(columns & {*FILES}) and bool(columns & {*LABELS})
