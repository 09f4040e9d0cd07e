"""Brightness statistics of training images, to detect inputs that look inverted or differently scaled."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import fsum, isfinite, sqrt
from typing import Any

import numpy as np

from cnncli.datasets.batches import scaled
from cnncli.datasets.dataset import Split
from cnncli.datasets.rescale import Rescale
from cnncli.datasets.sources.memmap import Mapped

Array = np.ndarray[Any, Any]
PORTION = 256
"""Images that are measured together."""
LEAST = 0.25
"""The share of the way from black to white that an image must be off."""
DEVIATIONS = 4
"""The standard deviations that it must be off."""
ONE_SIDED = 2
"""The standard deviations that the training images' mean must be from the middle of black and white."""


@dataclass(frozen=True)
class BrightnessStats:
    """Of images as they are scaled, all channels alike: the mean and the standard deviation of their means; the least
    and the greatest number in any of them.
    """

    mean: float
    deviation: float
    least: float
    greatest: float

    @classmethod
    def of(cls, split: Split, rescale: Rescale) -> "BrightnessStats":
        """That of a split's images before augmentation; of a mapped file, little is in memory at a time."""
        scale = scaled(split.x[:1], rescale)
        factor = scale.factor / scale.divisor
        means, least, greatest = [], [], []
        for images in portions(split):
            # Of bytes the sums are exact, so that every machine writes the same.
            kind = np.int64 if images.dtype == np.uint8 else np.float64
            size = images[0].size
            means += [float(total) / size for total in images.reshape(len(images), size).sum(1, dtype=kind)]
            least.append(float(images.min()))
            greatest.append(float(images.max()))
        mean = fsum(means) / len(means)
        deviation = sqrt(fsum((each - mean) ** 2 for each in means) / len(means))
        ends = sorted((min(least) * factor, max(greatest) * factor))
        return cls(*(round(number, 6) for number in (mean * factor, deviation * abs(factor), *ends)))

    def __post_init__(self) -> None:
        if not all(map(isfinite, (self.mean, self.deviation, self.least, self.greatest))):
            raise ValueError("must have finite numbers")

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    def spans(self, least: float, greatest: float, *, bytes_only: bool) -> bool:
        """Whether an image of these numbers, as it is fed, may be of the same kind: they are at most as far beyond as
        the training images are wide, and where these go below 0 no bytes (`bytes_only`), which never do, are like them.
        """
        width = self.greatest - self.least
        return self.least - width <= least and greatest <= self.greatest + width and not (bytes_only and self.least < 0)

    def inverse_of(self, mean: float, white: float) -> str:
        """ "lighter" or "darker" where an image is so by far, and looks inverted: nearly all training images are on one
        side of the middle of black and white, as light digits on dark are, and it is on the other. Else "".

        `mean`: the image's, as it is fed; `white`: what white is then, black being 0. Most photos are on both sides:
        next to them nothing looks inverted.
        """
        if self.least < 0 or not 0 < self.greatest <= 1.01 * white:
            return ""
        side, off = self.mean - white / 2, mean - self.mean
        one_sided = abs(side) > ONE_SIDED * self.deviation
        far = abs(off) > max(LEAST * white, DEVIATIONS * self.deviation)
        if not one_sided or not far or side * (mean - white / 2) >= 0:
            return ""
        return "lighter" if off > 0 else "darker"


def portions(split: Split) -> Iterator[Array]:
    """The images of a split, of which few are in memory at a time."""
    mapped = Mapped(split.x)
    for start in range(0, len(split), PORTION):
        rows = split.numbers[start : start + PORTION]
        mapped.check()
        yield split.x[rows]
        mapped.used(len(rows))
