"""`expect`: bounds on the metrics of a run, and on its time, memory and parameters."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from operator import eq, ge, gt, le, lt
from statistics import median
from typing import Any

from cnncli.errors import DeclarationError
from cnncli.system.memory import shown

_OPERATORS = {">=": ge, ">": gt, "<=": le, "<": lt, "==": eq, "decreasing": lt, "increasing": gt}
TRENDS = ("decreasing", "increasing")
"""Conditions on a metric of each epoch: its last value compared with the first."""
MEMORY = "peak_memory"
RESOURCES = ("epoch_seconds", "images_per_second", "parameters", MEMORY)
"""What can be expected besides metrics: the median of the seconds of an epoch with its validation, the training images
of an epoch by these seconds, the number of parameters, and the most bytes of memory that the process had.
"""
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
CONDITION = (
    r"\s*(?:(>=|<=|==|>|<)\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*(kB|MB|GB)?|(decreasing|increasing))\s*"
)
"""Regular expression of an operator and a bound, perhaps with a unit, or of a trend."""


@dataclass(frozen=True)
class Expectation:
    """A bound on one metric of a run, such as test_accuracy >= 0.95, or a trend, such as loss decreasing."""

    figure: str
    operator: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> "Expectation":
        """Parse `test_accuracy >= 0.95`. Raises DeclarationError for invalid syntax."""
        figure = re.match(r"\s*(\w+)\s*[<>=]", text)
        if figure is None:
            raise DeclarationError(f"an expectation must be like 'test_accuracy >= 0.95'; received {text!r}")
        return cls.of(figure[1], text[figure.end(1) :])

    @classmethod
    def of(cls, figure: str, condition: str) -> "Expectation":
        """Build from a metric name and `>= 0.95` or `decreasing`. Raises DeclarationError for an invalid condition."""
        match = re.fullmatch(CONDITION, condition)
        if match is None or not (match[4] or isfinite(float(match[2]))):
            raise DeclarationError(f"{RULE}; received {condition!r}")
        if match[4]:
            return cls(figure, match[4], 0.0)
        if match[3] and figure != MEMORY:
            raise DeclarationError(f"{match[3]} is a unit of {MEMORY}; received {condition!r}")
        return cls(figure, match[1], float(match[2]) * UNITS.get(match[3], 1.0))

    @property
    def is_trend(self) -> bool:
        """Whether it is about the change of a metric over the epochs."""
        return self.operator in TRENDS

    @property
    def reads(self) -> str:
        """The name of the figure that it reads: of a trend, the change from the first epoch to the last."""
        return f"{self.figure}_change" if self.is_trend else self.figure

    @property
    def condition(self) -> str:
        """`>= 0.95`; `< 500.0 MB`; `decreasing`."""
        if self.is_trend:
            return self.operator
        megabytes = self.bound / 1e6
        if self.figure == MEMORY and megabytes * 1e6 == self.bound:
            return f"{self.operator} {megabytes!r} MB"
        return f"{self.operator} {self.bound!r}"

    def holds(self, value: float) -> bool:
        """Whether `value` satisfies the bound; NaN never does."""
        return bool(_OPERATORS[self.operator](value, self.bound))

    def missed(self, value: float) -> str:
        """How a value misses it: `test_accuracy is 0.9`; `the last loss is the first + 0.1`."""
        if self.is_trend:
            return f"the last {self.figure} is the first {'−' if value < 0 else '+'} {abs(value):.6g}"
        return f"{self.figure} is {shown(int(value)) if self.figure == MEMORY and isfinite(value) else f'{value:.6g}'}"

    def __str__(self) -> str:
        return f"{self.figure} {self.condition}"


RULE = f'a condition must be one of >=, >, <=, <, == and a number, like ">= 0.95", or {" or ".join(TRENDS)}'


def more_figures(
    expectations: Iterable[Expectation],
    history: Sequence[Mapping[str, Any]],
    *,
    images: int | None,
    parameters: int | None,
    memory: int | None = None,
) -> dict[str, float]:
    """What the expectations read besides metrics, as far as it is known.

    history: the lines of metrics.jsonl. images: training images of an epoch. memory: bytes.
    """
    seconds = _numbers(history, "seconds")
    time = median(seconds) if seconds else None
    speed = images / time if images and time else None
    known = dict(zip(RESOURCES, (time, speed, parameters, memory), strict=True))
    found: dict[str, float] = {}
    for one in expectations:
        values = _numbers(history, one.figure)
        if one.is_trend and len(values) > 1:
            found[one.reads] = values[-1] - values[0]
        elif not one.is_trend and (value := known.get(one.figure)) is not None:
            found[one.figure] = value
    return found


def _numbers(history: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [line[name] for line in history if isinstance(line.get(name), int | float)]
