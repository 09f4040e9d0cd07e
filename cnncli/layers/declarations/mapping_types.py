"""Field types of mappings."""

from collections.abc import Mapping
from typing import Any, TypeVar

from cnncli.layers.declarations.field_types import Kind, Number, Schema
from cnncli.layers.declarations.validation_errors import ValidationError

V = TypeVar("V")


class FieldMapping(dict[str, V]):
    """A mapping as a field's value: hashable, as those must be, and never mutated. Only its keys make its hash."""

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none
        return hash(frozenset(self))


class Numbers(FieldMapping[float]):
    """Numbers by name."""


class NumbersBy(Kind):
    """A mapping of strings to numbers, stored as `Numbers`. `what`: what the strings are; `sample`: an example."""

    def __init__(self, number: Number, what: str, sample: Mapping[str, float]) -> None:
        self.number, self.sample = number, dict(sample)
        shown = ", ".join(f'"{name}": {value:g}' for name, value in sample.items())
        self.rule = f"a mapping of {what} to {number.rule.replace('a number', 'numbers')}, like {{{shown}}}"

    def read(self, value: Any) -> Numbers:
        if not isinstance(value, Mapping):
            raise self.refuse()
        try:
            return Numbers({str(name): self.number.read(given) for name, given in value.items()})
        except ValidationError:
            raise self.refuse() from None

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self.number.schema()}
