"""Trainings that must give the same bits: interrupted and resumed, and with different numbers of threads."""

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, NamedTuple, Self

from cnncli.datasets.dataset import Dataset
from cnncli.errors import DivergedError, InterruptedRun
from cnncli.training.events import BatchDone, Event
from cnncli.training.loop.interruption import Interruption
from cnncli.training.loop.plan import Plan, RunOptions
from cnncli.training.loop.session import train
from cnncli.training.runs import checkpoint, past_runs
from cnncli.training.runs.past_runs import METRICS, MODEL_FILES

Report = Callable[[Event], None]


class Place(NamedTuple):
    """Where a training was interrupted: after so many batches in all, which is this batch (from 1) of this epoch."""

    batches: int
    epoch: int
    batch: int


@dataclass(frozen=True)
class Outcome:
    """All bits of a training. `digest`: of the final weights; `parts`: digests of everything by name."""

    digest: str
    parts: Mapping[str, str]

    def differs(self, other: "Outcome") -> list[str]:
        """The names of the parts that are not the same in another outcome."""
        return [name for name in self.parts if self.parts[name] != other.parts.get(name)]


@dataclass(frozen=True)
class Trial:
    """A training that was interrupted and resumed, or had `threads` threads; `differs`: parts with other bits."""

    differs: Sequence[str]
    place: Place | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Proof:
    """Result: the straight training's batches and digest, and what was compared with it."""

    batches: int
    digest: str
    trials: Sequence[Trial]

    @property
    def holds(self) -> bool:
        """Whether all bits were the same."""
        return not any(trial.differs for trial in self.trials)


class _Never(Interruption):
    """No signal interrupts the training, but any of them ends the process."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class Trainings:
    """Trainings of one plan, each into a new run in `folder`. `start`: what they start from."""

    def __init__(self, plan: Plan, dataset: Dataset, start: RunOptions, folder: Path, report: Report) -> None:
        self.plan, self.dataset, self.start, self.folder, self.report = plan, dataset, start, folder, report
        self.count = 0

    def straight(self, threads: int) -> tuple[Outcome, list[Place]]:
        """Train without interruption. Returns also the places of all batches."""
        places: list[Place] = []
        run = self._train(threads, lambda event: places.append(Place(len(places) + 1, event.epoch, event.batch)))
        return outcome(run), places

    def interrupted(self, place: Place, threads: int) -> Outcome:
        """Train, interrupted there, and resume."""
        interruption, batches = _Never(), count(1)

        def hear(event: BatchDone) -> None:
            if next(batches) == place.batches:
                interruption.signal = signal.SIGINT

        run = self._train(threads, hear, interruption)
        self._run(RunOptions(resume=run, listed=False), threads, self.report, _Never())
        return outcome(run)

    def _train(self, threads: int, hear: Callable[[BatchDone], None], interruption: Interruption | None = None) -> Path:
        """Train into a new run, and return it when it ends or is interrupted."""
        self.count += 1
        place = replace(self.start, output=self.folder / f"{self.count}")
        assert place.output is not None

        def report(event: Event) -> None:
            if isinstance(event, BatchDone):
                hear(event)
            self.report(event)

        with suppress(InterruptedRun):
            self._run(place, threads, report, interruption or _Never())
        return place.output

    def _run(self, place: RunOptions, threads: int, report: Report, interruption: Interruption) -> None:
        try:
            train(self.plan, self.dataset, place, threads, report, interrupted_by=interruption)
        except DivergedError as error:  # the weights that it names are removed
            raise DivergedError(str(error).partition(". The last good weights")[0]) from None


def verify_resume(trainings: Trainings, threads: int, times: int) -> Proof:
    """Train without interruption, and `times` times interrupted after a random batch and resumed; compare all bits.

    Batches are drawn with the seed of the plan, each at most once.
    """
    straight, places = trainings.straight(threads)
    chosen = sorted(Random(trainings.plan.seed).sample(places, min(times, len(places))))
    trials = [Trial(straight.differs(trainings.interrupted(place, threads)), place) for place in chosen]
    return Proof(len(places), straight.digest, trials)


def verify_threads(trainings: Trainings, several: Sequence[int]) -> Proof:
    """Train with one thread and with each of `several` numbers of them; compare all bits."""
    alone, places = trainings.straight(1)
    trials = [Trial(alone.differs(trainings.straight(threads)[0]), threads=threads) for threads in several]
    return Proof(len(places), alone.digest, trials)


def outcome(run: Path) -> Outcome:
    """What a finished run holds: model file, checkpoint (with the optimizer's state), history, test."""
    lines = [{key: value for key, value in line.items() if key != "seconds"} for line in past_runs.history(run)]
    files = {name: sha256((run / name).read_bytes()).hexdigest() for name in MODEL_FILES}
    result = past_runs.result(run)
    about: dict[str, Any] = {METRICS: lines, "test": {"epoch": result.get("epoch"), "test": result.get("test")}}
    plain = {name: sha256(json.dumps(value).encode()).hexdigest() for name, value in about.items()}
    return Outcome(checkpoint.load(run / MODEL_FILES[0]).digest, {**files, **plain})
