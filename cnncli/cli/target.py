"""The MODEL argument: defaults to the newest run; an implied run is shown on standard error."""

from pathlib import Path

import click

from cnncli.api.targets import Target, find_model, newest_run
from cnncli.report.terminal.output import echo_lines
from cnncli.training.runs.past_runs import MODEL_FILES

weights_option = click.option(
    "--weights",
    type=click.Choice([Path(name).stem for name in MODEL_FILES]),
    help="Weights of a run: of the best or of the last epoch. Default: best.",
)
tta_option = click.option(
    "--tta",
    metavar="VIEWS",
    help="Average over views of each image: flip, vflip, rot90, shift, or several: flip,shift.",
)


def given_or_newest(argument: str | Path | None) -> Path:
    """The path of the argument, or the newest run. Raises UsageError if there is none."""
    if argument is not None:
        return Path(argument)
    run = newest_run()
    _show_run(run)
    return run


def find_target(argument: Path | None, weights: str | None) -> Target:
    """Resolve MODEL, as `find_model`."""
    target = find_model(given_or_newest(argument), weights)
    if target.implied and target.run:
        _show_run(target.run)
    return target


def _show_run(run: Path) -> None:
    echo_lines([f"model: {run}"], err=True)
