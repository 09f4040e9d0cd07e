"""One training from its parts to its end: data, network, run directory, loop, the test."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from shlex import quote

from cnncli.datasets.batches import Feed
from cnncli.datasets.load import Dataset, load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError, DivergedError
from cnncli.graph.model import Model
from cnncli.graph.network import Network
from cnncli.training import checkpoint
from cnncli.training.evaluation import evaluate
from cnncli.training.loop import Event, Job, Trainer, prepare
from cnncli.training.run import Run, create, environment, reopen
from cnncli.training.sections import CompileSection, FitSection


@dataclass(frozen=True)
class Plan:
    """What a spec says, and the spec itself: as the text a run keeps, and as the JSON a model file carries.

    `base`: the folder that paths in `data` are relative to.
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


@dataclass(frozen=True)
class Place:
    """Where a training begins and what it leaves.

    `resume`: the run to go on with. `weights`: a model file to begin at. `output`: the new run's folder, if not dated.
    """

    resume: Path | None = None
    weights: Path | None = None
    output: Path | None = None


@dataclass(frozen=True)
class Result:
    """What a training ended with.

    `run`: its folder, as a user may type it. `epoch`: the one whose weights the run hands out; `digest`: theirs.
    `figures`: that epoch's, without its number. `test`: those of the test split, under their plain names.
    """

    run: str
    epoch: int
    digest: str
    figures: Mapping[str, float]
    test: Mapping[str, float] | None


def read_data(plan: Plan) -> Dataset:
    """The data of a plan. Raises CnncliError where there is nothing to train on, or they break a rule."""
    dataset = load(plan.data, plan.base)
    if dataset.train is None:
        raise CnncliError(f"{dataset.source}: there is nothing to train on: it has no x_train")
    return dataset


def train(plan: Plan, dataset: Dataset, place: Place, threads: int, report: Callable[[Event], None]) -> Result:
    """Train, and test the weights that the run hands out.

    Raises DivergedError, InterruptedRun, and CnncliError where something can't be read, does not fit or can't be
    written; nothing is written before everything fits.
    """
    network = Network(plan.model, plan.compile.loss, batch_size=plan.fit.batch_size, threads=threads)
    for split in dataset.splits.values():
        Feed(split, plan.data.rescale, plan.compile.loss, network.inputs, network.targets)
    prepare(network, 1)
    network.initialize(plan.seed)
    if place.weights:
        network.load(checkpoint.load(place.weights).weights)
    run = reopen(place.resume) if place.resume else _new_run(plan, dataset, place.output, threads)
    try:
        trainer = Trainer(network, _job(plan, dataset, run), run, report)
        if place.resume and run.last.exists():
            trainer.restore(checkpoint.load(run.last))
            checkpoint.write(run.spec, plan.text.encode())
        epoch = trainer.train()
        history = trainer.state.history
        best = checkpoint.load(run.best)
        network.load(best.weights)
        test = None
        if dataset.test is not None:
            feed = Feed(dataset.test, plan.data.rescale, plan.compile.loss, network.inputs, network.targets)
            test = evaluate(network, feed, plan.compile.metrics)
            if not isfinite(test["loss"]):
                raise DivergedError(f"the loss on the test images is {test['loss']} with the weights of epoch {epoch}")
        figures = {key: value for key, value in history[epoch - 1].items() if key != "epoch"} if epoch else {}
        return Result(run.shown, epoch, best.digest, figures, test)
    finally:
        run.close()


def _new_run(plan: Plan, dataset: Dataset, output: Path | None, threads: int) -> Run:
    splits = {
        name: {"array": split.key, "start": split.start, "stop": split.start + len(split)}
        for name, split in dataset.splits.items()
    }
    about = environment(threads, plan.seed, dataset.digest)
    return create(plan.name, output, plan.text, about, {"source": dataset.source, **splits})


def _job(plan: Plan, dataset: Dataset, run: Run) -> Job:
    about = {
        "spec": json.dumps(plan.resolved, ensure_ascii=False),
        "class_names": json.dumps(dataset.classes, ensure_ascii=False),
        "rescale": json.dumps(plan.data.rescale),
    }
    return Job(
        dataset,
        plan.data.rescale,
        plan.compile.optimizer,
        plan.compile.metrics,
        plan.fit,
        plan.seed,
        about,
        f"cnncli train --resume {quote(run.shown)}",
    )
