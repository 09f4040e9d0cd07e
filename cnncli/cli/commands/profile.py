"""`cnncli profile`: where the time of an epoch goes."""

import json
import sys
from pathlib import Path

import click

from cnncli.api.profiles import profile_spec
from cnncli.api.specs import data_setting
from cnncli.api.training import Surroundings
from cnncli.cli import tell_warnings
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import Integer, example, json_option, threads_option
from cnncli.report.terminal.output import echo_json, echo_lines
from cnncli.report.terminal.progress import Status
from cnncli.spec.spec import load
from cnncli.system import atomic


@click.command("profile", epilog=example("cnncli profile mnist.yaml --trace trace.json"))
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a value of the spec. Repeatable.")
@click.option("--data", metavar="SOURCE", help="Dataset to train on.")
@click.option("--steps", type=Integer(1), help="Train so many batches instead of an epoch.")
@click.option(
    "--trace",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Also write a trace for chrome://tracing and Perfetto.",
)
@threads_option
@offline_option
@json_option
def command(
    *,
    spec: Path,
    overrides: tuple[str, ...],
    data: str | None,
    steps: int | None,
    trace: Path | None,
    threads: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Train one epoch of SPEC, and show where its time goes.

    The weights are those of `train`, but no run is written: what is saved goes into a temporary directory. A step is
    measured as a whole, and its time divided among the operations as they take it one by one.
    """
    loaded = load(spec, [*overrides, *([] if data is None else [data_setting(data)])])
    tell_warnings(loaded.warnings)
    with Status() as status:
        found = profile_spec(loaded, Surroundings(threads, offline, status), steps=steps)
    if trace is not None:
        atomic.write(trace, (json.dumps(found.trace(), ensure_ascii=False) + "\n").encode())
    if as_json:
        echo_json(found.document())
        return
    found.print(sys.stdout)
    if trace is not None:
        echo_lines([f"{trace}"])
