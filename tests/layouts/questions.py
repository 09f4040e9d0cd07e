"""Data that could mean several things, or that is no image: how it is written, and what docs/layouts.md says it is."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.layouts import shapes
from tests.layouts.gallery import folders, save, table
from tests.layouts.shapes import NAMES


class Question(NamedTuple):
    """`what`: lies there. `write`: writes it into an empty folder. `source`: what the command names."""

    what: str
    write: Callable[[Path], None]
    source: str = "photos"


def unnamed_splits(root: Path) -> None:
    folders(root / "photos/first")
    folders(root / "photos/second", "test")


def extra_folder(root: Path) -> None:
    folders(root / "photos/train")
    folders(root / "photos/val", "val")
    save(root / "photos/more/1.png", shapes.drawn(0)[0][0])


def twice(root: Path) -> None:
    folders(root / "photos/train")
    folders(root / "photos/training")


def several_archives(root: Path) -> None:
    for name in ("first", "second"):
        (root / "photos").mkdir(exist_ok=True)
        x, y = shapes.arrays()
        np.savez(root / f"photos/{name}.npz", x_train=x, y_train=y)


def no_header(root: Path) -> None:
    generator = np.random.default_rng(0)
    table(root / "digits.csv", (), [(i % 3, *generator.integers(0, 255, 14), i % 4) for i in range(48)])


def two_images(root: Path) -> None:
    x, y = shapes.arrays()
    np.savez(root / "shapes.npz", train_images=x, X_train=x, y_train=y)


def pickles(root: Path) -> None:
    (root / "cifar").mkdir()
    for name in ("batches.meta", "data_batch_1", "test_batch"):
        (root / "cifar" / name).write_bytes(b"\x80\x02")


def photographs(root: Path) -> None:
    for name in NAMES:
        (root / "photos" / name).mkdir(parents=True)
        for i in range(5):
            (root / f"photos/{name}/{i}.heic").write_bytes(b"ftypheic")


def one_class(root: Path) -> None:
    for i, pixels in enumerate(shapes.drawn(0)[0]):
        save(root / f"photos/circle/{i:03}.png", pixels)


QUESTIONS = (
    Question("Folders that all hold the same folders", unnamed_splits),
    Question("Another folder of images beside train and val", extra_folder),
    Question("Two folders for one split", twice),
    Question("Two files that are datasets by themselves", several_archives),
    Question(
        "A table of pixels without a header, whose first and last column could be the class", no_header, "digits.csv"
    ),
    Question("Two arrays that could be the training images", two_images, "shapes.npz"),
    Question("CIFAR's pickles", pickles, "cifar"),
    Question("Files of a format that is not read", photographs),
    Question("One class alone", one_class),
)
