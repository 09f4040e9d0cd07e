"""Regular expressions that find a class or a number in a file's name."""

import re
from pathlib import PurePosixPath
from typing import Any

from cnncli.layers.declarations.field_types import Kind, Schema
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError

GROUP = "label"
TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d*,?\d*\}|.", re.DOTALL)
"""A part of a regular expression: an escaped character, a set, a number of repetitions, or a character."""


class NamePattern(Kind):
    """A regular expression with one group, or with one named `label`."""

    rule = "a regular expression with one group, or with one named label"
    sample = r"(\w+)_\d+"

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse()
        if found := problem(value, GROUP):
            raise ValidationError([ErrorDetail((), "sentence", found)])
        return value

    def schema(self) -> Schema:
        return {"type": "string"}


def problem(pattern: str, group: str) -> str:
    """Why a pattern can't be used as a regular expression with one group, or with one of that name; "" where it can."""
    try:
        found = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"
    if found.groups != 1 and group not in found.groupindex:
        return f"must have one group, or one named {group}; it has {found.groups}"
    if _repeats_repetitions(pattern):
        return "repeats what repeats itself or has alternatives, as in (a+)+, and may take forever"
    return ""


def found_in(pattern: str, file: str) -> str:
    """What the pattern's group finds in a file's name without its ending, or, if the pattern has a /, in its path; ""
    for nothing.
    """
    path = PurePosixPath(file)
    match = re.search(pattern, str(path.with_suffix("")) if "/" in pattern else path.stem)
    if match is None:
        return ""
    return (match[GROUP if GROUP in match.re.groupindex else 1] or "").strip()


def _repeats_repetitions(pattern: str) -> bool:
    """Whether a group that repeats something, or has alternatives, is itself repeated: on some names such a pattern
    takes exponential time.
    """
    open_groups, closed = [False], False
    for token in TOKEN.findall(pattern):
        if token == "(":
            open_groups.append(False)
        elif token == ")" and len(open_groups) > 1:
            closed = open_groups.pop()
            open_groups[-1] |= closed
            continue
        elif token in ("*", "+") or re.fullmatch(r"\{[\d,]+\}", token):
            if closed:
                return True
            open_groups[-1] |= not token[1:-1].isdecimal()  # {3} is no choice
        elif token == "|":
            open_groups[-1] = True
        closed = False
    return False
