"""Data that could mean several things, or that is no image: how it is written, and what docs/layouts.md says it is."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.layouts import shapes
from tests.layouts.in_names import tracks
from tests.layouts.in_tables import split_column
from tests.layouts.layout import flat, folders, save, stem, table
from tests.layouts.shapes import NAMES
from tests.layouts.with_boxes import coco
from tests.layouts.with_masks import mask_folders


class Question(NamedTuple):
    """`what`: lies there. `write`: writes it into an empty folder. `source`: what `init` names; `spec`: the data of a
    spec that `check` is given instead, where `init` would ask nothing.
    """

    what: str
    write: Callable[[Path], None]
    source: str = "photos"
    spec: str = ""


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


def table_of(root: Path, header: tuple[str, ...] = ("id", "label"), count: int = 60, name: str = "train") -> None:
    """Images in a folder, and a table of some of them; its columns but the first have classes."""
    rows = [
        (stem(file), *[NAMES[(number + i * place) % 3] for place in range(len(header) - 1)])
        for i, (file, number) in enumerate(flat(root / "photos/images"))
    ]
    table(root / f"photos/{name}.csv", header, rows[:count])


def two_tables(root: Path) -> None:
    table_of(root)
    table_of(root, name="metadata")


def two_columns(root: Path) -> None:
    table_of(root, ("id", "species", "breed"))


def few_named(root: Path) -> None:
    table_of(root, count=3)


def no_columns(root: Path) -> None:
    table_of(root, ("no", "picture", "what is seen"))


def two_endings(root: Path) -> None:
    table_of(root)
    flat(root / "photos/images", name="{:03}.jpg")


def two_folders(root: Path) -> None:
    for folder in ("large", "small"):
        rows = flat(root / "photos" / folder)
    table(root / "photos/metadata.csv", ("file_name", "label"), [(file, NAMES[number]) for file, number in rows])


def ages(root: Path) -> None:
    for i, (file, number) in enumerate(flat(root / "photos")):
        (root / "photos" / file).rename(root / f"photos/{20 + i}_{number % 2}_{i % 4}_2017{i:04}.jpg")


def no_pattern(root: Path) -> None:
    flat(root / "photos")


def two_masks(root: Path) -> None:
    mask_folders(root)
    for mask in (root / "photos/masks").iterdir():
        save(root / "photos/labels" / mask.name, np.zeros((shapes.SIDE, shapes.SIDE), np.uint8))


def test_alone(root: Path) -> None:
    flat(root / "photos/test", "test")


def few_groups(root: Path) -> None:
    tracks(root)


FOLDERS = (
    Question("Folders that all hold the same folders", unnamed_splits),
    Question("Another folder of images beside train and val", extra_folder),
    Question("Two folders for one split", twice),
    Question("One class alone", one_class),
    Question("Images to test alone", test_alone),
    Question("Images in one folder, whose names tell nothing", no_pattern),
    Question("Names that could tell several things, as those of UTKFace", ages),
    Question("Files of a format that is not read", photographs),
)
TABLES = (
    Question("Two tables", two_tables),
    Question("Two columns that could be the class", two_columns),
    Question("Columns that are not understood", no_columns),
    Question("A table that names few of the images", few_named),
    Question("Files of two endings", two_endings),
    Question("Two folders with files of the same names", two_folders, "photos/metadata.csv"),
)
ARRAYS = (
    Question("Two files that are datasets by themselves", several_archives),
    Question(
        "A table of pixels without a header, whose first and last column could be the class", no_header, "digits.csv"
    ),
    Question("Two arrays that could be the training images", two_images, "shapes.npz"),
    Question("CIFAR's pickles", pickles, "cifar"),
)
SPECS = (
    Question("Two folders of masks", two_masks, spec="{dataset: photos/, targets: masks}"),
    Question("A detection set", coco, spec="{dataset: traffic/, image_size: [24, 24]}"),
    Question(
        "Groups that are too large",
        few_groups,
        spec="{dataset: photos/, group_by: '([^/]*)/.*', validation_split: 0.2}",
    ),
    Question(
        "A split that the data have, and a share of it", split_column, spec="{dataset: photos/, validation_split: 0.2}"
    ),
)
QUESTIONS = (*FOLDERS, *TABLES, *ARRAYS, *SPECS)
