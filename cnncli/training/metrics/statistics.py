"""Additive statistics: exact sums over batches, independent of their order.

A statistic maps a batch to named arrays. Their sums over all batches are exact: integers are added; real numbers are
kept per batch and summed with a single rounding (fsum) when read. So results do not depend on the order of the batches,
on where a run was interrupted, or on which process counted which batch.
"""

from collections.abc import Mapping
from math import fsum
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Counts = Mapping[str, Array]
"""int64 or float64 arrays by name; the dtype and shape of a name are the same for all batches."""


class Totals:
    """Accumulated arrays of one statistic."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Array]] = {}
        """For each array: the running sum if it is an integer array, else one array per batch."""

    def add(self, counts: Mapping[str, Any]) -> None:
        """Add the counts of a batch."""
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
        """The arrays that `restore` needs: (1, …) of integers, (batches, …) of real numbers."""
        return {name: np.stack(parts) for name, parts in self.parts.items()}

    def restore(self, tensors: Counts) -> None:
        """Restore the sums from what `tensors` returned."""
        self.parts = {name: list(tensor) for name, tensor in tensors.items()}


class Confusion:
    """Confusion matrix: int64 (true class, predicted class), of samples or pixels.

    A single output distinguishes two classes: above 0.5 is the second.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def count(self, predictions: Array, targets: Array) -> dict[str, Array]:
        pairs = class_numbers(targets) * self.classes + class_numbers(predictions)
        matrix = np.bincount(pairs.ravel(), minlength=self.classes**2)
        return {"matrix": matrix.reshape(self.classes, self.classes)}


def class_numbers(scores: Array) -> Array:
    """The class with the highest score (the first of ties); for a single output, whether it is above 0.5.

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
