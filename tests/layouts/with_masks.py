"""Layouts: images with segmentation masks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.layouts import shapes
from tests.layouts.layout import Layout, save, table, text
from tests.layouts.shapes import NAMES

Array = np.ndarray[Any, Any]
COLORS = np.array([(0, 0, 0), (128, 64, 128), (0, 128, 192), (192, 192, 0)], np.uint8)
VOID = 255
SPLITS = ("train", "val", "test")


def pairs(image: str, mask: str, splits: Sequence[str] = SPLITS, *, colors: bool = False, root: Path) -> None:
    """Images and masks by patterns of their names, with places for the split and a number."""
    for split in splits:
        for i, (pixels, numbers) in enumerate(zip(*shapes.masks(split), strict=True)):
            save(root / image.format(split, i), pixels)
            save(root / mask.format(split, i), COLORS[numbers] if colors else numbers)


def mask_folders(root: Path) -> None:
    pairs("photos/images/{1:03}.jpg", "photos/masks/{1:03}.png", ["train"], root=root)


def masks_beside(root: Path) -> None:
    for i, (pixels, numbers) in enumerate(zip(*shapes.masks(), strict=True)):
        save(root / f"cells/{i:03}.png", pixels)
        save(root / f"cells/{i:03}_mask.png", (numbers > 0) * np.uint8(255))


def split_masks(root: Path) -> None:
    pairs("photos/{}/images/{:03}.png", "photos/{}/masks/{:03}.png", colors=True, root=root)


def camvid(root: Path) -> None:
    pairs("photos/{}/{:03}.png", "photos/{}annot/{:03}.png", colors=True, root=root)
    rows = [(name, *map(int, color)) for name, color in zip(("ground", *NAMES), COLORS, strict=True)]
    table(root / "photos/class_dict.csv", ("name", "r", "g", "b"), rows)


def pascal_voc(root: Path) -> None:
    """Masks with a palette, void around each shape, and lists of the splits."""
    palette = [*COLORS.ravel().tolist(), *[0] * (3 * (VOID - len(COLORS))), 224, 224, 192]
    for split in ("train", "val"):
        names = []
        for i, (pixels, numbers) in enumerate(zip(*shapes.masks(split), strict=True)):
            names.append(f"{split[0]}{i:03}")
            inner = numbers > 0
            around = np.pad(inner, 1)
            near = around[2:, 1:-1] | around[:-2, 1:-1] | around[1:-1, 2:] | around[1:-1, :-2]
            numbers[near & ~inner] = VOID
            save(root / f"VOC2012/JPEGImages/{names[-1]}.jpg", pixels)
            mask = Image.fromarray(numbers)
            mask.putpalette(palette)
            (root / "VOC2012/SegmentationClass").mkdir(exist_ok=True)
            mask.save(root / f"VOC2012/SegmentationClass/{names[-1]}.png")
        text(root / f"VOC2012/ImageSets/Segmentation/{split}.txt", *names)


METRIC: dict[str, Any] = {"metric": "mean_io_u", "epochs": 40, "least": 0.7}

LAYOUTS = (
    Layout(
        "mask_folders",
        "A folder of images and a folder of masks",
        "A mask has the name of its image; its gray levels are the classes of the pixels, from 0.",
        mask_folders,
        **METRIC,
    ),
    Layout(
        "masks_beside",
        "Masks beside images",
        "Masks in black and white have the classes 0 and 1.",
        masks_beside,
        "cells",
        **METRIC,
    ),
    Layout(
        "split_masks",
        "Masks in colors",
        "Each color is a class. `init` lists them as `palette`, where they may get names.",
        split_masks,
        **METRIC,
    ),
    Layout(
        "camvid",
        "Names of the colors",
        "As in CamVid: the splits are in the names of folders, and `class_dict.csv` names each color.",
        camvid,
        **METRIC,
    ),
    Layout(
        "pascal_voc",
        "Pascal VOC",
        "Lists say which images are in which split. The number 255 around objects is void: `ignore_class` of the loss, "
        "which `init` writes, leaves these pixels out.",
        pascal_voc,
        "VOC2012",
        split="val",
        **METRIC,
    ),
)
