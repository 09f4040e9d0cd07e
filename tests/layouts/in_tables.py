"""Layouts: tables of image files and their classes."""

from pathlib import Path

import numpy as np

from tests.layouts import shapes
from tests.layouts.layout import Layout, flat, random, save, stem, table
from tests.layouts.shapes import NAMES


def labels_table(root: Path) -> None:
    rows = flat(root / "photos")
    table(root / "photos/labels.csv", ("file", "label"), [(file, NAMES[number]) for file, number in rows])


def ids(root: Path) -> None:
    digits = random().integers(16, size=(60, 12))
    rows = []
    for (file, number), own in zip(flat(root / "photos/train"), digits, strict=True):
        name = "".join(f"{digit:x}" for digit in own)
        (root / "photos/train" / file).rename(root / f"photos/train/{name}.jpg")
        rows.append((name, NAMES[number]))
    table(root / "photos/labels.csv", ("id", "breed"), rows)


def train_images(root: Path) -> None:
    rows = [(stem(file), number) for file, number in flat(root / "photos/train_images", name="a{:03}.png")]
    tests = [(stem(file),) for file, _ in flat(root / "photos/test_images", "test", "b{:03}.png")]
    table(root / "photos/train.csv", ("id_code", "diagnosis"), rows)
    table(root / "photos/test.csv", ("id_code",), tests)


def split_column(root: Path) -> None:
    rows = []
    for split in ("train", "val", "test"):
        own = flat(root / "photos/images", split, f"{split}{{:03}}.jpg")
        rows += [(file, NAMES[number], split) for file, number in own]
    table(root / "photos/metadata.csv", ("filename", "category", "split"), rows)


def own_columns(root: Path) -> None:
    rows = [(i, f"img/{file}", NAMES[number]) for i, (file, number) in enumerate(flat(root / "photos/img"))]
    table(root / "photos/list.csv", ("no", "picture", "what is seen"), rows, ";")


def ppm(root: Path) -> None:
    header = ("Filename", "Width", "Height", "ClassId")
    for folder, split in (("Train", "train"), ("Test", "test")):
        rows = flat(root / "signs" / folder, split, "{:05}.ppm")
        sized = [(file, shapes.SIDE, shapes.SIDE, number) for file, number in rows]
        table(root / f"signs/{folder}/GT.csv", header, sized, ";")


def several(root: Path, count: int = 60, name: str = "{:03}.png", seed: int = 0) -> list[tuple[str, np.ndarray]]:
    """Images with a bar for each class that they show; their names, and 0 or 1 for each class."""
    generator, rows = random(seed), []
    for i in range(count):
        shown = generator.integers(0, 2, len(NAMES))
        pixels = generator.integers(190, 245, (shapes.SIDE, shapes.SIDE, 3)).astype(np.uint8)
        for number in np.flatnonzero(shown):
            pixels[8 * number : 8 * number + 8] = shapes.COLORS[number]
        save(root / name.format(i), pixels)
        rows.append((name.format(i), shown))
    return rows


BARS = ("red", "blue", "green")


def several_classes(root: Path) -> None:
    rows = [(file, *shown) for file, shown in several(root / "photos")]
    table(root / "photos/labels.csv", ("file", *BARS), rows)


def classes_in_a_cell(root: Path) -> None:
    rows = [(file, "|".join(BARS[i] for i in np.flatnonzero(shown))) for file, shown in several(root / "photos/images")]
    table(root / "photos/train.csv", ("image", "labels"), [row for row in rows if row[1]])


def roboflow(root: Path) -> None:
    for seed, (split, count) in enumerate({"train": 60, "valid": 15, "test": 15}.items()):
        own = several(root / "photos" / split, count, f"{split}{{:03}}.jpg", seed)
        table(
            root / f"photos/{split}/_classes.csv",
            ("filename", *(f" {bar}" for bar in BARS)),
            [(file, *shown) for file, shown in own],
        )


LAYOUTS = (
    Layout("labels_table", "A table of files and classes", "Each row has a file and its class.", labels_table),
    Layout(
        "ids",
        "Names without endings",
        "A table may name images without their endings, and lie beside their folder.",
        ids,
    ),
    Layout(
        "train_images",
        "A table and its folder",
        "`train.csv` names the images of `train_images`; those of `test.csv` have no class, and are to be predicted.",
        train_images,
    ),
    Layout("split_column", "A column of splits", "All splits in one table.", split_column),
    Layout(
        "own_columns",
        "Columns with other names",
        "Columns that have no usual names are chosen by `--columns`, which becomes `columns` in the spec.",
        own_columns,
        options=("--columns=file=picture", "--columns=label=what is seen"),
    ),
    Layout(
        "ppm",
        "A table in each split",
        "As in traffic signs (GTSRB): images in PPM, and tables with semicolons. Other columns are ignored.",
        ppm,
        "signs",
    ),
    Layout(
        "several_classes",
        "Several classes in an image",
        "A column for each class, with 1 where the image shows it: each output of the model is a yes or no.",
        several_classes,
        metric="binary_accuracy",
    ),
    Layout(
        "classes_in_a_cell",
        "Several classes in a cell",
        "Separated by `|`, or by another `separator` under `columns`.",
        classes_in_a_cell,
        metric="binary_accuracy",
    ),
    Layout(
        "roboflow",
        "Exports of Roboflow",
        "A table of classes in the folder of each split.",
        roboflow,
        metric="binary_accuracy",
    ),
)
