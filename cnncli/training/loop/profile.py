"""Where the time of a training goes: one epoch, measured from outside of the loop.

The weights are those of an ordinary training. A step of the network is one compiled call, which takes parts of the
batch through several operations at a time: its time is measured as a whole, and divided among its operations as they
take it when they are run one by one afterwards.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import fsum
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Dataset
from cnncli.errors import DivergedError
from cnncli.graph.network import Network
from cnncli.kernels.jit.runtime import Program
from cnncli.training.distributed.batch import Parts
from cnncli.training.distributed.group import ALONE
from cnncli.training.events import BatchDone, Event
from cnncli.training.loop.beginning import new_run
from cnncli.training.loop.interruption import Interruption
from cnncli.training.loop.loop import Job, Trainer, prepare
from cnncli.training.loop.plan import Plan
from cnncli.training.loop.session import job_of
from cnncli.training.metrics.evaluation import portions
from cnncli.training.phases import Phase
from cnncli.training.resources.benchmark import Bench, Timed
from cnncli.training.runs import checkpoint
from cnncli.training.runs.run_directory import Run

ROUNDS = 3
"""In which operations are timed one by one."""
EPOCH, DATA, STEP, UPDATE, METRICS = "epoch", "data", "step", "update", "metrics"
CALLBACKS, VALIDATION, SAVING = "callbacks", "validation", "saving"
OTHER = "order of images, figures"


class Span(NamedTuple):
    """Something that lasted from `start` to `end`, in seconds from the first on, within the spans named before it in
    `path`; in batch `batch` (from 1), or in none (0).
    """

    path: tuple[str, ...]
    start: float
    end: float
    batch: int

    @property
    def seconds(self) -> float:
        """How long."""
        return self.end - self.start


class Part(NamedTuple):
    """A part of an epoch: its kind, what it is of its kind, and its seconds."""

    kind: str
    what: str
    seconds: float


@dataclass(frozen=True)
class Profile:
    """Result: `spans` as measured, and `operations` of a step, timed one by one. `batches`, `images`: trained.

    `digest`: that of the weights after the epoch.
    """

    spans: Sequence[Span]
    operations: Sequence[Timed]
    batches: int
    images: int
    digest: str

    @property
    def seconds(self) -> float:
        """Of the epoch with validation and saving."""
        return self._seconds()

    def parts(self) -> list[Part]:
        """All parts of the epoch; their seconds add up to those of the epoch."""
        parts = [*self._data(), *self._step(), Part(UPDATE, self._optimizer(), self._seconds(UPDATE))]
        whole = {METRICS: "loss and metrics", CALLBACKS: "", VALIDATION: "", SAVING: "checkpoint, metrics.jsonl"}
        parts += [Part(kind, what, self._seconds(kind)) for kind, what in whole.items()]
        return [*parts, Part("other", OTHER, self.seconds - fsum(part.seconds for part in parts))]

    def _data(self) -> list[Part]:
        """What fills the batches, and what else filling takes: reading what is not in memory, and calls."""
        names = dict.fromkeys(span.path[2] for span in self.spans if span.path[1:2] == (DATA,) and len(span.path) == 3)
        parts = [Part(DATA, name, self._seconds(DATA, name)) for name in names]
        return [*parts, Part(DATA, "calls", self._seconds(DATA) - fsum(part.seconds for part in parts))]

    def _step(self) -> list[Part]:
        alone = [timed for timed in self.operations if timed.part.direction != UPDATE]
        whole, total = self._seconds(STEP), fsum(timed.seconds for timed in alone)
        return [
            Part(timed.part.direction, f"{timed.part.layer} {timed.part.operation}", whole * timed.seconds / total)
            for timed in alone
        ]

    def _optimizer(self) -> str:
        return next(timed.part.operation for timed in self.operations if timed.part.direction == UPDATE)

    def _seconds(self, *names: str) -> float:
        path = (EPOCH, *names)
        return fsum(span.seconds for span in self.spans if span.path == path)


class _Recorder:
    """Collects spans. `batch`: the current one."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.path: tuple[str, ...] = ()
        self.start, self.batch = perf_counter(), 0

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Record how long the block takes."""
        outer, start = self.path, perf_counter() - self.start
        self.path = (*outer, name)
        try:
            yield
        finally:
            self.spans.append(Span(self.path, start, perf_counter() - self.start, self.batch))
            self.path = outer

    def watch(self, owner: object, method: str, name: str) -> None:
        """Record each call of a method of `owner` from now on."""
        run = getattr(owner, method)

        def recorded(*arguments: Any, **named: Any) -> Any:
            with self.span(name):
                return run(*arguments, **named)

        setattr(owner, method, recorded)


class _Parts:
    """Programs that are run in a row, each recorded."""

    def __init__(self, programs: Mapping[str, Program], recorder: _Recorder) -> None:
        self.programs, self.recorder = programs, recorder

    def run(self) -> None:
        """Run them."""
        for name, program in self.programs.items():
            with self.recorder.span(name):
                program.run()


class _Watched(Trainer):
    """A trainer of which all is recorded that takes time."""

    def __init__(self, network: Network, job: Job, run: Run, recorder: _Recorder, parts: Parts) -> None:
        self.recorder = recorder
        super().__init__(network, job, run, self._hear, Interruption(), parts=parts)
        recorder.watch(run, "append", SAVING)

    def _hear(self, event: Event) -> None:
        if isinstance(event, BatchDone):
            self.recorder.batch = event.batch + 1 if event.batch < event.batches else 0

    def _train_in(self, phase: Phase, network: Network) -> None:
        super()._train_in(phase, network)
        self._watch_feed(self.batches.feed, sizes_of_parts(self.parts, self.epochs.portions(self.epochs.first)))
        if self.validation_feed is not None:
            self._watch_feed(self.validation_feed, sizes(validated(self.job)))
        self.recorder.watch(network, "survey", STEP)
        self.recorder.watch(network, "train_step", STEP)
        self.recorder.watch(self.update, "run", UPDATE)

    def _watch_feed(self, feed: Feed, numbers: set[int]) -> None:
        feed.programs.update({n: _Parts(feed.programs_of_parts(n), self.recorder) for n in numbers})
        self.recorder.watch(feed, "fill", DATA)
        self.recorder.watch(feed, "expect", DATA)

    def _epoch(self) -> None:
        self.recorder.batch = 1
        with self.recorder.span(EPOCH):
            super()._epoch()

    def _train_epoch(self) -> None:
        self.recorder.watch(self.sums, "count", METRICS)
        super()._train_epoch()

    def _each(self, hook: Callable[..., None], *about: object) -> None:
        if not self.hooks:
            return
        with self.recorder.span(CALLBACKS):
            super()._each(hook, *about)

    def _validate(self) -> dict[str, float]:
        with self.recorder.span(VALIDATION):
            return super()._validate()

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(f"{what}; a smaller learning_rate often helps")  # there is no run whose weights to name

    def save_best(self, weights: Mapping[str, Any], epoch: int) -> None:
        """Write the model file with the final weights."""
        with self.recorder.span(SAVING):
            super().save_best(weights, epoch)

    def _save(self, *, cut: bool = False) -> None:
        with self.recorder.span(SAVING):
            super()._save(cut=cut)


def sizes(batches: Iterable[slice]) -> set[int]:
    """The numbers of images in batches."""
    return {batch.stop - batch.start for batch in batches}


def sizes_of_parts(parts: Parts, batches: Iterable[slice]) -> set[int]:
    """The numbers of images that are trained at once."""
    return set().union(*(sizes(parts.of(n)) for n in sizes(batches))) - {0}


def validated(job: Job) -> Iterable[slice]:
    """The batches of a validation."""
    count, fit = len(job.dataset.validation or ()), job.fit
    return portions(count, fit.validation_batch_size or fit.batch_size)


def one_epoch(plan: Plan, steps: int | None) -> Plan:
    """The plan of one epoch, perhaps of fewer batches."""
    fit = plan.fit.replace(epochs=plan.fit.initial_epoch + 1)
    return replace(plan, fit=fit if steps is None else fit.replace(steps_per_epoch=steps))


def profile(plan: Plan, dataset: Dataset, network: Network, folder: Path) -> Profile:
    """Train the one epoch of a plan, and then time the operations of a step.

    `network` is ready to be trained. What a run writes is written into `folder`. Programs for each size of a batch are
    planned before, as they are in all epochs but the first.
    """
    job, recorder = job_of(plan, dataset), _Recorder()
    assert dataset.train is not None  # see session.read_data
    epochs = plan.fit.epochs_of(len(dataset.train))
    begun = {name: tensor.copy() for name, tensor in network.tensors().items()}
    parts = Parts(ALONE, plan.fit.shards)
    for n in sizes_of_parts(parts, epochs.portions(epochs.first)) | sizes(validated(job)):
        prepare(network, n, plan.data.augment)
    network.load(begun)
    threads, model = network.threads, network.model
    run = new_run(plan, dataset, folder / "run", threads)
    try:
        trainer = _Watched(network, job, run, recorder, parts)
        trainer.begin()
        trainer.train()
        digest = checkpoint.load(run.best).digest
    finally:
        run.close()
    batches = epochs.portions(epochs.first)
    images = batches[-1].stop - batches[0].start
    del trainer, network
    alone = Bench(model, plan.compile, plan.fit.batch_size, threads).time_parts(ROUNDS)
    inside = [span for span in recorder.spans if span.path[0] == EPOCH]
    return Profile(inside, alone, len(batches), images, digest)
