"""Field types of lists: any length, pairs, four sides."""

from collections.abc import Iterable, Iterator
from typing import Any

from cnncli.layers.declarations.field_types import Kind, Schema
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError


class ListOf(Kind):
    """A list, stored as a tuple. `rule` replaces the default description."""

    is_list = True

    def __init__(self, item: Kind, least: int = 0, most: int | None = None, rule: str = "") -> None:
        self.item, self.least, self.most = item, least, most
        length = ""
        if most is not None:
            length = f" of {least} items" if least == most else f" of {least} to {most} items"
        elif least:
            length = f" of at least {least} item{'s' * (least > 1)}"
        self.rule = rule or f"a list{length}, each {item.rule}"

    @property
    def sample(self) -> Any:
        return [self.item.sample] * max(1, self.least)

    def schema(self) -> Schema:
        most = {} if self.most is None else {"maxItems": self.most}
        return {"type": "array", "items": self.item.schema(), "minItems": self.least, **most}

    def read(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not self.least <= len(value) <= (self.most or len(value)):
            raise self.refuse()
        details: list[ErrorDetail] = []
        read = list(self._items(value, details))
        if details:
            raise ValidationError(details)
        return tuple(read)

    def _items(self, value: Iterable[Any], details: list[ErrorDetail]) -> Iterator[Any]:
        for index, item in enumerate(value):
            try:
                yield self.item.read(item)
            except ValidationError as error:
                for detail in error.details:
                    own = detail.kind == "value" and not detail.path
                    details.append((detail._replace(text=self.rule) if own else detail).under(index))


class PairOf(ListOf):
    """A pair (vertical, horizontal); a single value is used for both."""

    def __init__(self, item: Kind) -> None:
        super().__init__(item, 2, 2, rule=f"{item.rule}, or a list of 2 such values")

    def schema(self) -> Schema:
        return {"anyOf": [self.item.schema(), super().schema()]}

    def read(self, value: Any) -> tuple[Any, ...]:
        return super().read(value if isinstance(value, list | tuple) else (value, value))

    def _items(self, value: Iterable[Any], details: list[ErrorDetail]) -> Iterator[Any]:
        first, second = value
        if first is second:  # a single value, or the same twice: reported once
            try:
                item = self.item.read(first)
            except ValidationError:
                raise self.refuse() from None
            return iter((item, item))
        return super()._items(value, details)


class SidesOf(Kind):
    """((top, bottom), (left, right)); one number is used for all four sides, two for (vertical, horizontal)."""

    is_list = True

    def __init__(self, item: Kind) -> None:
        self.pair = PairOf(item)
        self.rule = f"{item.rule}, [height, width], or [[top, bottom], [left, right]]"

    @property
    def sample(self) -> Any:
        return self.pair.sample

    def schema(self) -> Schema:
        return PairOf(self.pair).schema()

    def read(self, value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
        try:
            rows, columns = value if isinstance(value, list | tuple) else (value, value)
            return self.pair.read(rows), self.pair.read(columns)
        except (ValidationError, ValueError):
            raise self.refuse() from None


class OneOrMore(ListOf):
    """A list of at least one item, or a single item."""

    def __init__(self, item: Kind) -> None:
        super().__init__(item, 1)

    def schema(self) -> Schema:
        return {"anyOf": [self.item.schema(), super().schema()]}

    def read(self, value: Any) -> tuple[Any, ...]:
        return super().read(value if isinstance(value, list | tuple) else (value,))


class ItemOrList(ListOf):
    """An item, stored as it is, or a list of at least one."""

    is_list = False

    def __init__(self, item: Kind) -> None:
        super().__init__(item, 1, rule=f"{item.rule}, or a list of such values")

    @property
    def sample(self) -> Any:
        return self.item.sample

    def schema(self) -> Schema:
        return {"anyOf": [self.item.schema(), super().schema()]}

    def read(self, value: Any) -> Any:
        try:
            return super().read(value) if isinstance(value, list | tuple) else self.item.read(value)
        except ValidationError:
            raise self.refuse() from None
