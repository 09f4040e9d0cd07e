"""The images of a segmentation model with the most wrong pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnncli.datasets.dataset import Split
from cnncli.layers.losses import Loss
from cnncli.training.metrics.statistics import class_numbers, valid_rows

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

    def __init__(self, split: Split, loss: Loss) -> None:
        self.split, self.loss = split, loss
        self.found: list[MaskMistake] = []

    def add(self, scores: Array, targets: Array, start: int) -> None:
        """Look at a batch. scores, targets: real (n, H, W, classes); start: its first row in the split."""
        predicted, true = (class_numbers(array).astype(np.uint8) for array in (scores, targets))
        valid = valid_rows(self.loss, targets)
        wrong = ((predicted != true) & valid).sum((1, 2)) / np.maximum(1, valid.sum((1, 2)))
        least = self.found[-1].wrong if len(self.found) == KEPT else 0.0
        for i in np.flatnonzero(wrong > least).tolist():
            row = int(self.split.numbers[start + i])
            file = self.split.files[row] if self.split.files else ""
            index = self.split.start + row
            own, given, known = (array[i].copy() for array in (true, predicted, valid))
            self.found.append(MaskMistake(index, float(wrong[i]), start + i, own, given, known, file))
        self.found.sort(key=lambda mistake: (-mistake.wrong, mistake.position))
        del self.found[KEPT:]
