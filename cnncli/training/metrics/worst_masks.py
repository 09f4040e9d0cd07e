"""The images of a segmentation model with the most wrong pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnncli.datasets.dataset import Split

Array = np.ndarray[Any, Any]
KEPT = 24
"""Images: each keeps its mask in memory."""


@dataclass(frozen=True, eq=False)
class MaskMistake:
    """An image with wrong pixels: row in the source's array, file (if any), and share of wrong pixels.

    `position`: its row in the split; `true`, `predicted`: class of each pixel, uint8 (H, W); `valid`: whether it has
    one, bool (H, W). The share is that of valid pixels.
    """

    index: int
    wrong: float
    position: int
    true: Array
    predicted: Array
    valid: Array
    file: str = ""

    @property
    def differs(self) -> Array:
        """Which pixels are wrong: bool (H, W)."""
        wrong: Array = (self.true != self.predicted) & self.valid
        return wrong


class WorstMasks:
    """Keeps the images with the largest shares of wrong pixels, the first of equal ones."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.found: list[MaskMistake] = []

    def add(self, true: Array, predicted: Array, valid: Array, start: int) -> None:
        """Look at a batch. true, predicted: class numbers (n, H, W); valid: which pixels have a class, bool (n, H, W);
        start: its first row in the split.
        """
        wrong = ((predicted != true) & valid).sum((1, 2)) / np.maximum(1, valid.sum((1, 2)))
        least = self.found[-1].wrong if len(self.found) == KEPT else 0.0
        for i in np.flatnonzero(wrong > least).tolist():
            row = int(self.split.numbers[start + i])
            file = self.split.files[row] if self.split.files else ""
            index = self.split.start + row
            own, given, known = true[i].astype(np.uint8), predicted[i].astype(np.uint8), valid[i].copy()
            self.found.append(MaskMistake(index, float(wrong[i]), start + i, own, given, known, file))
        self.found.sort(key=lambda mistake: (-mistake.wrong, mistake.position))
        del self.found[KEPT:]
