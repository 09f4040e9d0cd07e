"""`expect`: bounds on the metrics of a run."""

import re
from dataclasses import dataclass
from math import isfinite
from operator import eq, ge, gt, le, lt

from cnncli.errors import DeclarationError

_OPERATORS = {">=": ge, ">": gt, "<=": le, "<": lt, "==": eq}
CONDITION = r"\s*(>=|<=|==|>|<)\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*"
"""Regular expression of an operator and a bound."""


@dataclass(frozen=True)
class Expectation:
    """A bound on one metric of a run, such as test_accuracy >= 0.95."""

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
        """Build from a metric name and `>= 0.95`. Raises DeclarationError for an invalid condition."""
        match = re.fullmatch(CONDITION, condition)
        if match is None or not isfinite(float(match[2])):
            raise DeclarationError(
                f'a condition must be one of >=, >, <=, <, == and a number, like ">= 0.95"; received {condition!r}'
            )
        return cls(figure, match[1], float(match[2]))

    @property
    def condition(self) -> str:
        """`>= 0.95`."""
        return f"{self.operator} {self.bound!r}"

    def holds(self, value: float) -> bool:
        """Whether `value` satisfies the bound; NaN never does."""
        return bool(_OPERATORS[self.operator](value, self.bound))

    def __str__(self) -> str:
        return f"{self.figure} {self.condition}"
