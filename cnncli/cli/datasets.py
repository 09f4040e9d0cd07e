"""`cnncli datasets`: commands that look after data."""

import click

from cnncli.cli.datasets_check import command as check


@click.group("datasets")
def command() -> None:
    """Look after data."""


command.add_command(check)
