"""Training a spec, resuming a run, and estimating memory and time."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from cnncli.api.data import decoding, obtain, oddities, refuse_moved
from cnncli.api.runs import Run
from cnncli.api.specs import Changes, Source, data_setting, open_spec, settings
from cnncli.api.targets import find_model, no_run
from cnncli.datasets.rescale import image_scale, rescaling_layer
from cnncli.datasets.section import TRAIN
from cnncli.errors import CnncliError, UsageError
from cnncli.escaping import one_line
from cnncli.graph.model import lower
from cnncli.spec.expected import expected_figures
from cnncli.spec.spec import Spec, load
from cnncli.system.memory import peak
from cnncli.training.events import Begun, Ended, Event, Notice, OnEvent, Progress, WeightsLoaded, notices_to
from cnncli.training.resources.threads import settle
from cnncli.training.runs import past_runs

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset
    from cnncli.training.loop.forecast import Forecast
    from cnncli.training.loop.session import Fitting, Plan, Supervision

PathLike = str | os.PathLike[str]


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
    saved), CnncliError if something can't be read or written. `expect` is not evaluated: call `Run.judge`.
    """
    listed = [*settings(changes), *([] if data is None else [data_setting(data)])]
    opened = open_spec(spec, listed)
    tell_doubts(opened, on_event)
    start = None if weights is None else find_model(Path(weights)).file
    asked = asked_epochs(spec, listed, opened)
    around = Surroundings(threads, offline, on_event, {"spec_epochs": asked})
    return train_spec(opened, around, weights=start, output=None if output is None else Path(output))


def resume(
    run: PathLike,
    *,
    epochs: int | None = None,
    data: PathLike | None = None,
    threads: int | None = None,
    offline: bool | None = None,
    on_event: OnEvent = warnings_only,
) -> Run:
    """Resume an interrupted run, or train a finished one for more epochs; weights equal those of an uninterrupted run.

    epochs: total number of epochs; may only increase. data: new location of the run's data. The rest is as in `train`.
    """
    path = Path(run)
    spec = resumed_spec(path, epochs, data)
    tell_doubts(spec, on_event)
    origin = {"spec_epochs": past_runs.environment(path).get("spec_epochs")}
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
        from cnncli.training.loop.session import RunOptions, train

        around.on_event(Progress("compiling kernels …"))
        heard = compilations.heard_by(
            lambda made: around.on_event(Progress(f"compiling kernels … {made.name} is ready"))
        )
        with heard:
            place = RunOptions(run, weights, output, fitting(spec, run, weights), supervision=supervision)
            result = train(plan, dataset, place, threads, around.on_event)
        around.on_event(Ended(result.run, result.epoch, result.digest, result.test, settled.data))
        unjudged = why_unjudged(spec.fit.epochs, around.origin.get("spec_epochs"))
        path = Path(result.run)
        more = expected_figures(settled, past_runs.history(path), dataset.sizes["train"], peak())
        return Run(path, settled, result.epoch, result.digest, result.figures, result.test, unjudged, more)


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
        from cnncli.training.loop.session import RunOptions, check

        network = check(plan, dataset, RunOptions(run, weights, output, fitting(spec, run, weights)), threads)
        around.on_event(Progress("compiling kernels, timing some batches …"))
        made = forecast(plan, dataset, network, before)
        around.on_event(Progress(""))
        return made


def fitting(spec: Spec, run: Path | None, weights: Path | None) -> "Fitting | None":
    """The model file of the spec's `weights`, unless a run is resumed or other weights are given."""
    from cnncli.training.loop.session import Fitting

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
        obtain(spec.data, tell, offline=around.offline)
        threads = settle(around.threads, room=True)  # before Numba is imported
        from cnncli.training.cautions import of_data
        from cnncli.training.loop.forecast import resident
        from cnncli.training.loop.session import Plan, read_data

        base = spec.path.parent if spec.path else Path()
        sections = spec.data, base, spec.model, spec.compile, spec.fit
        plan = Plan(spec.name, spec.seed, *sections, spec.to_yaml(), spec.resolved(), around.origin, spec.unfreezing)
        memory = resident()
        dataset = read_data(plan, decoding(tell))
        settled = _normalized(spec, dataset)
        plan = replace(plan, data=settled.data, text=settled.to_yaml(), resolved=settled.resolved())
        for notice in oddities(dataset, spec.data.targets):
            tell(notice)
        for caution in of_data(spec.data, spec.compile, dataset, spec.fit.class_weight):
            tell(Notice(caution, "warning"))
        parameters = sum(parameter.size for parameter in lower(spec.model).parameters)
        scaled = rescaling_layer(spec.model) if spec.data.rescale == "auto" else ""
        about = parameters, dataset.sizes, dataset.source, threads, spec.seed, spec.fit.epochs, scaled
        tell(Begun(spec.name, *about))
        yield Beginning(settled, plan, dataset, threads, memory)


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


def asked_epochs(source: Source, changes: list[str], opened: Spec) -> int:
    """The epochs of the spec itself, or those of the changes if these also set `expect`."""
    others = [change for change in changes if not change.startswith("fit.epochs=")]
    if len(others) == len(changes) or any(change.startswith("expect.") for change in changes):
        return opened.fit.epochs
    try:
        return open_spec(source, others, check_data=False).fit.epochs
    except CnncliError:  # it is valid only with the changes
        return opened.fit.epochs


def resumed_spec(run: Path, epochs: int | None, data: PathLike | None) -> Spec:
    """The spec of a run, with its epochs increased to `epochs` and its data at `data`."""
    path = run / "spec.yaml"
    if not path.is_file():
        raise UsageError(f"--resume needs a run; {no_run(run)}")
    moved = [] if data is None else [data_setting(data)]
    refuse_moved(load(path, moved, check_data=False).data, f"cnncli train --resume {quote(str(run))}")
    spec = load(path, moved, check_weights=False)
    if epochs is None or epochs == spec.fit.epochs:
        return spec
    if epochs < spec.fit.epochs:
        raise UsageError(f"a resumed run's epochs may only grow: it has {spec.fit.epochs}; received {epochs}")
    return load(path, [*moved, f"fit.epochs={epochs}"], check_weights=False)


def why_unjudged(epochs: int, asked: object) -> str:
    """Why expectations are not evaluated: fewer epochs were trained than the spec requests."""
    if not isinstance(asked, int) or epochs >= asked:
        return ""
    return f"the run has {epochs} epoch{'s' * (epochs != 1)}, the spec asks for {asked}"
