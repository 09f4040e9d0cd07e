"""Parsing untrusted JSON into values of expected types."""

import json
from dataclasses import MISSING, fields, is_dataclass
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
    return _typed(value, kind, "")


def _typed(value: Any, kind: Any, place: str) -> Any:
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _declared(value, kind, place)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return _typed(value, next((one for one in arguments if _is(value, one)), arguments[0]), place)
    if not _is(value, kind):
        raise ValueError(f"{place} must be {_word(kind)}; received {_shown(value)}")
    if origin is list:
        return [_typed(item, arguments[0], f"{place}[{number}]") for number, item in enumerate(value)]
    if origin is dict:
        return {key: _typed(item, arguments[1], f"{place}.{key}") for key, item in value.items()}
    return value


def _declared(value: Any, kind: Any, place: str) -> Any:
    """A dataclass from a mapping of its fields."""
    if type(value) is not dict:
        raise ValueError(f"{place} must be a mapping; received {_shown(value)}")
    hints = get_type_hints(kind)
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    missing, unknown = [name for name in needed if name not in value], [name for name in value if name not in hints]
    if missing:
        raise ValueError(f"{place} must have {missing[0]!r}, which is missing")
    if unknown:
        raise ValueError(f"{place} must have only {', '.join(hints)}; received {_shown(unknown[0])}")
    values = {name: _typed(item, hints[name], f"{place}.{name}") for name, item in value.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{place} {error}") from None


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is of a type, without checking its elements."""
    if kind is float:
        return type(value) in (int, float) and _fits_float(value)
    if kind is str:
        return type(value) is str and _is_unicode(value)
    return type(value) is (get_origin(kind) or kind)


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
