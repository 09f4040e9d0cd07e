"""MODEL on a command line: left out, it is the newest run; a run that nobody named is told on standard error."""

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


def given_or_newest(argument: str | Path | None) -> Path:
    """The path of an argument, or the newest run. Raises UsageError where there is none."""
    if argument is not None:
        return Path(argument)
    run = newest_run()
    _tell(run)
    return run


def find_target(argument: Path | None, weights: str | None) -> Target:
    """What MODEL names, as `find_model`."""
    target = find_model(given_or_newest(argument), weights)
    if target.implied and target.run:
        _tell(target.run)
    return target


def _tell(run: Path) -> None:
    echo_lines([f"model: {run}"], err=True)
