"""Calibration: whether the answers given with a probability of p are right in a share p of the cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BINS = 15
"""The number that papers use (Guo et al., On Calibration of Modern Neural Networks, 2017)."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers whose probability is in (lower, upper]: mean probability and share of right ones; None if none."""

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """`ece`: expected calibration error, Σ count/N·|accuracy − confidence| over the bins.

    `confidence`, `accuracy`: means over all answers.
    """

    ece: float
    confidence: float
    accuracy: float
    bins: Sequence[ReliabilityBin]


def calibration(confidence: Array, right: Array, bins: int = BINS) -> Calibration:
    """Calibration in bins of equal width. confidence: real (N,) in [0, 1]; right: bool (N,). N is at least 1."""
    edges = np.linspace(0, 1, bins + 1)
    counts, sums, hits = bin_sums(confidence, right, bins)
    columns = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), sums.tolist(), hits.tolist(), strict=True)
    error, *means = (float(part.sum()) / len(confidence) for part in (np.abs(hits - sums), sums, hits))
    return Calibration(error, means[0], means[1], [_bin(*values) for values in columns])


def bin_sums(confidence: Array, right: Array, bins: int) -> tuple[Array, Array, Array]:
    """Of each bin the number of answers, int64, the sum of their confidence and the number of right ones, float64."""
    places = np.searchsorted(np.linspace(0, 1, bins + 1), confidence, side="left") - 1
    places = np.clip(places, 0, bins - 1)  # 0 itself is in the first bin
    sums, hits = (np.bincount(places, weights=values, minlength=bins) for values in (confidence, right))
    return np.bincount(places, minlength=bins), sums, hits


def _bin(lower: float, upper: float, count: int, confidence: float, right: float) -> ReliabilityBin:
    means = (confidence / count, right / count) if count else (None, None)
    return ReliabilityBin(lower, upper, count, *means)
