"""Additive statistics: what batches count and how it adds up, exactly and in no order.

A statistic counts a batch as named arrays. Their sums over all batches are exact: integers are added, and of real
numbers every batch's are kept and summed with a single rounding (fsum) when they are read. So a figure does not depend
on the order of the batches, on where a run was interrupted, or on who counted which of them.
"""

from collections.abc import Mapping
from math import fsum
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Counts = Mapping[str, Array]
"""int64 or float64 arrays by name; a name always has one dtype and shape, whatever the batch."""


class Totals:
    """The sums of one statistic's arrays over the batches that were added."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Array]] = {}
        """Of each array the sum so far, or where it is real one array per batch."""

    def add(self, counts: Mapping[str, Any]) -> None:
        """Count a batch."""
        for name, value in counts.items():
            array = np.asarray(value)
            parts = self.parts.setdefault(name, [])
            if parts and array.dtype.kind == "i":
                parts[0] = parts[0] + array
            else:
                parts.append(array)

    def sums(self) -> dict[str, Array]:
        """The sum of each array."""
        return {name: _sum(parts) for name, parts in self.parts.items()}

    def tensors(self) -> dict[str, Array]:
        """All that `restore` needs: (1, …) of integers, (batches, …) of real numbers."""
        return {name: np.stack(parts) for name, parts in self.parts.items()}

    def restore(self, tensors: Counts) -> None:
        """Go on from what `tensors` gave."""
        self.parts = {name: list(tensor) for name, tensor in tensors.items()}


class Confusion:
    """How often which class was predicted for which: int64 (true class, predicted class), of samples or pixels.

    One output tells two classes apart: above a half it is the second.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def count(self, predictions: Array, targets: Array) -> dict[str, Array]:
        pairs = class_numbers(targets) * self.classes + class_numbers(predictions)
        matrix = np.bincount(pairs.ravel(), minlength=self.classes**2)
        return {"matrix": matrix.reshape(self.classes, self.classes)}


def class_numbers(scores: Array) -> Array:
    """The class with the highest score, the first of equals; of one output, whether it is above a half.

    scores: real (n, …, classes). Returns int64 (n, …).
    """
    if scores.shape[-1] == 1:
        return (scores[..., 0] > 0.5).astype(np.int64)
    numbers: Array = scores.argmax(-1)
    return numbers


def _sum(parts: list[Array]) -> Array:
    if len(parts) == 1:
        return parts[0]
    stacked = np.stack(parts)
    flat = stacked.reshape(len(parts), -1)
    return np.array([fsum(column) for column in flat.T]).reshape(stacked.shape[1:])
