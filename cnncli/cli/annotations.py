"""Errors as GitHub Actions shows them: at the line of the file that they are about."""

import os
import re
from collections.abc import Sequence

from cnncli.errors import CnncliError, SpecError
from cnncli.escaping import printable
from cnncli.report.terminal.output import echo_raw

PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)")
"""What a problem of a spec begins with; one of a --set has no place in a file."""


def annotate(error: CnncliError) -> None:
    """Write the error as workflow commands, on standard error, in a job of GitHub Actions; elsewhere do nothing."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    if not isinstance(error, SpecError):
        echo_raw(f"::error::{_data(str(error))}", err=True)
        return
    for problem in error.problems:
        _annotate("error", problem)


def annotate_warnings(warnings: Sequence[str]) -> None:
    """The same for warnings of a spec."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for warning in warnings:
            _annotate("warning", warning)


def _annotate(level: str, problem: str) -> None:
    message = problem.partition("\n")[0]
    where = ""
    if place := PLACE.fullmatch(message):
        where = f" file={_property(place['file'])},line={place['line']},col={place['column']}"
        message = place["message"].removeprefix("warning: ")
    echo_raw(f"::{level}{where}::{_data(message)}", err=True)


def _data(text: str) -> str:
    """`text` in the one line that a workflow command is."""
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
