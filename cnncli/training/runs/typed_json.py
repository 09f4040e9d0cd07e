"""Parsing untrusted JSON into values of expected types."""

import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

WORDS = {int: "an integer", float: "a number", str: "a string", bool: "true or false", NoneType: "null"}
LONGEST = 40
"""Maximum number of characters of a value in an error message."""


def parse(text: str, kind: Any) -> Any:
    """Parse a JSON text as a value of type `kind`: int, float (which may not be finite), str, bool, None, Any, list[…],
    dict[str, …], a union of these, or a dataclass of such fields.

    Raises ValueError with the violated rule, to be appended to a name: ".labels[3] must be a string".
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(" must not be nested so deeply") from None
    except ValueError:
        raise ValueError(" must be JSON") from None
    return typed(value, kind)


def typed(value: Any, kind: Any) -> Any:
    """Convert an already decoded JSON value, as `parse` does; also raises ValueError."""
    return _reader(kind)(value)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What converts values to a type. Raises ValueError that begins with the place within the value."""
    if kind is Any:
        return lambda value: value
    if is_dataclass(kind):
        return _reader_of_fields(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        readers = [(_test(one), _reader(one)) for one in arguments]
        return lambda value: next((read for is_one, read in readers if is_one(value)), readers[0][1])(value)
    if origin is list:
        return _checked(kind, _reader_of_list(arguments[0]))
    if origin is dict:
        return _checked(kind, _reader_of_mapping(arguments[1]))
    return _checked(kind, lambda value: value)


def _reader_of_list(kind: Any) -> Callable[[list[Any]], list[Any]]:
    read, are_all = _reader(kind), _test_of_all(kind)
    return lambda value: value if are_all(value) else _elements(enumerate(value), read, "[{}]")


def _reader_of_mapping(kind: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    read, are_all = _reader(kind), _test_of_all(kind)

    def convert(value: dict[str, Any]) -> dict[str, Any]:
        if are_all(value.values()):
            return value
        return dict(zip(value, _elements(value.items(), read, ".{}"), strict=True))

    return convert


def _test_of_all(kind: Any) -> Callable[[Iterable[Any]], bool]:
    """What tells whether values need no conversion: most are plain, and this is faster than reading each."""
    if kind is Any:
        return lambda values: True
    if kind not in WORDS:
        return lambda values: False
    is_one = _test(kind)
    return lambda values: all(map(is_one, values))


def _checked(kind: Any, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`read` for values of a type; others raise ValueError."""
    is_one = _test(kind)

    def checked(value: Any) -> Any:
        if not is_one(value):
            raise ValueError(f" must be {_word(kind)}; received {_shown(value)}")
        return read(value)

    return checked


def _elements(items: Iterable[tuple[object, Any]], read: Callable[[Any], Any], place: str) -> list[Any]:
    """The elements of a list or mapping, converted. ValueError tells the element's place by its index or key."""
    found = []
    for key, item in items:
        try:
            found.append(read(item))
        except ValueError as error:
            raise ValueError(f"{place.format(key)}{error}") from None
    return found


def _reader_of_fields(kind: Any) -> Callable[[Any], Any]:
    """What converts a mapping of its fields to a dataclass."""
    readers = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]

    def declared(value: Any) -> Any:
        if type(value) is not dict:
            raise ValueError(f" must be a mapping; received {_shown(value)}")
        for name in needed:
            if name not in value:
                raise ValueError(f" must have {name!r}, which is missing")
        for name in value:
            if name not in readers:
                raise ValueError(f" must have only {', '.join(readers)}; received {_shown(name)}")
        values = {}
        for name, item in value.items():
            try:
                values[name] = readers[name](item)
            except ValueError as error:
                raise ValueError(f".{name}{error}") from None
        try:
            return kind(**values)
        except ValueError as error:
            raise ValueError(f" {error}") from None

    return declared


def _test(kind: Any) -> Callable[[Any], bool]:
    """What tells whether a value is of a type, without checking its elements."""
    if kind is float:
        return lambda value: type(value) in (int, float) and _fits_float(value)
    if kind is str:
        return lambda value: type(value) is str and _is_unicode(value)
    exact = get_origin(kind) or kind
    return lambda value: type(value) is exact


def _fits_float(value: float) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _is_unicode(text: str) -> bool:
    """Whether it has no unpaired surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _word(kind: Any) -> str:
    origin = get_origin(kind)
    if origin in (list, dict):
        inner = WORDS.get(get_args(kind)[-1], "")
        of = f" of {inner.split(' ', 1)[1]}s" if inner.startswith(("a ", "an ")) else ""
        return f"{'a list' if origin is list else 'a mapping'}{of}"
    return WORDS[kind]


def _shown(value: Any) -> str:
    try:
        text = ascii(value)
    except RecursionError:
        return "something nested too deeply"
    except ValueError:  # an integer of thousands of digits
        return "an integer of very many digits"
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
