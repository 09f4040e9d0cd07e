"""`cnncli profile`: where the time of an epoch goes."""

import json
import sys
from pathlib import Path

import click

from cnncli.api.profiles import profile_spec
from cnncli.api.training import Surroundings
from cnncli.cli.options import Integer, example, json_option
from cnncli.cli.training_spec import TrainingSpec, training_spec
from cnncli.report.terminal.output import echo_json, echo_lines
from cnncli.report.terminal.progress import Status
from cnncli.system import atomic


@click.command("profile", epilog=example("cnncli profile mnist.yaml --trace trace.json"))
@training_spec
@click.option("--steps", type=Integer(1), help="Train so many batches instead of an epoch.")
@click.option(
    "--trace",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Also write a trace for chrome://tracing and Perfetto.",
)
@json_option
def command(
    *,
    given: TrainingSpec,
    steps: int | None,
    trace: Path | None,
    as_json: bool,
) -> None:
    """Train one epoch of SPEC, and show where its time goes.

    The weights are those of `train`, but no run is written: what is saved goes into a temporary directory. A step is
    measured as a whole, and its time divided among the operations as they take it one by one.
    """
    loaded = given.load()
    with Status() as status:
        found = profile_spec(loaded, Surroundings(given.threads, given.offline, status), steps=steps)
    if trace is not None:
        atomic.write(trace, (json.dumps(found.trace(), ensure_ascii=False) + "\n").encode())
    if as_json:
        echo_json(found.document())
        return
    found.print(sys.stdout)
    if trace is not None:
        echo_lines([f"{trace}"])
