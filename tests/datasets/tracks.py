"""Tracks: frames of a drawing that moves over a background, which is the same in all frames of a track."""

import numpy as np
from PIL import Image

from tests.datasets.lookalikes import photograph

SHAPES = ("bar", "disc", "ring")


def drawing(shape, center, side):
    """Where a drawing has ink: bool (side, side)."""
    ys, xs = np.mgrid[:side, :side] - np.array(center)[:, None, None]
    radius = np.hypot(xs, ys)
    return {"bar": (abs(ys) < 1.5) & (abs(xs) < 5), "disc": radius < 3, "ring": abs(radius - 4) < 1}[shape]


def track(generator, shape, frames, side=24):
    """Frames of one track: uint8 (side, side, 3) each."""
    background = photograph(generator, side).astype(np.float64)
    start, step = generator.uniform(7, 15, 2), generator.uniform(-0.3, 0.3, 2)
    for frame in range(frames):
        image = background + generator.normal(0, 2, background.shape)
        image[drawing(shape, start + frame * step, side)] += 25
        yield image.clip(0, 255).astype(np.uint8)


def write(root, generator, tracks, frames, first=0):
    """A folder a class, each with so many tracks: disc/00003_00001.png is frame 1 of track 3."""
    number = first
    for shape in SHAPES:
        (root / shape).mkdir(parents=True, exist_ok=True)
        for _ in range(tracks):
            for frame, pixels in enumerate(track(generator, shape, frames)):
                Image.fromarray(pixels).save(root / shape / f"{number:05}_{frame:05}.png")
            number += 1
    return root
