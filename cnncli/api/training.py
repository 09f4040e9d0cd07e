"""Training a spec, resuming a run, and estimating memory and time."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from cnncli.api.data import decoding, obtain, oddities, refuse_moved
from cnncli.api.runs import Run
from cnncli.api.specs import Changes, Source, data_settings, open_spec, settings
from cnncli.api.targets import find_model, no_run
from cnncli.datasets.rescale import image_scale, rescaling_layer
from cnncli.datasets.section import TRAIN
from cnncli.errors import CnncliError, ExpectationError, UsageError
from cnncli.escaping import one_line
from cnncli.graph.model import lower
from cnncli.spec.expected import expected_figures
from cnncli.spec.spec import Spec, load
from cnncli.system.memory import peak
from cnncli.training.distributed.launch import group, threads_of_process
from cnncli.training.events import Begun, Ended, Event, Notice, OnEvent, Progress, WeightsLoaded, notices_to
from cnncli.training.loggers.listening import logged
from cnncli.training.resources.threads import settle
from cnncli.training.runs import past_runs
from cnncli.training.sections import FitSection
from cnncli.version import __version__

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset
    from cnncli.training.distributed.group import Group
    from cnncli.training.loop.forecast import Forecast
    from cnncli.training.loop.overfitting import Verdict
    from cnncli.training.loop.plan import Fitting, Plan, Supervision

PathLike = str | os.PathLike[str]
LIMITS = ("max_steps", "max_time")
"""Keys of `fit` that may end a training before its last epoch."""
LENGTHS = tuple(f"fit.{name}=" for name in ("epochs", *LIMITS))
"""Changes of how long is trained."""


def warnings_only(event: Event) -> None:
    """Print only warnings and notices, on standard error."""
    if isinstance(event, Notice | WeightsLoaded):
        print("\n".join(map(one_line, str(event).split("\n"))), file=sys.stderr)


@dataclass(frozen=True)
class Surroundings:
    """Options of a training: `threads` (None: one per CPU), `offline` (None: CNNCLI_OFFLINE), an event listener, and
    entries for environment.json on how the run was started.
    """

    threads: int | None = None
    offline: bool | None = None
    on_event: OnEvent = warnings_only
    origin: Mapping[str, object] = field(default_factory=dict)


def train(
    spec: Source,
    changes: Changes = None,
    *,
    data: PathLike | None = None,
    weights: PathLike | None = None,
    output: PathLike | None = None,
    threads: int | None = None,
    offline: bool | None = None,
    on_event: OnEvent = warnings_only,
) -> Run:
    """Train the model of a spec and write a run directory.

    spec: path of a YAML file, the same as plain data (a dict), or a Spec. changes: values to override, by dotted key or
    section: `{"fit.epochs": 3}`, `{"fit": {"epochs": 3}}`. data: data to use instead of the spec's. weights: a run or
    model file to start from. output: the run directory, new or empty; default: `runs/<name>/<time>`. threads: default:
    the available CPUs. offline: disable downloads; default: CNNCLI_OFFLINE. on_event: called with every event; by
    default, warnings are printed.

    Raises SpecError for a spec with problems, UsageError, DivergedError, InterruptedRun after Ctrl-C (everything is
    saved), CnncliError if something can't be read or written, ExpectationError if `overfit_batches` fails. `expect` is
    not evaluated: call `Run.judge`.
    """
    listed = [*settings(changes), *data_settings(data)]
    opened = open_spec(spec, listed)
    tell_doubts(opened, on_event)
    start = None if weights is None else find_model(Path(weights)).file
    around = Surroundings(threads, offline, on_event, asked_of(spec, listed, opened))
    return train_spec(opened, around, weights=start, output=None if output is None else Path(output))


def resume(
    run: PathLike,
    *,
    epochs: int | None = None,
    max_steps: int | None = None,
    max_time: float | str | None = None,
    data: PathLike | None = None,
    log: str | None = None,
    threads: int | None = None,
    offline: bool | None = None,
    on_event: OnEvent = warnings_only,
) -> Run:
    """Resume an interrupted run, or train a finished one for more epochs; weights equal those of an uninterrupted run.

    epochs: total number of epochs; may only increase. max_steps, max_time: new limits. data: new location of the run's
    data. log: other loggers, such as "csv,tensorboard"; "" for none. The rest is as in `train`.
    """
    path = Path(run)
    spec = resumed_spec(path, {"epochs": epochs, "max_steps": max_steps, "max_time": max_time}, data, log)
    tell_doubts(spec, on_event)
    origin = asked_before(path)
    return train_spec(spec, Surroundings(threads, offline, on_event, origin), run=path)


def forecast(
    spec: Source,
    changes: Changes = None,
    *,
    threads: int | None = None,
    offline: bool | None = None,
    on_event: OnEvent = warnings_only,
) -> "Forecast":
    """Estimate the memory and time of a training from some of its batches, without writing anything.

    Arguments and errors are those of `train`.
    """
    opened = open_spec(spec, changes)
    tell_doubts(opened, on_event)
    return forecast_spec(opened, Surroundings(threads, offline, on_event))


def train_spec(
    spec: Spec,
    around: Surroundings,
    *,
    run: Path | None = None,
    weights: Path | None = None,
    output: Path | None = None,
    supervision: "Supervision | None" = None,
) -> Run:
    """Train a spec, or resume `run`, which has this spec. `weights`: the model file to start from. `supervision`: of a
    search, which may raise PrunedRun.
    """
    with begun(spec, around) as (settled, plan, dataset, threads, _):
        from cnncli.kernels.jit import compilations
        from cnncli.training.loop.plan import RunOptions
        from cnncli.training.loop.session import train

        around.on_event(Progress("compiling kernels …"))
        heard = compilations.heard_by(
            lambda made: around.on_event(Progress(f"compiling kernels … {made.name} is ready"))
        )
        processes = group()
        with logged(spec.fit.loggers if processes.first else (), around.on_event) as tell:
            with heard:
                place = RunOptions(run, weights, output, fitting(spec, run, weights), supervision=supervision)
                result = train(plan, dataset, place, threads, tell, group=processes)
            pictures = partial(_pictures, Path(result.run))
            tell(Ended(result.run, result.epoch, result.digest, result.test, settled.data, pictures))
        if result.overfitting is not None:
            _tell(result.overfitting, around.on_event)
        unjudged = why_unjudged(spec.fit, around.origin, result.stopped_by)
        path = Path(result.run)
        more = expected_figures(settled, past_runs.history(path), dataset.sizes["train"], peak())
        more = processes.from_first(more)  # which has the run
        return Run(path, settled, result.epoch, result.digest, result.figures, result.test, unjudged, more)


def _tell(verdict: "Verdict", on_event: OnEvent) -> None:
    """Report what came of `overfit_batches`. Raises ExpectationError if the loss is not small."""
    if not verdict.succeeded:
        raise ExpectationError(verdict.text)
    on_event(Notice(verdict.text))


def _pictures(run: Path) -> dict[str, bytes]:
    """The curves of a run, as SVG by file name; none without a complete epoch."""
    from cnncli.report.pictures.draw import draw
    from cnncli.report.pictures.drawing import beside
    from cnncli.report.pictures.svg import svg
    from cnncli.report.plots.curves import History, curves

    charts = curves([History(run.name, past_runs.history(run), past_runs.best_epoch(run))])
    return {"curves.svg": svg(beside([draw(chart) for chart in charts], 2, 24.0)).encode()} if charts else {}


def forecast_spec(
    spec: Spec,
    around: Surroundings,
    *,
    run: Path | None = None,
    weights: Path | None = None,
    output: Path | None = None,
) -> "Forecast":
    """Estimate the training of a spec, with the same checks as `train_spec`; nothing is written."""
    with begun(spec, around) as (_, plan, dataset, threads, before):
        from cnncli.training.loop.forecast import forecast
        from cnncli.training.loop.plan import RunOptions
        from cnncli.training.loop.session import check

        network = check(plan, dataset, RunOptions(run, weights, output, fitting(spec, run, weights)), threads)
        around.on_event(Progress("compiling kernels, timing some batches …"))
        made = forecast(plan, dataset, network, before)
        around.on_event(Progress(""))
        return made


def fitting(spec: Spec, run: Path | None, weights: Path | None) -> "Fitting | None":
    """The model file of the spec's `weights`, unless a run is resumed or other weights are given."""
    from cnncli.training.loop.plan import Fitting

    if spec.weights is None or run is not None or weights is not None:
        return None
    return Fitting(find_model(Path(spec.weights.file)).file, spec.weights.by)


class Beginning(NamedTuple):
    """Everything prepared before the first batch. `spec`: with the numbers of its `normalize`. `memory`: resident bytes
    of the process before loading the data.
    """

    spec: Spec
    plan: "Plan"
    dataset: "Dataset"
    threads: int
    memory: int


@contextmanager
def begun(spec: Spec, around: Surroundings) -> Iterator[Beginning]:
    """Load the data and report warnings and the start. Notices within the block are reported as events."""
    tell = around.on_event
    with notices_to(tell):
        processes = group()
        threads = around.threads if processes.size == 1 else around.threads or threads_of_process()
        threads = settle(threads, room=True)  # before Numba is imported
        from cnncli.training.cautions import of_data
        from cnncli.training.distributed.sharing import read_once
        from cnncli.training.loop.forecast import resident
        from cnncli.training.loop.plan import Plan
        from cnncli.training.loop.session import read_data

        origin = {**around.origin, **({"processes": processes.size} if processes.size > 1 else {})}
        base = spec.path.parent if spec.path else Path()
        sections = spec.data, base, spec.model, spec.compile, spec.fit
        plan = Plan(spec.name, spec.seed, *sections, spec.to_yaml(), spec.resolved(), origin, spec.unfreezing)
        memory = resident()

        def read() -> "Dataset":
            obtain(spec.data, tell, offline=around.offline)
            return read_data(plan, decoding(tell))

        if processes.size > 1:
            keys = {f"{key} in the spec": value for key, value in _flat(spec.resolved())}
            processes.same({"version of cnncli": __version__, **keys, "spec": _short_digest(spec.to_yaml())})
        dataset = read_once(processes, read)
        processes.same({"data": dataset.digest[:19]})
        for notice in differing(processes):
            tell(notice)
        settled = _normalized(spec, dataset)
        plan = replace(plan, data=settled.data, text=settled.to_yaml(), resolved=settled.resolved())
        for notice in oddities(dataset, spec.data.targets):
            tell(notice)
        for caution in of_data(spec.data, spec.compile, dataset, spec.fit.class_weight):
            tell(Notice(caution, "warning"))
        parameters = sum(parameter.size for parameter in lower(spec.model).parameters)
        scaled = rescaling_layer(spec.model) if spec.data.rescale == "auto" else ""
        about = parameters, dataset.sizes, dataset.source, threads, spec.seed, spec.fit.epochs, scaled
        tell(Begun(spec.name, *about, processes=processes.size))
        yield Beginning(settled, plan, dataset, threads, memory)


def _flat(tree: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """The values of a spec by dotted keys."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _short_digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]


def differing(processes: "Group") -> Iterator[Notice]:
    """A warning if processes of a group compute with different instructions, and may round differently."""
    if processes.size == 1:
        return
    from cnncli.kernels.jit.target import machine

    found = processes.gather((machine().cpu, machine().features))
    if len(set(found)) > 1:
        names = ", ".join(dict.fromkeys(cpu for cpu, _ in found))
        yield Notice(
            f"the processes run on different processors ({names}): results depend on which process runs on which",
            "warning",
        )


def _normalized(spec: Spec, dataset: "Dataset") -> Spec:
    """The spec with the numbers of `normalize: train`, which are those of the training images."""
    if spec.data.normalize != TRAIN:
        return spec
    from cnncli.datasets.images.channel_stats import channel_stats

    assert dataset.train is not None  # see read_data
    scale = image_scale(spec.model, spec.data.replace(normalize=None))
    return replace(spec, data=spec.data.replace(normalize=channel_stats(dataset.train, scale)))


def tell_doubts(spec: Spec, on_event: OnEvent) -> None:
    """Report the warnings of a spec."""
    for warning in spec.warnings:
        on_event(Notice(warning.text, "warning", located=True))


def asked_of(source: Source, changes: list[str], opened: Spec) -> dict[str, object]:
    """Entries for environment.json: the epochs of the spec itself and the limits that it has, or those of the changes
    if these also set `expect`.
    """
    others = [change for change in changes if not change.startswith(LENGTHS)]
    if len(others) != len(changes) and not any(change.startswith("expect.") for change in changes):
        with suppress(CnncliError):  # else it is valid only with the changes
            opened = open_spec(source, others, check_data=False)
    limits = [name for name in LIMITS if getattr(opened.fit, name) is not None]
    return {"spec_epochs": opened.fit.epochs, **({"spec_limits": limits} if limits else {})}


def asked_before(run: Path) -> dict[str, object]:
    """What `asked_of` returned when a run began."""
    return {key: value for key, value in past_runs.environment(run).items() if key in ("spec_epochs", "spec_limits")}


def resumed_spec(run: Path, lengths: Mapping[str, object], data: PathLike | None, log: str | None = None) -> Spec:
    """The spec of a run, with its data at `data`, and the loggers `log`. `lengths`: new `epochs`, which may only
    increase, and limits, each of which may be None.
    """
    path = run / "spec.yaml"
    if not path.is_file():
        raise UsageError(f"--resume needs a run; {no_run(run)}")
    moved = data_settings(data)
    refuse_moved(load(path, moved, check_data=False).data, f"cnncli train --resume {quote(str(run))}")
    moved += [] if log is None else [f"fit.log=[{log}]"]
    spec = load(path, moved, check_weights=False)
    given = [f"fit.{name}={value}" for name, value in lengths.items() if value is not None]
    if not given:
        return spec
    longer = load(path, [*moved, *given], check_weights=False)
    if longer.fit.epochs < spec.fit.epochs:
        received = f"it has {spec.fit.epochs}; received {longer.fit.epochs}"
        raise UsageError(f"a resumed run's epochs may only grow: {received}")
    return longer


def why_unjudged(fit: FitSection, origin: Mapping[str, object], stopped_by: object = "") -> str:
    """Why expectations are not evaluated: fewer epochs were trained than the spec requests, or a limit that it does not
    have ended the training, or it was one on few batches.
    """
    if fit.overfit_batches is not None:
        return "overfit_batches trains on few images"
    own = origin.get("spec_limits", ())
    if stopped_by in LIMITS and not (isinstance(own, list) and stopped_by in own):
        return f"{stopped_by} ended the training"
    asked = origin.get("spec_epochs")
    epochs = fit.epochs
    if not isinstance(asked, int) or epochs >= asked:
        return ""
    return f"the run has {epochs} epoch{'s' * (epochs != 1)}, the spec asks for {asked}"
