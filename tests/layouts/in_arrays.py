"""Layouts: arrays, and tables of pixels."""

from pathlib import Path

import numpy as np

from tests.layouts import shapes
from tests.layouts.layout import Layout, table
from tests.layouts.shapes import NAMES

Array = np.ndarray


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


def hdf5(root: Path) -> None:
    import h5py  # an extra

    with h5py.File(root / "shapes.h5", "w") as file:
        for split in ("train", "test"):
            file[f"{split}/images"], file[f"{split}/labels"] = shapes.arrays(split)


def gray(split: str) -> tuple[Array, Array]:
    """Small gray pictures, uint8 (N, 12, 12), and their class numbers."""
    x, y = shapes.arrays(split)
    return x.mean(axis=3).astype(np.uint8)[:, ::2, ::2], y


def pixel_table(root: Path) -> None:
    for split in ("train", "test"):
        x, y = gray(split)
        rows = [(NAMES[number], *pixels.ravel()) for pixels, number in zip(x, y, strict=True)]
        table(root / f"shapes/{split}.csv", ("label", *(f"pixel{i}" for i in range(x[0].size))), rows)


def unlabelled_pixels(root: Path) -> None:
    for split in ("train", "test"):
        x, y = gray(split)
        labels = [(number,) for number in y] if split == "train" else [()] * len(y)
        rows = [(*label, *pixels.ravel()) for pixels, label in zip(x, labels, strict=True)]
        header = (*["label"] * (split == "train"), *(f"pixel{i}" for i in range(x[0].size)))
        table(root / f"digits/{split}.csv", header, rows)


def fer2013(root: Path) -> None:
    rows: list[tuple[object, ...]] = []
    for split, usage in (("train", "Training"), ("val", "PublicTest"), ("test", "PrivateTest")):
        x, y = gray(split)
        rows += [(number, " ".join(map(str, pixels.ravel())), usage) for pixels, number in zip(x, y, strict=True)]
    table(root / "fer2013.csv", ("emotion", "pixels", "Usage"), rows)


LAYOUTS = (
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
        "hdf5", "HDF5", "The same in HDF5, with or without groups: `pip install 'cnncli[hdf5]'`.", hdf5, "shapes.h5"
    ),
    Layout(
        "pixel_table",
        "A table of pixels",
        "Each row is a square image: its class, and its pixels.",
        pixel_table,
        "shapes",
        epochs=30,
    ),
    Layout(
        "unlabelled_pixels",
        "A table of pixels without classes",
        "As in Kaggle's competitions: the images of `test.csv` have no class, and are left out of the training.",
        unlabelled_pixels,
        "digits",
        epochs=30,
    ),
    Layout(
        "fer2013",
        "All pixels in a cell",
        "As in FER2013: a column of pixels, and one of splits.",
        fer2013,
        "fer2013.csv",
        epochs=30,
    ),
)
