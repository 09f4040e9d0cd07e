"""Training images before and after augmentation."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cnncli.datasets.augment.augmentation import Augmentation
from cnncli.datasets.batches import Feed, order
from cnncli.datasets.channels import drawn
from cnncli.datasets.dataset import Split
from cnncli.datasets.masks import present
from cnncli.datasets.section import MOST_MASKED
from cnncli.layers.losses import LOSSES

Array = np.ndarray[Any, Any]
ANY = LOSSES.parse("mean_squared_error")
"""A loss that asks nothing of the images."""


def rows(train: Split, augment: Sequence[Augmentation], seed: int, *, images: int, draws: int) -> Array:
    """uint8 (1 + draws, n, H, W, C): the images as they are, then as the first batches of so many steps see them.

    They are the first of the first epoch's order. Images in float are spread over 0 … 255. Those with masks are
    (2 · H, W, 3): the mask is below, each class in a colour of its own.
    """
    chosen = order(len(train), seed, 0, shuffle=True)[:images]
    shape = (len(chosen), *train.x.shape[1:])
    masks = train.y if train.y is not None and train.y.ndim > 2 else None
    colors = palette(0 if masks is None else masks.shape[-1])
    if masks is not None and masks.ndim == 3:
        held = np.union1d(np.flatnonzero(present(masks)), (0, 1))
        masks, colors = held.searchsorted(masks).astype(np.uint8), palette(MOST_MASKED + 1)[held]
    made = np.empty((1 + draws, *shape), np.float32)
    channels = 0 if masks is None else len(colors)
    targets = np.zeros((1 + draws, *shape[:3], channels or shape[3]), np.float32)
    for draw in range(1 + draws):
        inputs = np.zeros(shape, np.float32)
        used = augment if draw else ()
        feed = Feed(replace(train, y=masks), 1.0, ANY, inputs, {"image": targets[draw]}, augment=used, seed=seed)
        feed.fill(chosen, draw)
        made[draw] = inputs
    if train.x.dtype != np.uint8:
        least, most = made[0].min(), made[0].max()
        made = (made - least) * (255 / max(most - least, np.finfo(np.float32).tiny))
    if masks is not None:
        pictures = drawn(made) if shape[3] > 2 else made[..., :1].repeat(3, -1)
        made = np.concatenate([pictures, targets @ colors], axis=2)
    return made.round().clip(0, 255).astype(np.uint8)


def palette(classes: int) -> Array:
    """A colour for each class, black for class 0: float32 (classes, 3). As VOC's: bits of the number."""
    number = np.arange(classes)[:, None]
    level = sum((number >> 3 * place + np.arange(3) & 1) << 7 - place for place in range(3))
    return np.asarray(level, np.float32)
