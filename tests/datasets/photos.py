"""Folders of made-up images."""

from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = (".png", ".jpg", ".webp", ".bmp", ".gif")


def picture(path: Path, *, size=(6, 4), colour=(10, 20, 30), **options) -> Path:
    """Write an image of one colour; `size` is (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.broadcast_to(np.array(colour, np.uint8), (*size, len(colour)))
    Image.fromarray(pixels).save(path, **options)
    return path


def classes(root: Path, names=("cats", "dogs"), count=4, **options) -> Path:
    """A folder a class, each with `count` images whose colours all differ."""
    for number, name in enumerate(names):
        for i in range(count):
            picture(root / name / f"{i:02}.png", colour=(10 * i, 100 + number, 7), **options)
    return root


def table(root: Path, text: str) -> Path:
    """A folder with the images a.png … f.png and a labels.csv."""
    for name in "abcdef":
        picture(root / f"{name}.png", colour=(ord(name), 0, 0))
    (root / "labels.csv").write_text(text)
    return root
