"""Printing on standard output and standard error, with control characters escaped."""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import click

from cnncli.escaping import json_line, one_line, printable

COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
"""Where GitHub Actions would take a line for a command of ours; the older form, ##[…], may stand anywhere in it."""
UNIT = re.compile(r"\s*(?:`[^`]*`|[^\s`]|`)+")
"""What stays in one line: a word, or a command between backticks, with the blanks before it."""


def shown(text: str) -> str:
    """The text as it is printed: without control characters and, in a job of GitHub Actions, without commands to it.

    Both are written as escapes that JSON has, too.
    """
    text = printable(text)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        text = COMMAND.sub(r"\1\\u003a", text).replace("##[", "##\\u005b")
    return text


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text, of however many lines."""
    text = shown(text)
    if nl and (sys.stderr if err else sys.stdout).isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(wrapped(line, width) for line in text.split("\n"))
    click.echo(text, err=err, nl=nl)


def echo_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Print some lines; a line break within one of them is escaped."""
    echo("\n".join(map(one_line, lines)), err=err)


def wrapped(line: str, width: int) -> str:
    """A line broken between words, and never within a command; one that begins with a blank (an extract) is kept."""
    if len(line) <= width or line[:1].isspace():
        return line
    lines = [""]
    for unit in UNIT.findall(line):
        if lines[-1] and len(lines[-1]) + len(unit) > width:
            lines.append(f"  {unit.lstrip()}")
        else:
            lines[-1] += unit
    return "\n".join(lines)


def echo_raw(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text with colours or commands of our own: what of it comes from a file must have been escaped."""
    click.echo(text, err=err, nl=nl)


def echo_json(value: Any, *, nl: bool = True) -> None:
    """Print one line of JSON."""
    click.echo(shown(json_line(value)), nl=nl)


def emit(event: Mapping[str, Any]) -> None:
    """Print one line of JSON; a figure that is not finite, for which JSON has no word, is null."""
    finite = {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in event.items()}
    echo_json(finite)
