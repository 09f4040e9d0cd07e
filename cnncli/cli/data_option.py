"""`--data`: other data than a spec names, or where those of a run are now."""

import json
from pathlib import Path

import click

from cnncli.datasets.describe import find
from cnncli.datasets.section import DataSection
from cnncli.errors import UsageError

data_option = click.option(
    "--data", metavar="SOURCE", help="Train on these data; with --resume, where the run's data are now."
)


def named_by(data: str) -> str:
    """The `--set` that names the same data, whose path is relative to the working directory.

    Raises DeclarationError where there are none.
    """
    return f"data.dataset={json.dumps(find(data, Path.cwd()).name)}"


def refuse_moved(data: DataSection, command: str) -> None:
    """Raise UsageError where a run's data are no longer where they were; `command` takes --data."""
    path = Path(data.name)
    if path.is_absolute() and not path.exists():
        raise UsageError(f"'{path}' is no longer there: `{command} --data SOURCE` says where the data are now")
