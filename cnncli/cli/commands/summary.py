"""`cnncli summary`: a model layer by layer."""

import sys

import click

from cnncli.api.summary import c_export
from cnncli.api.targets import find_spec
from cnncli.cli.options import example, json_option, set_option
from cnncli.cli.target import given_or_newest
from cnncli.report.terminal.output import echo_json


@click.command("summary", epilog=example("cnncli summary mnist.yaml"))
@click.argument("target", metavar="[SPEC|MODEL]", required=False, type=click.Path())
@set_option
@click.option("--expand", is_flag=True, help="Show the layers of blocks, too. Default: a row for each block.")
@json_option
def command(target: str | None, overrides: tuple[str, ...], expand: bool, as_json: bool) -> None:
    """Show a model layer by layer: output shapes, parameters, FLOPs of one image, totals.

    The receptive field is how many rows and columns of the image one place of the output depends on. On a narrow
    terminal some columns are left out; --json has all of all layers. The model is that of a spec, a run or a model
    file. Default: the newest run.
    """
    spec = find_spec(given_or_newest(target), overrides)
    from cnncli.report.tables.summary import phases_data, print_summary, summary_data

    if as_json:
        echo_json({**summary_data(spec), "c_export": c_export(spec), **phases_data(spec)})
    else:
        print_summary(spec, sys.stdout, c_export(spec), expand=expand)
