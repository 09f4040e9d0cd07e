"""The layouts of docs/layouts.md: how their files are written, what a spec says, and what a model learns at least."""

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

    `source`: what the command names. `keys`: of `data` that the layout needs, beside those that `init` finds itself;
    `epochs`: of the training, after which `metric` on the test images must be at least `least`.
    """

    name: str
    title: str
    text: str
    write: Callable[[Path], None]
    source: str = "photos"
    keys: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 15
    metric: str = "accuracy"
    least: float = 0.9


def save(path: Path, pixels: Any, **options: Any) -> None:
    """Write an image file, and the folder around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = ",") -> None:
    """Write a table; without a header where it is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows([header, *rows] if header else rows)


def folders(root: Path, split: str = "train", suffix: str = ".png") -> None:
    """A folder for each class."""
    for number, name in enumerate(NAMES):
        for i, pixels in enumerate(shapes.drawn(number, split)[0]):
            save(root / name / f"{i:03}{suffix}", pixels)


def class_folders(root: Path) -> None:
    folders(root / "photos")


def split_folders(root: Path) -> None:
    folders(root / "photos/Training")
    folders(root / "photos/Testing", "test")


def wrapped_splits(root: Path) -> None:
    folders(root / "archive/seg_train/seg_train")
    folders(root / "archive/seg_test/seg_test", "test")
    x, _ = shapes.arrays("val")
    for i, pixels in enumerate(x):
        save(root / f"archive/seg_pred/{i:03}.png", pixels)


def labels_table(root: Path) -> None:
    x, y = shapes.arrays()
    for i, pixels in enumerate(x):
        save(root / f"photos/{i:03}.png", pixels)
    table(root / "photos/labels.csv", ("file", "label"), [(f"{i:03}.png", NAMES[number]) for i, number in enumerate(y)])


def several_classes(root: Path) -> None:
    generator = np.random.default_rng(0)
    rows = []
    for i in range(60):
        shown = generator.integers(0, 2, len(NAMES))
        pixels = generator.integers(190, 245, (shapes.SIDE, shapes.SIDE, 3)).astype(np.uint8)
        for number in np.flatnonzero(shown):
            pixels[8 * number : 8 * number + 8] = shapes.COLORS[number]
        save(root / f"photos/{i:03}.png", pixels)
        rows.append((f"{i:03}.png", *shown))
    table(root / "photos/labels.csv", ("file", "red", "blue", "green"), rows)


def numbers_table(root: Path) -> None:
    rows = []
    for number in range(len(NAMES)):
        for i, (pixels, reach) in enumerate(zip(*shapes.drawn(number, count=40), strict=True)):
            file = f"{NAMES[number]}{i:03}.png"
            save(root / "photos" / file, pixels)
            rows.append((file, f"{reach / 10:.3f}"))
    table(root / "photos/labels.csv", ("file", "radius"), rows)


def npz(root: Path) -> None:
    (x_train, y_train), (x_test, y_test) = shapes.arrays(), shapes.arrays("test")
    np.savez(root / "shapes.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def npy(root: Path) -> None:
    (root / "shapes").mkdir()
    for split in ("train", "test"):
        x, y = shapes.arrays(split)
        np.save(root / f"shapes/X_{split}.npy", x)
        np.save(root / f"shapes/y_{split}.npy", y)


def channels_first(root: Path) -> None:
    arrays = {}
    for split in ("train", "val", "test"):
        x, y = shapes.arrays(split)
        arrays |= {f"{split}_images": x.transpose(0, 3, 1, 2), f"{split}_labels": y[:, None]}
    np.savez(root / "shapes.npz", **arrays)


def pixel_table(root: Path) -> None:
    for split in ("train", "test"):
        x, y = shapes.arrays(split)
        gray = x.mean(axis=3).astype(np.uint8)[:, ::2, ::2]
        rows = [(NAMES[number], *pixels.ravel()) for pixels, number in zip(gray, y, strict=True)]
        table(root / f"shapes/{split}.csv", ("label", *(f"pixel{i}" for i in range(gray[0].size))), rows)


def mask_folders(root: Path) -> None:
    for i, (pixels, mask) in enumerate(zip(*shapes.masks(), strict=True)):
        save(root / f"photos/images/{i:03}.jpg", pixels)
        save(root / f"photos/masks/{i:03}.png", mask)


def masks_beside(root: Path) -> None:
    for i, (pixels, mask) in enumerate(zip(*shapes.masks(), strict=True)):
        save(root / f"photos/{i:03}.png", pixels)
        save(root / f"photos/{i:03}_mask.png", (mask > 0) * np.uint8(255))


LAYOUTS = (
    Layout(
        "class_folders",
        "A folder for each class",
        "The names of the folders are the classes. Validation and test images are a random share of each class.",
        class_folders,
    ),
    Layout(
        "split_folders",
        "Folders of splits",
        "Folders called train, val and test, or by another usual name, are splits.",
        split_folders,
    ),
    Layout(
        "wrapped_splits",
        "Folders around folders",
        "Folders that hold nothing but one folder are passed; images to predict are left out of the training.",
        wrapped_splits,
        "archive",
    ),
    Layout("labels_table", "A table of files and classes", "Each row has a file and its class.", labels_table),
    Layout(
        "several_classes",
        "Several classes in an image",
        "A column for each class, with 1 where the image shows it: each output of the model is a yes or no.",
        several_classes,
        metric="binary_accuracy",
    ),
    Layout(
        "numbers_table",
        "Numbers to predict",
        "Numbers with fractions, or several columns of numbers, are predicted as such: a regression.",
        numbers_table,
        epochs=40,
        metric="r2_score",
        least=0.6,
    ),
    Layout("npz", "Arrays in one file", "Images and labels as NumPy saves them.", npz, "shapes.npz"),
    Layout("npy", "A file for each array", "They stay on disk, and may be larger than memory.", npy, "shapes"),
    Layout(
        "channels_first",
        "Arrays of other libraries",
        "Other names are understood, such as MedMNIST's; channels first, as in PyTorch, are transposed.",
        channels_first,
        "shapes.npz",
    ),
    Layout(
        "pixel_table",
        "A table of pixels",
        "Each row is a square image: its class, and its pixels.",
        pixel_table,
        "shapes",
        epochs=30,
    ),
)
