"""Downloads of the data of a command."""

import click

from cnncli.api import data as api
from cnncli.datasets.section import DataSection
from cnncli.report.terminal.progress import Status

offline_option = click.option(
    "--offline", is_flag=True, envvar=api.OFFLINE, help="Do not download anything; same as CNNCLI_OFFLINE=1."
)


def obtain(data: DataSection, *, offline: bool) -> None:
    """Download what `data` names, with a progress bar on a terminal. Raises CnncliError on failure."""
    with Status() as status:
        api.obtain(data, status, offline=offline)
