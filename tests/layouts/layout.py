"""What a layout of docs/layouts.md is, and helpers that write files."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.layouts import shapes
from tests.layouts.shapes import NAMES


@dataclass(frozen=True)
class Layout:
    """`name`: of its picture. `title` and `text`: of its section. `write`: writes its files into an empty folder.

    `source`: what the command names, and `options` those that it needs. `keys`: of `data`, which are added to the spec
    that `init` writes; `epochs`: of the training, after which `metric` on `split` must be at least `least`.
    """

    name: str
    title: str
    text: str
    write: Callable[[Path], None]
    source: str = "photos"
    options: Sequence[str] = ()
    keys: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 15
    metric: str = "accuracy"
    split: str = "test"
    least: float = 0.9


def save(path: Path, pixels: Any) -> None:
    """Write an image file, and the folder around it.

    Those called .jpg hold PNG, so that the pictures of the page are the same with every version of libjpeg.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG" if path.suffix == ".jpg" else None)


def text(path: Path, *lines: str) -> None:
    """Write a text file, and the folder around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = ",") -> None:
    """Write a table; without a header where it is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows([header, *rows] if header else rows)


def folders(root: Path, split: str = "train", name: str = "{:03}.png") -> None:
    """A folder for each class."""
    for number, label in enumerate(NAMES):
        for i, pixels in enumerate(shapes.drawn(number, split)[0]):
            save(root / label / name.format(i), pixels)


def flat(root: Path, split: str = "train", name: str = "{:03}.png") -> list[tuple[str, int]]:
    """The images of all classes in a folder, in random order; their names, with the numbers of their classes."""
    x, y = shapes.arrays(split)
    names = [name.format(i) for i in range(len(x))]
    for file, pixels in zip(names, x, strict=True):
        save(root / file, pixels)
    return [(file, int(number)) for file, number in zip(names, y, strict=True)]


def stem(file: str) -> str:
    """A file's name without its ending."""
    return Path(file).stem


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)
