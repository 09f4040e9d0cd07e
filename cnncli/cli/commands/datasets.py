"""`cnncli datasets`: list, show and download the built-in datasets."""

from typing import Any

import click

from cnncli.cli.commands.datasets_check import command as check
from cnncli.cli.commands.datasets_preview import command as preview
from cnncli.cli.downloads import obtain, offline_option
from cnncli.cli.options import Group, example
from cnncli.datasets.describe import EMBEDDED
from cnncli.datasets.files import shipped
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources import download
from cnncli.datasets.sources.catalogue import KNOWN, Known
from cnncli.errors import UsageError
from cnncli.hints import suggestion
from cnncli.report.tables.datasets import print_dataset, print_datasets
from cnncli.report.terminal.output import echo, echo_json

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
name_argument = click.argument("name", metavar="NAME")


@click.group("datasets", cls=Group, epilog=example("cnncli datasets list"))
def command() -> None:
    """List and download datasets; check and preview data."""


command.add_command(check)
command.add_command(preview)


@command.command("list", epilog=example("cnncli datasets list"))
@json_option
def list_all(*, as_json: bool) -> None:
    """List the built-in datasets."""
    rows = [_shipped(name) for name in EMBEDDED] + [_facts(known) for known in KNOWN.values()]
    if as_json:
        echo_json(rows)
    else:
        print_datasets(rows)


@command.command("download", epilog=example("cnncli datasets download cifar10"))
@name_argument
@offline_option
@json_option
def download_one(*, name: str, offline: bool, as_json: bool) -> None:
    """Download the dataset NAME, or verify an earlier download."""
    if name not in EMBEDDED:
        obtain(DataSection(dataset=_known(name).name), offline=offline)
    facts = _facts_of(name)
    if as_json:
        echo_json(facts)
    else:
        echo(f"{name}  {facts['place']}")


@command.command("info", epilog=example("cnncli datasets info cifar10"))
@name_argument
@json_option
def info(*, name: str, as_json: bool) -> None:
    """Show contents and origin of the dataset NAME."""
    facts = _facts_of(name)
    if as_json:
        echo_json(facts)
    else:
        print_dataset(facts)


def _known(name: str) -> Known:
    if name not in KNOWN:
        names = [*EMBEDDED, *KNOWN]
        raise UsageError(f"there is no dataset '{name}'{suggestion(name, names) or '; known are ' + ', '.join(names)}")
    return KNOWN[name]


def _facts_of(name: str) -> dict[str, Any]:
    if name in EMBEDDED:
        return _shipped(name)
    known = _known(name)
    files = [
        {
            "name": file.name,
            "bytes": file.size,
            "checksum": file.checksum,
            "from": [m + file.name for m in file.mirrors],
        }
        for file in known.files
    ]
    more = {"about": known.about, "class_names": known.classes, "home": known.home, "files": files}
    return _facts(known) | more


def _facts(known: Known) -> dict[str, Any]:
    return {
        "name": known.name,
        "images": dict(known.samples),
        "shape": known.input_shape,
        "classes": len(known.classes),
        "bytes": known.size,
        "here": download.is_here(known),
        "place": str(download.folder(known)),
    }


def _shipped(name: str) -> dict[str, Any]:
    held, place = EMBEDDED[name], shipped("data") / f"{name}.npz"
    return {
        "name": name,
        "images": dict(held.samples),
        "shape": held.input_shape,
        "classes": held.classes,
        "bytes": 0,
        "here": True,
        "place": str(place),
    }
