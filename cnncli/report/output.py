"""Where all lines are printed: on standard output and standard error, with control characters escaped."""

import os
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

import click

from cnncli.escaping import json_line, printable

WORKFLOW_COMMAND = re.compile(r"^(\s*)(::|##\[)", re.MULTILINE)
"""What GitHub Actions would take for a command of ours."""


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text, of however many lines."""
    shown = printable(text)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        shown = WORKFLOW_COMMAND.sub(r"\1\\\2", shown)
    click.echo(shown, err=err, nl=nl)


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
