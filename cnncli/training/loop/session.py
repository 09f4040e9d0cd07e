"""One training from start to finish: data, network, run directory, loop, test."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from pathlib import Path
from shlex import quote
from typing import Any

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Dataset
from cnncli.datasets.images.brightness_stats import BrightnessStats
from cnncli.datasets.load import load
from cnncli.datasets.rescale import PerChannel, Rescale, image_scale
from cnncli.datasets.section import DataSection
from cnncli.errors import ChangedDataError, CnncliError, DivergedError, PrunedRun, UsageError
from cnncli.graph.matching import By
from cnncli.graph.model import Model, lower
from cnncli.graph.network import Network
from cnncli.graph.transfer import transfer
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.layer import LAYERS
from cnncli.system import atomic
from cnncli.system.memory import limit
from cnncli.training import class_weight
from cnncli.training.decisions.decision import KEY
from cnncli.training.distributed.batch import Parts
from cnncli.training.distributed.group import ALONE, Group
from cnncli.training.events import EpochDone, Event, Notice, RunBegins, WeightsLoaded
from cnncli.training.hyperparameters import hyperparameters
from cnncli.training.loop import overfitting
from cnncli.training.loop.inside import View
from cnncli.training.loop.interruption import Interruption
from cnncli.training.loop.loop import Job, Trainer, prepare
from cnncli.training.loop.resumption import restore
from cnncli.training.metrics.evaluation import evaluated
from cnncli.training.phases import Phase, Unfreezing, phases
from cnncli.training.resources.memory_check import check_memory
from cnncli.training.runs import checkpoint, model_file, past_runs
from cnncli.training.runs.checkpoint import ModelFile
from cnncli.training.runs.run_directory import Elsewhere, Run, check_output, create, environment, reopen
from cnncli.training.sections import CompileSection, FitSection


@dataclass(frozen=True)
class Plan:
    """The contents of a spec, with its source: the YAML saved in the run directory and the JSON stored in model files.

    `base`: the folder that paths in `data` are relative to. `origin`: entries for environment.json on how the run was
    started. `unfreezing`: the layers of the model that are frozen at first.
    """

    name: str
    seed: int
    data: DataSection
    base: Path
    model: Model
    compile: CompileSection
    fit: FitSection
    text: str
    resolved: Mapping[str, object]
    origin: Mapping[str, object] = field(default_factory=dict)
    unfreezing: Unfreezing | None = None

    @property
    def rescale(self) -> Rescale:
        """What images are multiplied by, "auto", or something for each channel."""
        return image_scale(self.model, self.data)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the training."""
        return phases(self.model, self.unfreezing, self.fit.epochs, self.fit.initial_epoch)

    def overfitted_images(self, dataset: Dataset) -> int:
        """How many images `overfit_batches` trains on; 0 without it."""
        assert dataset.train is not None  # see read_data
        return min((self.fit.overfit_batches or 0) * self.fit.batch_size, len(dataset.train))

    def network(self, dataset: Dataset, threads: int) -> Network:
        """The network of the first phase."""
        return Network(
            *(self.phases[0].model, self.compile.loss),
            batch_size=self.fit.largest_batch,
            threads=threads,
            policy=self.compile.dtype_policy,
            weigh_positions=class_weight.weighs_pixels(
                self.fit.class_weight, self.data.targets, dataset.splits.values()
            ),
        )


@dataclass(frozen=True)
class Fitting:
    """A model file to start from of which only some layers need fit, paired with the model's `by` name or order."""

    file: Path
    by: By = "name"


@dataclass(frozen=True)
class Supervision:
    """A search's part in a training. `begins(run)`: called once the run can be resumed. `gives_up(figures)`: called
    after each epoch, when it is saved; returns why the training is pruned, or "" if it goes on.
    """

    begins: Callable[[Path], None]
    gives_up: Callable[[Mapping[str, float]], str]


@dataclass(frozen=True)
class RunOptions:
    """Start and output of a training.

    `resume`: the run to resume. `weights`: the model file to start from. `output`: the run directory; default: dated.
    `listed`: whether `cnncli runs` is told of it.
    """

    resume: Path | None = None
    weights: Path | None = None
    output: Path | None = None
    fitting: Fitting | None = None
    listed: bool = True
    supervision: Supervision | None = None


@dataclass(frozen=True)
class Result:
    """Result of a training.

    `run`: its directory, as a user may type it. `epoch`: the epoch of the final weights; `digest`: their digest.
    `figures`: the metrics of that epoch. `test`: metrics on the test split, without prefix. `stopped_by`: the callback
    or limit that ended it before its last epoch; empty if none did. `overfitting`: with `overfit_batches`, what came of
    it.
    """

    run: str
    epoch: int
    digest: str
    figures: Mapping[str, float]
    test: Mapping[str, float] | None
    stopped_by: str = ""
    overfitting: "overfitting.Verdict | None" = None


def read_data(plan: Plan, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Dataset:
    """Load the data of a plan; `on_progress(done, total)` reports the number of decoded image files.

    Raises CnncliError if there are no training data or the data are invalid.
    """
    dataset = load(
        *(plan.data, plan.base),
        seed=plan.seed,
        progress=on_progress,
        input_shape=plan.model.input_shape,
        outputs=lower(plan.model).output.shape[-1],
        void=plan.compile.loss.void,
    )
    if dataset.train is None:
        raise CnncliError(f"{dataset.source}: no training images")
    return dataset


def check(plan: Plan, dataset: Dataset, place: RunOptions, threads: int) -> Network:
    """Build the network of the first phase and check data, weights and output against it; nothing is compiled or
    written.

    Raises CnncliError if something does not match, does not fit in memory, can't be read, or already exists.
    """
    if place.output:
        check_output(place.output)
    for phase in plan.phases:
        check_memory(phase.model, plan.compile, plan.fit.largest_batch, limit())
    network = plan.network(dataset, threads)
    for name, split in dataset.splits.items():
        Feed.of(split, plan.rescale, network, augment=plan.data.augment if name == "train" else ())
    if plan.fit.class_weight is not None:
        class_weight.of_training(plan.fit.class_weight, dataset, network)
    if place.weights:
        _load(network, place.weights)
    elif place.fitting:
        _transfer(network, place.fitting)
    return network


def ready(plan: Plan, dataset: Dataset, place: RunOptions, threads: int, report: Callable[[Event], None]) -> Network:
    """The network of the first phase, as `check` returns it, with the weights that training starts from; all kernels of
    the training are compiled.
    """
    network = check(plan, dataset, place, threads)
    for phase in plan.phases[1:]:
        prepare(network.of(phase.model), 1, plan.data.augment)
    prepare(network, 1, plan.data.augment)
    network.initialize(plan.seed)
    if place.weights:
        _load(network, place.weights)
    elif place.fitting:
        report(_transfer(network, place.fitting))
    return network


def train(
    plan: Plan,
    dataset: Dataset,
    place: RunOptions,
    threads: int,
    report: Callable[[Event], None],
    *,
    interrupted_by: Interruption | None = None,
    group: Group = ALONE,
) -> Result:
    """Train, and evaluate the final weights on the test split. `interrupted_by`: by default signals. Every process of a
    `group` does so.

    Raises DivergedError, InterruptedRun, PrunedRun, and CnncliError if something can't be read or written or does not
    match. Nothing is written before all checks pass; a run that could not start leaves no files.
    """
    images = plan.overfitted_images(dataset)
    if images:
        report(Notice(f"overfit_batches: training on {images:,} images alone, {overfitting.WITHOUT}"))
        fit, dataset = overfitting.limited(plan.fit, dataset)
        plan = replace(plan, data=plan.data.replace(augment=()), fit=fit)
    with interrupted_by or Interruption() as interruption:
        parts = Parts(group, plan.fit.shards)
        report = _supervised(report, place.supervision)
        network = ready(plan, dataset, place, threads, report)
        run = group.first_does(
            lambda: reopen(place.resume) if place.resume else new_run(plan, dataset, place.output, threads), Elsewhere
        )
        run.listed = place.listed
        try:
            before = model_file.about(run.best).texts if place.resume and run.best.exists() else {}
            trainer = Trainer(network, job_of(plan, dataset), run, report, interruption, parts=parts)
            del network  # every phase has its own
            _begin(trainer, plan, resumed=place.resume is not None)
            if group.on_saved:
                group.on_saved(interruption.resume)
            report(_run_begins(trainer, plan))
            if place.supervision:
                place.supervision.begins(run.path)
            epoch = trainer.train()
            history = trainer.state.history
            best = group.from_first(checkpoint.load(run.best) if group.first else None)
            trainer.network.load(best.weights)
            if group.first:
                _keep_decision(run, before, best, report)
            test = _test(plan, dataset, trainer, f"with the weights of epoch {epoch}")
            stopped_by = trainer.stopped_by
            why = {"stopped_by": stopped_by} if stopped_by else {}
            run.conclude({"state": "finished", "epoch": epoch, "test": test, **why})
        except ChangedDataError as error:
            if not interruption.resume:
                raise
            _give_up(run, error, interruption)
            raise CnncliError(
                f"{error}; with the data as they were, {interruption.resume} resumes from the last checkpoint"
            ) from None
        except BaseException as error:
            _give_up(run, error, interruption)
            raise
        finally:
            run.discard()
            run.close()
    kept = next((figures for figures in history if figures["epoch"] == epoch), {})
    figures = {key: value for key, value in kept.items() if key != "epoch"}
    verdict = overfitting.verdict(trainer.hooks, images) if images else None
    return Result(run.shown, epoch, best.digest, figures, test, stopped_by, verdict)


def _run_begins(trainer: Trainer, plan: Plan) -> RunBegins:
    network, state = trainer.network, trainer.state
    sections = {"data": plan.data, "compile": plan.compile, "fit": plan.fit}
    settings = {
        "seed": plan.seed,
        "model.parameters": sum(parameter.size for parameter in network.parameters),
        **hyperparameters(sections),
    }
    view = View(trainer, trainer.job.dataset.classes)
    rate = trainer.job.optimizer.rate(0, 1)
    return RunBegins(plan.name, trainer.run.path, settings, plan.model, state.step, tuple(state.history), view, rate)


def _supervised(report: Callable[[Event], None], supervision: Supervision | None) -> Callable[[Event], None]:
    """`report`, which raises PrunedRun after an epoch with which the supervision gives up."""

    def judged(event: Event) -> None:
        report(event)
        if supervision and isinstance(event, EpochDone) and (why := supervision.gives_up(event.figures)):
            raise PrunedRun(why)

    return judged if supervision else report


def _give_up(run: Run, error: BaseException, interruption: Interruption) -> None:
    """Record, if possible, how an unfinished run ended."""
    if interruption.resume:
        with suppress(CnncliError):
            run.conclude({"state": past_runs.ending(error), "reason": str(error)})


def _keep_decision(run: Run, before: Mapping[str, str], best: ModelFile, report: Callable[[Event], None]) -> None:
    """Keep the decision of the resumed run's model file if its weights are still the same; it does not fit others."""
    if KEY not in before or KEY in best.metadata:
        return
    if before.get("digest") == best.digest:
        checkpoint.save(run.best, replace(best, metadata={**best.metadata, KEY: before[KEY]}))
    else:
        advice = f"`cnncli calibrate {quote(run.shown)}` fits new ones"
        report(Notice(f"{run.best.name} has new weights, without the decisions of the last ones: {advice}"))


def _load(network: Network, path: Path) -> ModelFile:
    """Load the weights of a model file. Raises CnncliError, naming the file, if they are another model's."""
    file = checkpoint.load(path)
    try:
        network.load(file.weights)
    except CnncliError as error:
        raise CnncliError(f"{path}: {error}: is the file from another model?") from None
    return file


def _transfer(network: Network, start: Fitting) -> WeightsLoaded:
    """Load the weights of a model file that fit. Raises CnncliError, naming the file, if none does."""
    weights = checkpoint.load(start.file).weights
    try:
        return WeightsLoaded(str(start.file), transfer(network, weights, start.by))
    except CnncliError as error:
        raise CnncliError(f"{start.file}: {error}") from None


def _begin(trainer: Trainer, plan: Plan, *, resumed: bool) -> None:
    run, group, resume = trainer.run, trainer.group, f"cnncli train --resume {quote(trainer.run.shown)}"
    if not resumed:
        trainer.begin()
        trainer.interruption.resume = resume
        run.announce()
        return
    saved = group.first_does(lambda: _saved(run, plan), lambda: None)
    saved = group.from_first(saved)
    restore(trainer, saved)
    if not group.first:
        trainer.interruption.resume = resume
        return
    over = trainer.ended or trainer.limits.reached(trainer.state.step)
    if over and past_runs.result(run.path).get("state") == "finished":
        trainer.report(Notice(_nothing_left(trainer)))
    with atomic.write_errors(run.result):
        run.result.unlink(missing_ok=True)  # replaced by the result of the resumed run
    run.announce()
    atomic.write(run.spec, plan.text.encode())
    trainer.interruption.resume = resume


def _saved(run: Run, plan: Plan) -> ModelFile:
    """The checkpoint of a run. Raises UsageError if there is none, or if the spec has changed since."""
    if not run.last.exists():
        raise UsageError(
            f"{run.shown}: there is nothing to resume: it ended before {run.last.name} was written; "
            f"start again: cnncli train {quote(str(Path(run.shown) / run.spec.name))}"
        )
    saved = checkpoint.load(run.last)
    before, now = (
        _settled(saved.about.spec),
        _settled(json.loads(json.dumps(plan.resolved))),
    )
    changed = [key for key in now if now[key] != before[key]]
    if changed:
        raise UsageError(
            f"{run.spec}: a resumed run's epochs may grow, and its data may move; these are other than the run began "
            f"with: {', '.join(changed)}"
        )
    return saved


def _nothing_left(trainer: Trainer) -> str:
    """Message that a run is complete, and how to train for more epochs."""
    run, state, fit = trainer.run, trainer.state, trainer.job.fit
    if fit.max_steps is not None and state.step >= fit.max_steps:
        return f"max_steps {fit.max_steps:,} ended this run; add --max-steps {2 * fit.max_steps} to train on"
    if not state.stopped_by:
        return f"already finished ({state.epoch}/{fit.epochs}); add --epochs {2 * fit.epochs or 1} to train on"
    callbacks = " or ".join(type(callback).__name__ for callback in fit.callbacks)
    spec = quote(str(Path(run.shown) / run.spec.name))
    without = "fit.callbacks=[]" if fit.overfit_batches is None else "fit.overfit_batches=null"
    return (
        f"{callbacks} ended this run after epoch {state.epoch} of {fit.epochs}, so there is nothing to resume. "
        f"To train on from its weights: cnncli train {spec} --weights {quote(run.shown)} --set {without}"
    )


def _settled(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a spec that must not change when a run is resumed, without the keys that may.

    Keys unknown to the version of cnncli that started the run have their defaults.
    """
    free = {"data": ("dataset",), "fit": ("epochs", "max_steps", "max_time", "save_freq", "log")}
    sections = {key: resolved.get(key) for key in ("seed", "data", "model", "compile", "fit")}
    for key, cls in {"data": DataSection, "compile": CompileSection, "fit": FitSection}.items():
        with suppress(ValidationError, TypeError):  # then it differs and is reported
            sections[key] = cls(**sections[key]).plain()  # type: ignore[arg-type]
    with suppress(ValidationError, LookupError, TypeError, AttributeError, ValueError):
        model: Mapping[str, Any] = sections["model"]  # type: ignore[assignment]
        sections["model"] = {**model, "layers": [_layer(entry) for entry in model["layers"]]}
    for key, names in free.items():
        if isinstance(section := sections[key], dict):
            sections[key] = {name: value for name, value in section.items() if name not in names}
    return sections


def _layer(entry: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An entry of a resolved spec's layers, with the defaults of arguments that it does not have."""
    ((kind, given),) = entry.items()
    arguments = {name: value for name, value in given.items() if name not in ("name", "inputs")}
    return {kind: {**given, **LAYERS.classes[kind](**arguments).plain()}}


def _test(plan: Plan, dataset: Dataset, trainer: Trainer, weights: str) -> dict[str, float] | None:
    """The metrics on the test split, if there is one. `weights` names the weights in error messages."""
    if dataset.test is None:
        return None
    weighed = dataset.test.weights is not None and dataset.test.weights.ndim == 1  # as `cnncli evaluate` does
    test = dataset.test if weighed else replace(dataset.test, weights=None)
    feed, group, interruption = Feed.of(test, plan.rescale, trainer.network), trainer.group, trainer.interruption

    def stop_if_interrupted(rows: slice | None = None) -> None:
        if rows is None or group.size == 1:
            interruption.raise_if_interrupted("in the final test")

    sums = evaluated(
        *(trainer.network, feed, plan.compile.metrics),
        batch_size=plan.fit.batch_size,
        after_batch=stop_if_interrupted,
        share=(group.rank, group.size),
    )
    figures = trainer.parts.evaluated(sums).figures()
    stop_if_interrupted()
    if not isfinite(figures["loss"]):
        raise DivergedError(f"the loss on the test images is {figures['loss']} {weights}")
    return figures


def new_run(plan: Plan, dataset: Dataset, output: Path | None, threads: int) -> Run:
    """Create the run directory of a training, as `run_directory.create`."""
    splits: dict[str, Any] = {name: split.document() for name, split in dataset.splits.items()}
    if dataset.skipped:
        splits["skipped"] = dict(dataset.skipped)
    if dataset.in_several_splits:
        splits["in_several_splits"] = dataset.in_several_splits
    about = {**environment(threads, plan.seed, dataset.digest), **plan.origin}
    return create(plan.name, output, plan.text, about, {"source": dataset.source, **splits})


def job_of(plan: Plan, dataset: Dataset) -> Job:
    """What a training does, with the metadata of its model files."""
    assert dataset.train is not None  # see read_data
    about = {
        "spec": json.dumps(plan.resolved, ensure_ascii=False),
        "class_names": json.dumps(dataset.classes, ensure_ascii=False),
        "rescale": json.dumps(asdict(plan.rescale) if isinstance(plan.rescale, PerChannel) else plan.rescale),
        "tone": BrightnessStats.of(dataset.train, plan.rescale).text(),
    }
    return Job(
        dataset,
        plan.rescale,
        plan.data.augment,
        plan.compile.optimizer,
        plan.compile.metrics,
        plan.fit,
        plan.seed,
        about,
        plan.phases,
    )
