"""`cnncli tune`: search for good values of a spec's keys."""

import sys
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING

import click

from cnncli.cli import tell_warnings
from cnncli.cli.options import Integer, example, json_option, output_option
from cnncli.cli.training_spec import TrainingSpec, training_spec
from cnncli.report.terminal.output import echo_json, echo_lines

if TYPE_CHECKING:
    from cnncli.api.tuning import Tuning
    from cnncli.training.search.trials import Found


@click.command("tune", epilog=example("cnncli tune mnist.yaml --trials 30 --workers 2"))
@training_spec
@click.option("--trials", type=Integer(1), help="Number of trials, with those of earlier commands: tune.trials.")
@click.option("--workers", type=Integer(1), default=1, help="Number of trials at a time; threads are divided.")
@click.option(
    "--storage",
    metavar="URL",
    envvar="CNNCLI_STORAGE",
    help="Optuna's storage, for several machines. Default: runs/NAME/study.db.",
)
@click.option("--study", metavar="NAME", help="Name of the study. Default: the spec's name.")
@click.option("--from-runs", is_flag=True, help="Begin with what finished runs of this spec tell.")
@output_option("Picture of the trials, as SVG or PNG.")
@json_option
@click.option("--worker", is_flag=True, hidden=True)
def command(
    *,
    given: TrainingSpec,
    trials: int | None,
    workers: int,
    storage: str | None,
    study: str | None,
    from_runs: bool,
    output: Path | None,
    as_json: bool,
    worker: bool,
) -> None:
    """Search for good values of keys of SPEC, whose section `tune` says which.

    Each trial is a run. The same command goes on with a study that was interrupted, and on other machines with the same
    --storage works on it at the same time.
    """
    from cnncli.api.tuning import Tuning

    if output is not None:
        from cnncli.report.pictures.save import suffix_of

        suffix_of(output)
    changes = [*given.changes, *([] if trials is None else [f"tune.trials={trials}"])]
    tuning = Tuning.of(given.path, changes, storage, study)
    opened = tuning.open()
    if worker:
        tuning.work(opened, threads=given.threads, offline=given.offline)
        return
    tell_warnings(tuning.spec.warnings)
    _search(tuning, opened, workers, given.threads, offline=given.offline, from_runs=from_runs)
    _conclude(tuning, tuning.found(opened), output, as_json=as_json)


def _search(
    tuning: "Tuning", study: object, workers: int, threads: int | None, *, offline: bool | None, from_runs: bool
) -> None:
    """Run the workers, and show what they do."""
    from cnncli.api.data import obtain
    from cnncli.api.tuning_workers import train_trials
    from cnncli.report.tables.tuning import LiveTrials
    from cnncli.report.terminal.progress import Status

    with Status() as status:
        obtain(tuning.spec.data, status, offline=offline)
    if from_runs:
        from cnncli.api.tuning_runs import add_runs

        echo_lines([f"{add_runs(tuning, study)} runs known from before"], err=True)
    with LiveTrials() as live:
        train_trials(
            *(tuning, study),
            workers=workers,
            threads=threads,
            offline=offline,
            resume=_again(tuning),
            on_change=live,
        )


def _again(tuning: "Tuning") -> str:
    """The command that goes on, without a password."""
    from cnncli.cli.options import ARGUMENTS
    from cnncli.training.search.storage import hidden

    arguments = click.get_current_context().find_root().meta[ARGUMENTS]
    return hidden(join(["cnncli", *arguments]))


def _conclude(tuning: "Tuning", found: "Found", output: Path | None, *, as_json: bool) -> None:
    """Write the best specs and the picture, and print what was found."""
    from cnncli.api.plots import drawn
    from cnncli.report.plots.trials import parallel_coordinates
    from cnncli.report.tables.tuning import print_found

    best, front = tuning.write_best(found), tuning.write_front(found)
    picture = None
    if best is not None:
        picture = output or tuning.picture
        drawn(found.name, [parallel_coordinates(found)]).save(picture)
    if as_json:
        paths: dict[str, object] = {"best_spec": best and str(best), "picture": picture and str(picture)}
        paths |= {"front_specs": list(map(str, front))} if front else {}
        echo_json({**found.document(), **paths})
    elif best is not None:
        print_found(found, sys.stdout)
    if best is None:
        raise found.without_result
    if not as_json:
        echo_lines([f"{picture}", *map(str, front), f"{best}", f"next       {join(['cnncli', 'train', str(best)])}"])
