"""Validation errors of declarations."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class ErrorDetail(NamedTuple):
    """One error in a value.

    `path` leads from the value to the invalid part: keys, list indices and names of declarations. `kind` says what
    `text` is: "value" (the rule for a field), "sentence" (the whole message about a field), "missing" (the rule for a
    required field), "unknown_key", "unknown_name" (the name), "arguments" (a declaration's arguments are not a mapping)
    or "contradiction" (the whole message about several fields). `owner` is the declaration of the field, or the
    registry that lacks the name.
    """

    path: tuple[str | int, ...]
    kind: str
    text: str
    owner: Any = None

    def under(self, *path: str | int) -> "ErrorDetail":
        """The same error with `path` prepended."""
        return self._replace(path=(*path, *self.path))


class ValidationError(ValueError):
    """A value is invalid; `details` lists every error."""

    def __init__(self, details: Iterable[ErrorDetail]) -> None:
        self.details = list(details)
        super().__init__("; ".join(map(_message, self.details)))


def _message(detail: ErrorDetail) -> str:
    """A one-line message for Python callers; the spec reader reports errors with their places instead."""
    where = ".".join(map(str, detail.path)) or "the value"
    return {
        "value": f"{where} must be {detail.text}",
        "missing": f"{where} is required: {detail.text}",
        "unknown_key": f"unknown field {where}",
        "unknown_name": f"{where}: unknown name {detail.text!r}",
        "arguments": f"{where}: arguments must be a mapping",
        "sentence": f"{where}: {detail.text}",
    }.get(detail.kind, detail.text)
