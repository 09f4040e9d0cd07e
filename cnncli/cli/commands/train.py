"""`cnncli train`: train the model of a spec."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, TypedDict

import click

from cnncli.api.specs import data_settings
from cnncli.api.targets import find_model
from cnncli.api.training import Surroundings, asked_before, asked_of, forecast_spec, resumed_spec, train_spec
from cnncli.api.trials import Trial, Trials, each_trial
from cnncli.cli import tell_warnings
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import (
    ARGUMENTS,
    DtypeChoice,
    Integer,
    batch_size_option,
    data_option,
    example,
    junit_option,
    output_option,
    set_option,
    threads_option,
)
from cnncli.cli.proofs import check_threads
from cnncli.errors import CnncliError, UsageError
from cnncli.notices import warn
from cnncli.report.tables.expectations import Report
from cnncli.report.terminal.figures import figure
from cnncli.report.terminal.output import echo, emit
from cnncli.report.terminal.progress import Follower
from cnncli.spec.spec import Spec
from cnncli.system import streams
from cnncli.training.distributed.launch import group, together
from cnncli.training.events import TrialBegins
from cnncli.training.policy import POLICIES
from cnncli.training.runs import past_runs

if TYPE_CHECKING:
    from cnncli.report.plots.live import LiveCurves
    from cnncli.training.loop.forecast import Forecast


class Where(TypedDict):
    """The run to resume, the model file to start from, and the run directory; each may be None."""

    run: Path | None
    weights: Path | None
    output: Path | None


@click.command("train", epilog=example("cnncli train mine.yaml --epochs 3 --set fit.batch_size=64"))
@click.argument("spec", required=False, type=click.Path(path_type=Path))
@set_option
@data_option("Dataset to train on; with --resume, the new location of the run's data.")
@output_option("Run directory (must be new or empty).", metavar="DIR")
@click.option("--resume", metavar="RUN", type=click.Path(path_type=Path), help="Resume a run, using its saved spec.")
@click.option("--weights", type=click.Path(path_type=Path), help="Start from the weights of a model file or run.")
@click.option("--epochs", type=Integer(0), help="Number of epochs; 0 saves the initial weights.")
@click.option("--max-steps", type=Integer(1), help="End after so many batches.")
@click.option("--max-time", metavar="TIME", help="End after a time, such as 90s, 10m or 1h30m.")
@click.option("--overfit-batches", type=Integer(1), help="Train on N batches alone, until their loss is small.")
@batch_size_option
@click.option("--dtype", type=DtypeChoice(), help="How activations are stored: compile.dtype_policy.")
@threads_option
@click.option("--seed", type=Integer(0, 2**63 - 1), help="Random seed.")
@click.option("--folds", type=Integer(2), help="K-fold cross-validation with N folds.")
@click.option("--seeds", type=Integer(2), help="Repeat with N consecutive seeds.")
@offline_option
@click.option("--log", metavar="NAMES", help="Loggers, such as csv,tensorboard,mlflow: fit.log. '' for none.")
@junit_option
@click.option("--dry-run", is_flag=True, help="Show shapes, estimated memory and time without training.")
@click.option(
    "--deterministic-check",
    is_flag=True,
    help="Train with one thread, one for each CPU and three for each, or --threads, and compare all bits.",
)
@click.option("--plot", is_flag=True, help="Show the curves as they grow, and at the end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event.")
@click.option("--quiet", is_flag=True, help="Print only the final results.")
@together()
def command(
    *,
    spec: Path | None,
    overrides: tuple[str, ...],
    data: str | None,
    output: Path | None,
    resume: Path | None,
    weights: Path | None,
    epochs: int | None,
    max_steps: int | None,
    max_time: str | None,
    overfit_batches: int | None,
    batch_size: int | None,
    dtype: str | None,
    threads: int | None,
    seed: int | None,
    folds: int | None,
    seeds: int | None,
    offline: bool,
    log: str | None,
    junit: Path | None,
    dry_run: bool,
    deterministic_check: bool,
    plot: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train the model of SPEC and write a run directory."""
    mode = "json" if as_json else "quiet" if quiet else "text"
    with _errors_as_json(as_json):
        alone: dict[str, object] = {
            "--resume": resume,
            "--output": output,
            "--weights": weights,
            "--folds": folds,
            "--seeds": seeds,
        }
        alone |= {"--junit": junit, "--dry-run": dry_run, "--plot": plot}
        _refuse_together("--deterministic-check compares trainings and leaves no run", deterministic_check, alone)
        _refuse_together("--junit reports the result of a training", junit, {"--dry-run": dry_run})
        others = {"--json": as_json, "--quiet": quiet, "--dry-run": dry_run}
        _refuse_together("--plot shows the curves of a training", plot, others)
        curves = partial(_curves, resume) if plot else None
        processes, what = group(), str(spec or resume or "")
        with (
            Report("train", what, junit, written=processes.first) as report,
            Follower(mode, curves) as follower,
        ):
            lengths = {"epochs": epochs, "max_steps": max_steps, "max_time": max_time}
            options: dict[str, object] = {f"fit.{name}": value for name, value in lengths.items()}
            options |= {"fit.overfit_batches": overfit_batches, "fit.batch_size": batch_size, "seed": seed}
            options["compile.dtype_policy"] = None if dtype is None else POLICIES[dtype]
            changes = [*overrides, *(f"{key}={value}" for key, value in options.items() if value is not None)]
            changes += data_settings(data)
            changes += [] if log is None else [f"fit.log=[{log}]"]
            if resume is not None:
                given: dict[str, object] = {"SPEC": spec, "--set": overrides, "--output": output, "--weights": weights}
                given |= {
                    "--overfit-batches": overfit_batches,
                    "--batch-size": batch_size,
                    "--dtype": dtype,
                    "--seed": seed,
                    "--folds": folds,
                    "--seeds": seeds,
                }
                _refuse_beside_resume(given)
                todo = [Trial("", 1, 1, resumed_spec(resume, lengths, data, log), None)]
                asked = asked_before(resume)
            elif spec is not None:
                todo = list(each_trial(spec, changes, seeds, folds, output))
                asked = asked_of(spec, changes, todo[0].spec)
            else:
                raise UsageError("train needs a SPEC, or --resume RUN")
            first = todo[0].spec
            if deterministic_check:
                check_threads(first, threads, offline=offline, as_json=as_json)
                return
            report.what, report.expectations = first.name, first.expect
            tell_warnings(first.warnings)
            start = None if weights is None else find_model(weights).file
            around = Surroundings(threads, offline, follower, {"command": _command(), **asked})
            if not dry_run and streams.do_without_output():
                warn("standard output is closed; metrics are still saved in the run")
            runs = []
            for trial in todo:
                if len(todo) > 1:
                    follower(TrialBegins(trial.number, trial.count, trial.name))
                where: Where = {"run": resume, "weights": start, "output": trial.output}
                if dry_run:
                    _print_forecast(trial.spec, forecast_spec(trial.spec, around, **where), as_json=as_json)
                else:
                    runs.append(train_spec(trial.spec, around, **where))
            if runs:
                figures = _figures(Trials(runs), mode)
                processes.first_does(lambda: report.conclude(figures, runs[0].unjudged), lambda: None)


@contextmanager
def _errors_as_json(wanted: bool) -> Iterator[None]:
    """Context whose errors are also printed as JSON, if wanted."""
    try:
        yield
    except CnncliError as error:
        if wanted:
            emit({"event": "error", "exit_code": error.exit_code, "message": str(error)})
        raise


def _refuse_together(what: str, given: object, others: Mapping[str, object]) -> None:
    """Raise UsageError if an option is given together with one of those that it can't be used with."""
    for name, also in others.items():
        if given and also:
            raise UsageError(f"{what}; it can't be used with {name}")


def _curves(resumed: Path | None) -> "LiveCurves":
    """The curves of a training, with the epochs of the run that it resumes."""
    from cnncli.report.plots.live import LiveCurves

    return LiveCurves(past_runs.history(resumed) if resumed else ())


def _refuse_beside_resume(given: Mapping[str, object]) -> None:
    refused = [name for name, value in given.items() if value not in (None, ())]
    if refused:
        raise UsageError(f"--resume uses the run's own spec; it can't be combined with {', '.join(refused)}")


def _command() -> str:
    """The command line, quoted for a shell."""
    arguments = click.get_current_context().find_root().meta[ARGUMENTS]
    return join(["cnncli", *arguments]).encode(errors="backslashreplace").decode()


def _print_forecast(spec: Spec, made: "Forecast", *, as_json: bool) -> None:
    from cnncli.report.tables.forecast import forecast_data, print_forecast

    if as_json:
        emit(forecast_data(spec, made))
    else:
        print_forecast(spec, made, sys.stdout)


def _figures(done: Trials, mode: str) -> Mapping[str, float]:
    """The metrics for expectations: those of a single training, or the means of several, which are printed."""
    if len(done.runs) == 1:
        return done.runs[0].metrics
    spreads = done.figures
    if mode == "json":
        runs, figures = [str(run.path) for run in done.runs], {name: vars(spread) for name, spread in spreads.items()}
        emit({"event": "trials", "runs": runs, "figures": figures})
    else:
        echo(f"mean of {len(done.runs)} trainings ± standard deviation")
        for name, spread in spreads.items():
            echo(f"  {name}  {figure(spread.mean)} ± {figure(spread.deviation)}")
    return {name: spread.mean for name, spread in spreads.items()}
