"""Kinds of values: what a field of a declaration may hold, in the words that an error says it with.

A field's type carries its kind: `Annotated[int, Whole(least=1)]`. `bool`, `int`, `float`, `str`, `Literal[…]` and
`… | None` have theirs without saying. Kinds are strict: `"3"` is no number, `true` is not 1, 3.0 is not whole.
"""

from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any, ClassVar

from cnncli.layers.flaws import Flaw, RefusedError


class Kind:
    """What a field may hold. `rule` says it: "a whole number of at least 1"."""

    rule: str
    choices: tuple[str, ...] = ()
    """The texts that are allowed, where they can be listed."""
    is_list: ClassVar[bool] = False

    def read(self, value: Any) -> Any:
        """The value as the declaration holds it. Raises RefusedError."""
        raise NotImplementedError

    def refuse(self, *path: str | int) -> RefusedError:
        """What to raise for a value, or the part of it at `path`, that breaks the rule."""
        return RefusedError([Flaw(path, "value", self.rule)])


class Truth(Kind):
    """true or false."""

    rule = "true or false"

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.refuse()
        return value


class Text(Kind):
    """Any text."""

    rule = "a text"

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse()
        return value


class Number(Kind):
    """A finite number between bounds; `above` and `below` are themselves out of bounds."""

    noun: ClassVar[str] = "a number"

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


class OneOf(Kind):
    """One of a few texts."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices
        self.rule = f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise self.refuse()
        return value


class Maybe(Kind):
    """Something, or null."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.choices = kind, kind.choices
        self.rule = f"{kind.rule}, or null"

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


class ListOf(Kind):
    """A list, held as a tuple. `rule` replaces the one made from the items'."""

    is_list = True

    def __init__(self, item: Kind, least: int = 0, most: int | None = None, rule: str = "") -> None:
        self.item, self.least, self.most = item, least, most
        length = ""
        if most is not None:
            length = f" of {least} to {most} items"
        elif least:
            length = f" of at least {least} item{'s' * (least > 1)}"
        self.rule = rule or f"a list{length}, each {item.rule}"

    def read(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not self.least <= len(value) <= (self.most or len(value)):
            raise self.refuse()
        flaws: list[Flaw] = []
        read = list(self._items(value, flaws))
        if flaws:
            raise RefusedError(flaws)
        return tuple(read)

    def _items(self, value: Iterable[Any], flaws: list[Flaw]) -> Iterator[Any]:
        for index, item in enumerate(value):
            try:
                yield self.item.read(item)
            except RefusedError as error:
                for flaw in error.flaws:
                    own = flaw.kind == "value" and not flaw.path
                    flaws.append((flaw._replace(text=self.rule) if own else flaw).under(index))


class PairOf(ListOf):
    """Two of a kind, (vertical, horizontal); one alone stands for both."""

    def __init__(self, item: Kind) -> None:
        super().__init__(item, 2, 2, rule=f"{item.rule}, or a list of 2 of them")

    def read(self, value: Any) -> tuple[Any, ...]:
        return super().read(value if isinstance(value, list | tuple) else (value, value))

    def _items(self, value: Iterable[Any], flaws: list[Flaw]) -> Iterator[Any]:
        first, second = value
        if first is second:  # one alone, or two the same: told once
            try:
                item = self.item.read(first)
            except RefusedError:
                raise self.refuse() from None
            return iter((item, item))
        return super()._items(value, flaws)


class SidesOf(Kind):
    """((top, bottom), (left, right)); one number stands for all four, two for (vertical, horizontal)."""

    is_list = True

    def __init__(self, item: Kind) -> None:
        self.pair = PairOf(item)
        self.rule = f"{item.rule}, [height, width], or [[top, bottom], [left, right]]"

    def read(self, value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
        try:
            rows, columns = value if isinstance(value, list | tuple) else (value, value)
            return self.pair.read(rows), self.pair.read(columns)
        except (RefusedError, ValueError):
            raise self.refuse() from None


class OneOrMore(ListOf):
    """A list of at least one, or one alone."""

    def __init__(self, item: Kind) -> None:
        super().__init__(item, 1)

    def read(self, value: Any) -> tuple[Any, ...]:
        return super().read(value if isinstance(value, list | tuple) else (value,))


def _bound(bound: float) -> str:
    return "2^63 − 1" if bound == 2**63 - 1 else f"{bound:g}"
