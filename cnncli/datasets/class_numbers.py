"""Which class each row of labels is of."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
EXACT = 1 << 24
"""Below it every whole number is a float32."""


def class_numbers(y: Array) -> Array | None:
    """The class of each row, int64 (N,): of class numbers, one-hot rows or a column of 0 and 1.

    None for any other rows, which are of several classes or of none. y: int64 (N,) or float32 (N, …).
    """
    if y.dtype.kind == "i":
        return y
    if y.ndim != 2 or not ((y == 0) | (y == 1)).all():
        return None
    if y.shape[1] == 1:
        return y[:, 0].astype(np.int64)
    return y.argmax(axis=1) if (y.sum(axis=1) == 1).all() else None


def integer_labels(y: Array) -> Array:
    """A column of whole numbers in floating point as class numbers, int64 (N,); other labels as they are."""
    if y.dtype.kind != "f" or y.shape[1:] != (1,) or not ((y >= 0) & (y < EXACT) & (y == np.floor(y))).all():
        return y
    return y[:, 0].astype(np.int64)


def class_name(number: int, names: Sequence[str]) -> str:
    """What a class is called: its number where it has no name."""
    return names[number] if number < len(names) else str(number)
