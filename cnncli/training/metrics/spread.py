"""A figure over several trainings."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from statistics import mean, stdev


@dataclass(frozen=True)
class Spread:
    """A metric over several trainings: mean, sample standard deviation (0 for a single one), and values."""

    mean: float
    deviation: float
    values: Sequence[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        if not all(map(isfinite, values)):  # which `stdev` does not take
            return cls(sum(values) / len(values), nan, values)
        return cls(mean(values), stdev(values) if len(values) > 1 else 0.0, values)
