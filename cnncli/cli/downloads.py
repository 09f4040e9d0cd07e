"""Downloading what a command is about to read."""

import click

from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.catalogue import KNOWN

offline_option = click.option(
    "--offline", is_flag=True, envvar="CNNCLI_OFFLINE", help="Download nothing; CNNCLI_OFFLINE=1 says so, too."
)


def obtain(data: DataSection, *, offline: bool) -> None:
    """See to it that what `data` names is here, where it is a dataset that is downloaded.

    Raises CnncliError where it can't be had; no request is made where `offline`.
    """
    if data.name not in KNOWN:
        return
    from cnncli.datasets.sources import download
    from cnncli.report.tables.datasets import Downloading

    with Downloading() as shown:
        download.fetch(KNOWN[data.name], offline=offline, follow=shown.follow)
