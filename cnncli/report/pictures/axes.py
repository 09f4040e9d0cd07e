"""Axes: round numbers for ticks, and from numbers to places."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

Bounds = tuple[float, float]
LARGEST, FINEST = 1e300, 1e-12
"""The largest number on an axis, and its least length, in parts of that: floating point has no room for more."""


@dataclass(frozen=True)
class Axis:
    """Numbers from `low` to `high` on the way from `start` to `end`, in pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a number."""
        low, high, value = (log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the bounds, about `most` of them."""
        if self.log:
            return log_ticks(self.low, self.high, most)
        step = round_step((self.high - self.low) / max(1, most - 1))
        first = ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, floor(self.high / step + 1e-9) + 1)]


def bounds(values: Iterable[float], *, log: bool = False, rounded: bool = False) -> Bounds:
    """What an axis must cover; `rounded`: up to the round numbers around it."""
    finite = [max(-LARGEST, min(LARGEST, value)) for value in values if isfinite(value)]
    finite = [max(1 / LARGEST, value) for value in finite if value > 0] if log else finite
    if not finite:
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = min(finite), max(finite)
    if high - low <= FINEST * max(abs(low), abs(high)):
        around = max(0.5, abs(low) / 1000)
        low, high = (low / 2, high * 2) if log else (low - around, high + around)
    if not rounded:
        return low, high
    if log:
        return 1 / round_step(1 / low), round_step(high)
    step = round_step((high - low) / 5)
    return floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step


def round_step(least: float) -> float:
    """The least of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Powers of ten, and between few of them 2 and 5 times these."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) <= most:
            break
    return found[:: ceil(len(found) / most)] if found else [low, high]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Ticks with as many decimals as tell them apart."""
    if ticks and max(map(abs, ticks)) >= 10_000 and all(value == int(value) for value in ticks):
        return [f"{int(value):,}" for value in ticks]
    if any(0 < abs(value) < 1e-3 for value in ticks):
        return ["0" if value == 0 else f"{value:.3g}" for value in ticks]
    for decimals in range(7):
        texts = [f"{value:.{decimals}f}" for value in ticks]
        if len(set(texts)) == len(ticks) and all(
            abs(float(t) - v) <= 1e-6 * abs(v) for t, v in zip(texts, ticks, strict=True)
        ):
            break
    return texts if ticks else []
