"""The parameters of a search: which values each takes, and the changes of a spec that they stand for."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

NumberKind = Literal["uniform", "log_uniform", "int", "log_int"]
Changes = dict[str, Any]
"""Values by dotted path, in the order in which they are set."""
MOST_POINTS = 100_000
"""Combinations of a grid."""


@dataclass(frozen=True)
class Numbers:
    """Numbers from `low` to `high`, both included; `step`: only every so many. `name`: unique in the search."""

    path: str
    name: str
    kind: NumberKind
    low: float
    high: float
    step: float | None = None

    @property
    def log(self) -> bool:
        """Whether the logarithm is uniform."""
        return self.kind.startswith("log_")

    @property
    def whole(self) -> bool:
        """Whether only integers are taken."""
        return self.kind.endswith("int")

    def corners(self) -> list[float]:
        """The lowest value and the highest; one if there is no other."""
        rest = (self.high - self.low) % self.step if self.whole and self.step else 0
        beyond = self.step is not None and self.step > self.high - self.low
        return list(dict.fromkeys((self.low, self.low if beyond else self.high - rest)))

    def grid(self) -> list[float] | None:
        """All values; None if there are infinitely many."""
        step = self.step or (1 if self.whole and not self.log else None)
        if step is None:
            return [self.low] if self.low == self.high else None
        count = int((self.high - self.low) / step * (1 + 1e-12)) + 1
        return [self.low + number * step for number in range(min(count, MOST_POINTS + 1))]


@dataclass(frozen=True)
class Option:
    """A value of a choice, its text, and the parameters that there are only with it."""

    value: Any
    label: str
    parameters: "tuple[Parameter, ...]" = ()


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    path: str
    name: str
    options: tuple[Option, ...]

    def option(self, label: str) -> Option:
        """The option of this text."""
        return next(option for option in self.options if option.label == label)


Parameter = Numbers | Choice
Values = Mapping[str, Any]
"""Values by the names of parameters: numbers, and texts of options."""


def label(value: Any) -> str:
    """The text of an option: a scalar, a name, or YAML in one line."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def changes(parameters: Sequence[Parameter], value_of: Callable[[Parameter], Any]) -> Changes:
    """The changes of a spec, where `value_of` tells the value of each parameter that there is, in order."""
    made: Changes = {}
    for parameter in parameters:
        value = value_of(parameter)
        if isinstance(parameter, Choice):
            option = parameter.option(value)
            made |= {parameter.path: option.value, **changes(option.parameters, value_of)}
        else:
            made[parameter.path] = value
    return made


def flat(parameters: Sequence[Parameter]) -> Iterator[Parameter]:
    """All parameters, those of options after their choice."""
    for parameter in parameters:
        yield parameter
        if isinstance(parameter, Choice):
            for option in parameter.options:
                yield from flat(option.parameters)


def grid(parameters: Sequence[Parameter]) -> Iterator[dict[str, Any]]:
    """All combinations of values, by the names of parameters. Each must have finitely many."""
    for combination in product(*map(_points, parameters)):
        yield {name: value for part in combination for name, value in part.items()}


def _points(parameter: Parameter) -> list[dict[str, Any]]:
    if isinstance(parameter, Numbers):
        return [{parameter.name: value} for value in parameter.grid() or ()]
    return [
        {parameter.name: option.label, **point} for option in parameter.options for point in grid(option.parameters)
    ]


def described(parameters: Sequence[Parameter]) -> list[Any]:
    """The parameters as plain data: two searches with equal ones can share their trials."""
    found: list[Any] = []
    for parameter in parameters:
        if isinstance(parameter, Numbers):
            found.append([parameter.path, parameter.kind, parameter.low, parameter.high, parameter.step])
        else:
            found.append([parameter.path, [[one.value, described(one.parameters)] for one in parameter.options]])
    return found


def short_names(parameters: Sequence[Parameter]) -> dict[str, str]:
    """The shortest ends of the names of parameters that tell them apart."""
    names = [parameter.name for parameter in flat(parameters)]
    return {name: _shortest(name, [other for other in names if other != name]) for name in names}


def _shortest(name: str, others: Sequence[str]) -> str:
    parts = name.split(".")
    for count in range(1, len(parts)):
        end = ".".join(parts[-count:])
        if not any(other.endswith(f".{end}") for other in others):
            return end
    return name


def shown(value: Any) -> str:
    """A value for people."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
