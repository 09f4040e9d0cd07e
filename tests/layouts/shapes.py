"""Learnable pictures: shapes in their colors on noise, with their masks, for layouts of every kind."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
NAMES = ("circle", "square", "triangle")
COLORS = np.array([(214, 90, 70), (70, 120, 214), (80, 170, 90)])
SIDE = 24
COUNTS = {"train": 20, "val": 5, "test": 6}
"""Of each class."""


def shape(number: int, reach: float, side: int = SIDE) -> Array:
    """The pixels of a shape in the middle of an image: bool (side, side)."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    inside = (np.hypot(x, y) < reach, np.maximum(abs(x), abs(y)) < 0.85 * reach, (2 * abs(x) < y + reach) & (y < reach))
    return inside[number]


def drawn(number: int, split: str = "train", count: int | None = None) -> tuple[Array, Array]:
    """Pictures of a class, uint8 (count, SIDE, SIDE, 3), and how large each shape is, float64 (count,)."""
    count = count or COUNTS[split]
    generator = np.random.default_rng([number, len(split)])
    reach = generator.uniform(5, 10, count)
    ground = generator.integers(190, 245, (count, SIDE, SIDE, 1)) + generator.integers(-6, 7, (count, 1, 1, 3))
    pixels = np.array(
        [np.where(shape(number, r)[..., None], COLORS[number], g) for r, g in zip(reach, ground, strict=True)]
    )
    return (pixels + generator.integers(-8, 9, pixels.shape)).clip(0, 255).astype(np.uint8), reach


def arrays(split: str = "train") -> tuple[Array, Array]:
    """The pictures of all classes in random order, uint8 (N, SIDE, SIDE, 3), and their class numbers, int64 (N,)."""
    x = np.concatenate([drawn(number, split)[0] for number in range(len(NAMES))])
    y = np.repeat(np.arange(len(NAMES)), len(x) // len(NAMES))
    order = np.random.default_rng(len(split)).permutation(len(x))
    return x[order], y[order]


def masks(split: str = "train") -> tuple[Array, Array]:
    """Pictures with a shape each, and the class of each pixel, uint8 (N, SIDE, SIDE): 0 around the shape."""
    parts = [(number, *drawn(number, split)) for number in range(len(NAMES))]
    x = np.concatenate([pixels for _, pixels, _ in parts])
    y = np.array([(number + 1) * shape(number, r) for number, _, reach in parts for r in reach], np.uint8)
    return x, y
