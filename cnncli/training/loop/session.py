"""One training from start to finish: data, network, run directory, loop, test."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Dataset
from cnncli.datasets.images.brightness_stats import BrightnessStats
from cnncli.datasets.load import load
from cnncli.datasets.rescale import PerChannel
from cnncli.errors import ChangedDataError, CnncliError, DivergedError, PrunedRun
from cnncli.graph.model import lower
from cnncli.graph.network import Network
from cnncli.graph.transfer import transfer
from cnncli.system.memory import limit
from cnncli.training import class_weight
from cnncli.training.distributed.batch import Parts
from cnncli.training.distributed.group import ALONE, Group
from cnncli.training.events import EpochDone, Event, Notice, RunBegins, WeightsLoaded
from cnncli.training.hyperparameters import hyperparameters
from cnncli.training.loop import overfitting
from cnncli.training.loop.beginning import begin, keep_decision, new_run
from cnncli.training.loop.inside import View
from cnncli.training.loop.interruption import Interruption
from cnncli.training.loop.loop import Job, Trainer, prepare
from cnncli.training.loop.plan import Fitting, Plan, RunOptions, Supervision
from cnncli.training.metrics.evaluation import evaluated
from cnncli.training.resources.memory_check import check_memory
from cnncli.training.runs import checkpoint, model_file, past_runs
from cnncli.training.runs.checkpoint import ModelFile
from cnncli.training.runs.run_directory import Elsewhere, Run, check_output, reopen


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
            begin(trainer, plan, resumed=place.resume is not None)
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
                keep_decision(run, before, best, report)
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
