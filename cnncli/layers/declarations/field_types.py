"""Field types: which values a field of a declaration accepts, and how error messages describe them.

A field is annotated with its kind: `Annotated[int, Integer(least=1)]`. `bool`, `int`, `float`, `str`, `Literal[…]` and
`… | None` imply theirs. Kinds are strict: `"3"` is not a number, `true` is not 1, 3.0 is not an integer.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, ClassVar

from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError

Schema = Mapping[str, Any]
"""A JSON Schema."""


class Kind:
    """The type of a field. `rule` describes the accepted values: "an integer ≥ 1"."""

    rule: str
    choices: tuple[str, ...] = ()
    """The accepted strings, if they can be listed."""
    is_list: ClassVar[bool] = False
    sample: Any = None
    """A valid value for examples."""

    def read(self, value: Any) -> Any:
        """Validate and convert a value. Raises ValidationError."""
        raise NotImplementedError

    def schema(self) -> Schema:
        """A JSON Schema that accepts at least every value that `read` accepts; by default any value."""
        return {}

    def refuse(self, *path: str | int) -> ValidationError:
        """The error to raise for a value, or for the part of it at `path`, that violates the rule."""
        return ValidationError([ErrorDetail(path, "value", self.rule)])


class Boolean(Kind):
    """true or false."""

    rule = "true or false"
    sample = True

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"type": "boolean"}


class String(Kind):
    """Any string."""

    rule = "a string"
    sample = "text"

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"type": "string"}


class Number(Kind):
    """A finite number within bounds: `least` and `most` are inclusive, `above` and `below` exclusive.

    `why`: why other numbers that Keras accepts are refused.
    """

    noun: ClassVar[str] = "a number"
    type: ClassVar[str] = "number"
    usual: ClassVar[float] = 0.1
    """The value for examples, if it is within bounds."""

    def __init__(
        self,
        least: float | None = None,
        most: float | None = None,
        *,
        above: float | None = None,
        below: float | None = None,
        why: str = "",
    ) -> None:
        self.least, self.most, self.above, self.below = least, most, above, below
        if least is not None and most is not None:
            self.rule = f"{self.noun} from {_bound(least)} to {_bound(most)}"
            return
        bounds = (("≥", least), (">", above), ("≤", most), ("<", below))
        limits = " and ".join(f"{sign} {_bound(bound)}" for sign, bound in bounds if bound is not None)
        self.rule = f"{self.noun} {limits}".rstrip() + (f" ({why})" if why else "")

    def read(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self._holds(value):
            raise self.refuse()
        return float(value)

    @property
    def sample(self) -> Any:
        return self.usual if self._holds(self.usual) else self.least

    def schema(self) -> Schema:
        bounds = {
            "minimum": self.least,
            "maximum": self.most,
            "exclusiveMinimum": self.above,
            "exclusiveMaximum": self.below,
        }
        return {"type": self.type, **{word: bound for word, bound in bounds.items() if bound is not None}}

    def _holds(self, value: float) -> bool:
        try:
            finite = isfinite(value)
        except OverflowError:  # an integer too large for a float
            finite = False
        return (
            finite
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


class Integer(Number):
    """An integer within bounds."""

    noun = "an integer"
    type = "integer"
    usual = 32

    def __init__(self, least: int | None = None, most: int | None = None) -> None:
        super().__init__(least, most)

    def read(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self._holds(value):
            raise self.refuse()
        return value


class Quotient(Number):
    """A number, also as a string or as a fraction of two numbers, because YAML reads 1/255 as a string."""

    def __init__(self, rule: str = "a number or a fraction like 1/255") -> None:
        super().__init__()
        self.rule = rule

    def read(self, value: Any) -> Any:
        if isinstance(value, str):
            top, slash, bottom = value.partition("/")
            try:
                value = float(top) / float(bottom) if slash else float(top)
            except (ValueError, ZeroDivisionError):
                raise self.refuse() from None
        return super().read(value)

    def schema(self) -> Schema:
        return {"anyOf": [super().schema(), {"type": "string", "pattern": r"^\s*[-+.\deE_]+\s*(/\s*[-+.\deE_]+\s*)?$"}]}


class OneOf(Kind):
    """One of several strings."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices
        self.sample = choices[0]
        self.rule = f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"enum": list(self.choices)}


class Only(Kind):
    """Values of an argument of Keras that say what is done anyway; `why`: why others are refused."""

    def __init__(self, *values: Any, why: str) -> None:
        self.values, self.sample = values, values[0]
        words = {"None": "null", "True": "true", "False": "false"}
        self.rule = " or ".join(words.get(str(value), str(value)) for value in values) + f" ({why})"

    def read(self, value: Any) -> Any:
        if not any(value == other and type(value) is type(other) for other in self.values):
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"enum": list(self.values)}


class Maybe(Kind):
    """A value of another kind, or null."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.choices = kind, kind.choices
        self.rule = f"{kind.rule}, or null"

    @property
    def sample(self) -> Any:
        return self.kind.sample

    def schema(self) -> Schema:
        return {"anyOf": [self.kind.schema(), {"type": "null"}]}

    def read(self, value: Any) -> Any:
        if value is None:
            return None
        try:
            return self.kind.read(value)
        except ValidationError as error:
            raise ValidationError(
                detail._replace(text=self.rule) if detail.kind == "value" and detail.owner is None else detail
                for detail in error.details
            ) from None


class OrNull(Maybe):
    """A value of another kind; null stands for `value`."""

    def __init__(self, kind: Kind, value: Any) -> None:
        super().__init__(kind)
        self.value = value

    def read(self, value: Any) -> Any:
        return self.value if value is None else super().read(value)


class Word(OneOf):
    """One of several lower-case words, in any case."""

    def read(self, value: Any) -> str:
        return super().read(value.lower() if isinstance(value, str) else value)

    def schema(self) -> Schema:
        words = "|".join(self.choices)
        patterns = re.sub("[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", words)
        return {"anyOf": [super().schema(), {"type": "string", "pattern": f"^({patterns})$"}]}


def _bound(bound: float) -> str:
    return "2^63 − 1" if bound == 2**63 - 1 else f"{bound:g}"
