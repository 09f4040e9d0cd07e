"""What numbers that a model is to predict are like."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class ValueStats(NamedTuple):
    """Of one value over all images: the least, the quartiles, the greatest, and the mean."""

    least: float
    quartiles: tuple[float, float, float]
    greatest: float
    mean: float


def value_stats(y: Array, names: Sequence[str]) -> Mapping[str, ValueStats]:
    """Of each column, by name: y is float (N, k), at least one row."""
    columns = y.astype(np.float64).T
    return {name: _of(column) for name, column in zip(names, columns, strict=True)}


def _of(column: Array) -> ValueStats:
    least, *quartiles, greatest = np.quantile(column, [0, 0.25, 0.5, 0.75, 1]).tolist()
    return ValueStats(least, tuple(quartiles), greatest, float(column.mean()))
