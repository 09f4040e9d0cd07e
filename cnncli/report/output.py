"""Where all lines are printed: on standard output and standard error, with control characters escaped."""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from math import isfinite
from typing import Any

import click

from cnncli.escaping import json_line, printable

WORKFLOW_COMMAND = re.compile(r"^(\s*)(::|##\[)", re.MULTILINE)
"""What GitHub Actions would take for a command of ours."""
UNIT = re.compile(r"\s*(?:`[^`]*`|[^\s`]|`)+")
"""What stays in one line: a word, or a command between backticks, with the blanks before it."""


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text, of however many lines."""
    shown = printable(text)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        shown = WORKFLOW_COMMAND.sub(r"\1\\\2", shown)
    if nl and (sys.stderr if err else sys.stdout).isatty():
        width = shutil.get_terminal_size().columns
        shown = "\n".join(wrapped(line, width) for line in shown.split("\n"))
    click.echo(shown, err=err, nl=nl)


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
    click.echo(json_line(value), nl=nl)


def emit(event: Mapping[str, Any]) -> None:
    """Print one line of JSON; a figure that is not finite, for which JSON has no word, is null."""
    finite = {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in event.items()}
    echo_json(finite)
