"""The mean and the variance of each channel of the training images."""

from math import fsum
from typing import Any

import numpy as np

from cnncli.datasets.batches import scaled
from cnncli.datasets.dataset import Split
from cnncli.datasets.images.brightness_stats import portions
from cnncli.datasets.rescale import PerChannel, Rescale
from cnncli.datasets.section import Normalize

Array = np.ndarray[Any, Any]
DIGITS = 8
"""Significant digits of the numbers, more than float32 has; they are then the same on every machine."""


def channel_stats(split: Split, rescale: Rescale) -> Normalize:
    """Of a split's images as `rescale` leaves them, before augmentation. The variance of a channel of one value, which
    nothing can be divided by, is given as 1.
    """
    scale = scaled(split.x[:1], rescale)
    factors = np.full(split.x.shape[-1], scale.factor / scale.divisor)
    if isinstance(rescale, PerChannel):
        factors *= rescale.factor
    count = len(split) * split.x[0].size // split.x.shape[-1]
    sums = _sums(split, np.zeros(split.x.shape[-1]))
    means = sums / count
    variances = _sums(split, means, squared=True) / count
    return Normalize(
        mean=tuple(_rounded(mean) for mean in means * factors),
        variance=tuple(_rounded(variance) or 1.0 for variance in variances * factors**2),
    )


def _sums(split: Split, means: Array, *, squared: bool = False) -> Array:
    """The sum over all pixels of each channel less its mean, or of the squares of that: float64 (C,)."""
    parts = []
    for images in portions(split):
        off = images.reshape(-1, images.shape[-1]) - means
        parts.append((off**2 if squared else off).sum(0))
    return np.array([fsum(part) for part in zip(*parts, strict=True)])


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")
