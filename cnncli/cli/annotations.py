"""Error annotations for GitHub Actions, at the line of the file."""

import os
from collections.abc import Sequence

from cnncli.errors import CnncliError, Diagnostic, SpecError
from cnncli.escaping import printable
from cnncli.report.terminal.output import echo_raw


def annotate(error: CnncliError) -> None:
    """In a GitHub Actions job, print the error as workflow commands on standard error; elsewhere do nothing."""
    if isinstance(error, SpecError):
        annotate_all([found for found in error.diagnostics if found.level == "error"])
    elif _in_a_job():
        echo_raw(f"::error::{_data(str(error))}", err=True)


def annotate_all(diagnostics: Sequence[Diagnostic]) -> None:
    """The same for diagnostics of a spec; those of --set have no location in a file."""
    if not _in_a_job():
        return
    for found in diagnostics:
        where = f" file={_property(found.file)},line={found.line},col={found.column}" * (not found.setting)
        message = f"{found.setting}: {found.message}" if found.setting else found.message
        echo_raw(f"::{found.level}{where}::{_data(message)}", err=True)


def _in_a_job() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _data(text: str) -> str:
    """Escape `text` for a one-line workflow command."""
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
