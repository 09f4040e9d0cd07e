"""`cnncli train`: from a spec to a run. NumPy and Numba are imported once the number of threads is settled."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, NamedTuple

import click

from cnncli.cli import tell_warnings
from cnncli.cli.data_option import data_option, named_by, refuse_moved
from cnncli.cli.downloads import obtain, offline_option
from cnncli.cli.following import next_commands
from cnncli.cli.model_target import find_model, no_run
from cnncli.cli.options import ARGUMENTS, Integer, example
from cnncli.cli.trials import all_figures, folds_option, run_all, seeds_option, trials
from cnncli.datasets.rescale import rescaling_layer
from cnncli.errors import CnncliError, UsageError
from cnncli.escaping import one_line
from cnncli.graph.model import lower
from cnncli.notices import warn
from cnncli.report.tables.expectations import Report
from cnncli.report.terminal.figures import figures_line, fitted
from cnncli.report.terminal.output import echo, echo_lines, emit
from cnncli.report.terminal.progress import Follower, Notice
from cnncli.report.terminal.reading_notice import decoding, tell_repeated, tell_skipped, tell_untrained
from cnncli.spec.spec import Spec, load
from cnncli.system import streams
from cnncli.training.resources import threads as cpus
from cnncli.training.runs import past_runs

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset
    from cnncli.training.loop.session import Result


@click.command("train", epilog=example("cnncli train mine.yaml --epochs 3 --set fit.batch_size=64"))
@click.argument("spec", required=False, type=click.Path(path_type=Path))
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a value of the spec. Repeatable.")
@data_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run directory (must be new or empty).")
@click.option("--resume", metavar="RUN", type=click.Path(path_type=Path), help="Resume a run, using its saved spec.")
@click.option("--weights", type=click.Path(path_type=Path), help="Start from the weights of a model file or run.")
@click.option("--epochs", type=Integer(0), help="Number of epochs; 0 saves the initial weights.")
@click.option("--batch-size", type=Integer(1), help="Batch size.")
@click.option("--threads", type=Integer(1), help="Number of threads. Default: the available CPUs.")
@click.option("--seed", type=Integer(0, 2**63 - 1), help="Random seed.")
@folds_option
@seeds_option
@offline_option
@click.option("--junit", type=click.Path(path_type=Path), help="Write a JUnit report to this file.")
@click.option("--dry-run", is_flag=True, help="Show shapes, memory and time; train nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON.")
@click.option("--quiet", is_flag=True, help="Print the closing lines only.")
def command(
    *,
    spec: Path | None,
    overrides: tuple[str, ...],
    data: str | None,
    output: Path | None,
    resume: Path | None,
    weights: Path | None,
    epochs: int | None,
    batch_size: int | None,
    threads: int | None,
    seed: int | None,
    folds: int | None,
    seeds: int | None,
    offline: bool,
    junit: Path | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train the model of SPEC and leave a run behind."""
    mode = "json" if as_json else "quiet" if quiet else "text"
    try:
        if dry_run and junit:
            raise UsageError("--junit reports what came of a training; it does not go with --dry-run")
        with Report("train", str(spec or resume or ""), junit) as report:
            options = {"fit.epochs": epochs, "fit.batch_size": batch_size, "seed": seed}
            changes = [*overrides, *(f"{key}={value}" for key, value in options.items() if value is not None)]
            changes += [] if data is None else [named_by(data)]
            if resume is not None:
                given: dict[str, object] = {"SPEC": spec, "--set": overrides, "--output": output, "--weights": weights}
                given |= {"--batch-size": batch_size, "--seed": seed, "--folds": folds, "--seeds": seeds}
                refused = [name for name, value in given.items() if value not in (None, ())]
                loaded = _resumed(resume, refused, epochs, data)
                asked = past_runs.environment(resume).get("spec_epochs")
            elif spec is not None:
                loaded = load(spec, changes)
                asked = _asked(spec, changes, loaded)
            else:
                raise UsageError("train needs a SPEC, or --resume RUN")
            report.what, report.expectations = loaded.name, loaded.expect
            tell_warnings(loaded.warnings)
            origin = {"command": _command(), "spec_epochs": asked}
            start = None if weights is None else find_model(weights).file
            obtain(loaded.data, offline=offline)
            cores = cpus.settle(threads)
            if not dry_run and streams.do_without_output():
                warn("standard output is closed; the run keeps all figures")

            def one(changed: Spec, place: Path | None) -> "Result | None":
                where = Where(resume, start, place)
                return _train(changed, mode, origin, where, threads=cores, dry=dry_run)

            if not (folds or seeds):
                result = one(loaded, output)
                figures = all_figures(result) if result else {}
            else:
                assert spec is not None  # for --resume does not go with --folds and --seeds
                path = spec
                figures = run_all(
                    trials(loaded.seed, seeds, folds),
                    output,
                    mode,
                    lambda trial, place: one(load(path, [*changes, *trial.changes]), place),
                )
            if not dry_run:
                report.conclude(figures, _unjudged(loaded.fit.epochs, asked))
    except CnncliError as error:
        if as_json:
            emit({"event": "error", "exit_code": error.exit_code, "message": str(error)})
        raise


def _asked(spec: Path, changes: Sequence[str], loaded: Spec) -> int:
    """The epochs that the spec itself asks for; those of the command line where that also says what is expected."""
    others = [change for change in changes if not change.startswith("fit.epochs=")]
    if len(others) == len(changes) or any(change.startswith("expect.") for change in changes):
        return loaded.fit.epochs
    try:
        return load(spec, others, check_data=False).fit.epochs
    except CnncliError:  # it is valid only with what the command line changes
        return loaded.fit.epochs


def _unjudged(epochs: int, asked: object) -> str:
    """Why expectations are not judged: the command line asked for fewer epochs than the spec."""
    if not isinstance(asked, int) or epochs >= asked:
        return ""
    return f"the run has {epochs} epoch{'s' * (epochs != 1)}, the spec asks for {asked}"


def _command() -> str:
    """The command line, as a shell takes it."""
    arguments = click.get_current_context().find_root().meta[ARGUMENTS]
    return join(["cnncli", *arguments]).encode(errors="backslashreplace").decode()


def _resumed(run: Path, given: list[str], epochs: int | None, data: str | None) -> Spec:
    """The spec of a run, with its epochs grown to `epochs`, and its data where `data` says that they are."""
    if given:
        raise UsageError(f"--resume goes on with what the run's own spec says; it does not go with {', '.join(given)}")
    path = run / "spec.yaml"
    if not path.is_file():
        raise UsageError(f"--resume needs a run; {no_run(run)}")
    moved = [] if data is None else [named_by(data)]
    refuse_moved(load(path, moved, check_data=False).data, f"cnncli train --resume {quote(str(run))}")
    spec = load(path, moved)
    if epochs is None or epochs == spec.fit.epochs:
        return spec
    if epochs < spec.fit.epochs:
        raise UsageError(f"a resumed run's epochs may only grow: it has {spec.fit.epochs}; received {epochs}")
    return load(path, [*moved, f"fit.epochs={epochs}"])


class Where(NamedTuple):
    """The run to resume, the model file to begin at, and the new run's folder; each may be none."""

    resume: Path | None
    weights: Path | None
    output: Path | None


def _train(
    spec: Spec, mode: str, origin: Mapping[str, object], where: Where, *, threads: int, dry: bool
) -> "Result | None":
    """The training of one spec; None where all is only checked."""
    from cnncli.datasets.splits.stratify import untrained
    from cnncli.kernels.jit import compilations
    from cnncli.report.tables.forecast import forecast_data, print_forecast
    from cnncli.training.cautions import of_data
    from cnncli.training.loop.forecast import forecast, resident
    from cnncli.training.loop.session import Place, Plan, check, read_data, train

    base = spec.path.parent if spec.path else Path()
    resolved = spec.resolved()
    plan = Plan(
        spec.name, spec.seed, spec.data, base, spec.model, spec.compile, spec.fit, spec.to_yaml(), resolved, origin
    )
    before = resident()
    dataset = read_data(plan, decoding())
    tell_skipped(dataset.skipped)
    tell_repeated(dataset.in_several_splits)
    tell_untrained(untrained(dataset.splits, dataset.classes))
    for caution in of_data(spec.data, spec.compile, dataset):
        echo(f"warning: {caution}", err=True)
    place = Place(*where)
    if mode == "text":
        echo(fitted(header(spec, dataset, threads), " · "))
        if spec.data.rescale == "auto" and rescaling_layer(spec.model):
            echo(f"images are fed as they are: the model scales them itself, by {rescaling_layer(spec.model)}")
    if dry:
        with Notice() as notice:
            network = check(plan, dataset, place, threads)
            notice.say("compiling kernels, timing some batches …")
            made = forecast(plan, dataset, network, before)
        if mode == "json":
            emit(forecast_data(spec, dataset, threads, made))
        else:
            print_forecast(spec, made, sys.stdout)
        return None
    with Follower(spec.fit.epochs, mode) as follower:
        follower.notice("compiling kernels …")
        with compilations.told_to(lambda made: follower.notice(f"compiling kernels … {made.name} is ready")):
            result = train(plan, dataset, place, threads, follower)
    _close(result, spec, mode)
    return result


def header(spec: Spec, dataset: "Dataset", threads: int) -> list[str]:
    """The parts of `mnist: 225,034 parameters · 3,600 training, … (mnist5k) · 2 threads · seed 42`."""
    count = sum(parameter.size for parameter in lower(spec.model).parameters)
    words = {"train": "training", "validation": "validation", "test": "test"}
    images = ", ".join(f"{len(split):,} {words[name]}" for name, split in dataset.splits.items())
    source = one_line(Path(dataset.source).name)
    cores = f"{threads} thread{'s' * (threads > 1)}"
    return [f"{spec.name}: {count:,} parameters", f"{images} ({source})", cores, f"seed {spec.seed}"]


def _close(result: "Result", spec: Spec, mode: str) -> None:
    if mode == "json":
        test = None if result.test is None else dict(result.test)
        emit({"event": "end", "run": result.run, "weights_digest": result.digest, "epoch": result.epoch, "test": test})
        return
    if result.test is not None:
        echo(f"test  {figures_line(result.test)}  (weights of epoch {result.epoch})")
    echo_lines([f"run   {result.run}"])
    if mode == "text":
        commands = [one_line(command) for command in next_commands(spec, result.run)]
        echo(fitted([f"next  {commands[0]}", *commands[1:]], " · "))
