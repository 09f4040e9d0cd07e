"""Kinds of values: what a field of a declaration may hold, in the words that an error says it with.

A field's type carries its kind: `Annotated[int, Whole(least=1)]`. `bool`, `int`, `float`, `str`, `Literal[…]` and
`… | None` have theirs without saying. Kinds are strict: `"3"` is no number, `true` is not 1, 3.0 is not whole.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, ClassVar

from cnncli.layers.declarations.validation_errors import Flaw, RefusedError

Schema = Mapping[str, Any]
"""A JSON Schema."""


class Kind:
    """What a field may hold. `rule` says it: "an integer ≥ 1"."""

    rule: str
    choices: tuple[str, ...] = ()
    """The texts that are allowed, where they can be listed."""
    is_list: ClassVar[bool] = False
    sample: Any = None
    """A value of the kind, as an example shows it."""

    def read(self, value: Any) -> Any:
        """The value as the declaration holds it. Raises RefusedError."""
        raise NotImplementedError

    def schema(self) -> Schema:
        """What it may be, as far as JSON Schema can say it: it takes all that `read` does, and here anything."""
        return {}

    def refuse(self, *path: str | int) -> RefusedError:
        """What to raise for a value, or the part of it at `path`, that breaks the rule."""
        return RefusedError([Flaw(path, "value", self.rule)])


class Truth(Kind):
    """true or false."""

    rule = "true or false"
    sample = True

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"type": "boolean"}


class Text(Kind):
    """Any text."""

    rule = "a text"
    sample = "text"

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"type": "string"}


class Number(Kind):
    """A finite number between bounds; `above` and `below` are themselves out of bounds."""

    noun: ClassVar[str] = "a number"
    type: ClassVar[str] = "number"
    usual: ClassVar[float] = 0.1
    """What an example shows where it is within bounds."""

    def __init__(
        self,
        least: float | None = None,
        most: float | None = None,
        *,
        above: float | None = None,
        below: float | None = None,
    ) -> None:
        self.least, self.most, self.above, self.below = least, most, above, below
        bounds = (
            ("of at least ", least),
            ("above ", above),
            ("and at most ", most),
            ("and below ", below),
        )
        self.rule = " ".join([self.noun, *(f"{words}{_bound(bound)}" for words, bound in bounds if bound is not None)])

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
        except OverflowError:  # a whole number beyond all floats
            finite = False
        return (
            finite
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


class Whole(Number):
    """A whole number between bounds."""

    noun = "a whole number"
    type = "integer"
    usual = 32

    def __init__(self, least: int | None = None, most: int | None = None) -> None:
        super().__init__(least, most)

    def read(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self._holds(value):
            raise self.refuse()
        return value


class Quotient(Number):
    """A number; a text that is one, or a quotient of two, stands for it: YAML reads 1/255 as a text."""

    def __init__(self, rule: str = "a number (1/255 is one)") -> None:
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
    """One of a few texts."""

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


class Maybe(Kind):
    """Something, or null."""

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
        except RefusedError as error:
            raise RefusedError(
                flaw._replace(text=self.rule) if flaw.kind == "value" and flaw.owner is None else flaw
                for flaw in error.flaws
            ) from None


def _bound(bound: float) -> str:
    return "2^63 − 1" if bound == 2**63 - 1 else f"{bound:g}"
