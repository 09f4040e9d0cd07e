"""Additive statistics: exact sums over batches, independent of their order.

A statistic maps a batch to named arrays. Their sums over all batches are exact: integers are added; real numbers are
kept per batch and summed with a single rounding (fsum) when read. So results do not depend on the order of the batches,
on where a run was interrupted, or on which process counted which batch.
"""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Any

import numpy as np

from cnncli.layers.loss import Loss

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


def confusion_matrix(true: Array, predicted: Array, classes: int) -> Array:
    """Counts of true (rows) and predicted classes: int64 (classes, classes). true, predicted: int64 (n, …)."""
    pairs = true * classes + predicted
    return np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)


def class_numbers(scores: Array) -> Array:
    """The class with the highest score (the first of ties); for a single output, whether it is above 0.5.

    scores: real (n, …, classes). Returns int64 (n, …).
    """
    if scores.shape[-1] == 1:
        return (scores[..., 0] > 0.5).astype(np.int64)
    numbers: Array = scores.argmax(-1)
    return numbers


def valid_rows(loss: Loss, targets: Array) -> Array:
    """Which targets, real (n, …, classes), have a class: bool (n, …). With `ignore_class` rows of zeros have none."""
    valid: Array = np.ones(targets.shape[:-1], bool) if loss.void is None else (targets != 0).any(-1)
    return valid


def of_valid(loss: Loss, predictions: Array, targets: Array) -> tuple[Array, Array]:
    """Predictions and targets, real (n, …, classes), without void ones: (rows, classes) if the loss ignores a class."""
    if loss.void is None:
        return predictions, targets
    valid = valid_rows(loss, targets)
    return predictions[valid], targets[valid]


def class_names(names: Sequence[str], outputs: int, classes: int) -> list[str]:
    """A name for each class: its number without one. One name for a single output is that of the second class."""
    if (outputs, classes, len(names)) == (1, 2, 1):
        names = (f"not {names[0]}", names[0])
    return [*names[:classes], *map(str, range(len(names[:classes]), classes))]


def _sum(parts: list[Array]) -> Array:
    if len(parts) == 1:
        return parts[0]
    stacked = np.stack(parts)
    flat = stacked.reshape(len(parts), -1)
    return np.array([fsum(column) for column in flat.T]).reshape(stacked.shape[1:])
