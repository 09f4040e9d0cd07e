"""Benchmarks of training steps or inference: whole steps, and single operations."""

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Literal, NamedTuple, Protocol

import numpy as np

from cnncli.graph.model import Model
from cnncli.graph.network import Network
from cnncli.graph.objective import Objective, Purpose
from cnncli.kernels.jit import runtime
from cnncli.training.optimizers.update import Update
from cnncli.training.sections import CompileSection

Direction = Literal["forward", "backward", "update"]
Mode = Literal["training", "inference"]
PURPOSES: Mapping[Mode, Purpose] = {"training": "train", "inference": "predict"}
"""Mode of the network that is timed."""
ROUND = 0.4
"""Maximum seconds per round, unless a step takes longer; the minimum is half of it."""
REST = 0.1
"""Seconds to wait before a round so that threads of the previous one become idle: some spin for half as long."""
PAUSE = 0.05
"""Seconds after that, while idle, to measure the load of other processes."""
WARM_UP = 3


class Part(NamedTuple):
    """An operation of a step that can be run separately.

    `flops`, `bytes`: of the whole batch; bytes count everything it reads and writes once.
    """

    layer: str
    operation: str
    direction: Direction
    flops: int
    bytes: int
    program: runtime.Program


class Timed(NamedTuple):
    """A part and its median time in seconds."""

    part: Part
    seconds: float


class Opponent(Protocol):
    """Another framework that runs the same network on request, in one or several variants.

    `variants`: the seconds that each took to start, with its first steps and the compilation that they need.
    """

    version: str
    variants: Mapping[str, float]

    def round(self, variant: str) -> float:
        """Run for one round; return images per second."""


@dataclass(frozen=True)
class Duel:
    """Comparison with the best variant of a peer. `ratio`: our images/s divided by the peer's, median of all rounds.

    `variants`: the images/s of each variant. `started`: the seconds that each took to start. `least`, `most`: minimum
    and maximum of the ratio over the rounds; far apart if other processes were running.
    """

    version: str
    variants: Mapping[str, float]
    started: Mapping[str, float]
    ratio: float
    least: float
    most: float

    @property
    def variant(self) -> str:
        """The best variant."""
        return max(self.variants, key=self.variants.__getitem__)

    @property
    def images_per_second(self) -> float:
        """Of the best variant."""
        return self.variants[self.variant]


class Bench:
    """Runs a network on random batches in `network.inputs`, without loading data or reporting.

    A step trains on a batch or, in inference mode, predicts one.
    """

    def __init__(
        self, model: Model, compiled: CompileSection, batch_size: int, threads: int, mode: Mode = "training"
    ) -> None:
        policy = compiled.dtype_policy
        self.network = Network(model, compiled.loss, batch_size=batch_size, policy=policy, threads=threads)
        self.purpose = PURPOSES[mode]
        self.update = Update(self.network, compiled.optimizer) if mode == "training" else None
        self.random = np.random.default_rng(0)
        self.done = 0
        self.waited = self.taken = 0.0
        self.begin()
        self.run(WARM_UP)
        self.steps = 1
        while self.time(self.steps) < ROUND / 2:
            self.steps *= 2
        self.parts = self._parts()

    def begin(self) -> None:
        """Reset to the initial weights, with a new batch: many steps on one batch would make gradients vanish."""
        network = self.network
        network.initialize(0)
        network.inputs[...] = self.random.random(network.inputs.shape, np.float32)
        for targets in network.targets.values():
            if network.loss.classes:
                classes = targets.shape[-1]
                targets[...] = np.eye(classes)[self.random.integers(classes, size=targets.shape[:-1])]
            else:
                targets[...] = self.random.random(targets.shape)

    def run(self, steps: int) -> None:
        """Run steps: train (forward, backward, update) or predict."""
        network, n = self.network, self.network.batch_size
        for _ in range(steps):
            if self.update is None:
                network.predict(n)
                continue
            self.done += 1
            network.train_step(n, 0, self.done)
            self.update.run(self.done)

    def time(self, steps: int) -> float:
        """Seconds that `steps` steps take after a first one, which computes what predictions need of weights alone."""
        with self.network.steady_weights() if self.update is None else nullcontext():
            self.run(1)
            start = perf_counter()
            self.run(steps)
            return perf_counter() - start

    def round(self) -> float:
        """Run for between half and all of ROUND seconds; return images per second."""
        self._watch_others()
        self.begin()
        return self.steps * self.network.batch_size / self.time(self.steps)

    @property
    def others(self) -> float | None:
        """Number of CPUs that other processes used before our rounds; None before the first, or if unknown."""
        return self.taken / self.waited if self.waited else None

    def time_parts(self, rounds: int, *, progress: Callable[[int], None] = lambda number: None) -> list[Timed]:
        """The median of each operation over the steps of `rounds` rounds.

        Each operation runs in order on the whole batch. A real step processes parts of the batch through several
        operations at a time and may be faster than their sum.
        Each operation also has a call overhead of some microseconds, which a whole step has only once.
        """
        seconds: list[list[float]] = [[] for _ in self.parts]
        for number in range(rounds):
            progress(number)
            self.begin()
            self.run(1)
            for _ in range(self.steps):
                for part, taken in zip(self.parts, seconds, strict=True):
                    start = perf_counter()
                    part.program.run()
                    taken.append(perf_counter() - start)
        return [Timed(part, median(taken)) for part, taken in zip(self.parts, seconds, strict=True)]

    def _watch_others(self) -> None:
        sleep(REST)
        before, start = busy_seconds(), perf_counter()
        sleep(PAUSE)
        after = busy_seconds()
        if before is not None and after is not None:
            self.taken += after - before
            self.waited += perf_counter() - start

    def _parts(self) -> list[Part]:
        program, objective = self.network.runs[self.purpose]
        n, threads = self.network.batch_size, self.network.threads
        directions = directions_of(objective)
        steps, self.arrays = program.alone(n)
        parts = [
            Part(
                call.owner or "loss",
                call.op.title,
                direction,
                call.flops * (n if any(value.batched for value in (*call.inputs, *call.outputs)) else 1),
                program.traffic(call, n),
                runtime.Program(own, threads),
            )
            for call, own, direction in zip(program.calls, steps, directions, strict=True)
            if own
        ]
        return parts if self.update is None else [*parts, _update(self.update, self.network.weights.data.nbytes)]


def busy_seconds() -> float | None:
    """CPU seconds used by the machine since boot (Linux's /proc/stat); None if not available."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, first[1:9])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def directions_of(objective: Objective) -> list[Direction]:
    """For each call of an objective, whether it belongs to the forward pass, which ends with the loss (if any)."""
    if objective.loss is None:
        return ["forward"] * len(objective.calls)
    last = next(i for i, call in enumerate(objective.calls) if objective.loss in call.outputs)
    return ["forward" if i <= last else "backward" for i in range(len(objective.calls))]


def duel(
    bench: Bench, opponent: Opponent, rounds: int, *, progress: Callable[[int], None] = lambda number: None
) -> tuple[float, Duel]:
    """Alternate for `rounds` rounds between cnncli and each variant of the peers; only one runs at a time.

    Returns our median images per second, and the comparison with each peer's best variant (by median).
    """
    ours: list[float] = []
    theirs: dict[str, list[float]] = {variant: [] for variant in opponent.variants}
    ratios: dict[str, list[float]] = {variant: [] for variant in opponent.variants}
    for number in range(rounds):
        progress(number)
        for variant in opponent.variants:
            ours.append(bench.round())
            theirs[variant].append(opponent.round(variant))
            ratios[variant].append(ours[-1] / theirs[variant][-1])
    speeds = {variant: median(done) for variant, done in theirs.items()}
    ratio = ratios[max(speeds, key=speeds.__getitem__)]
    return median(ours), Duel(opponent.version, speeds, opponent.variants, median(ratio), min(ratio), max(ratio))


def _update(update: Update, weights: int) -> Part:
    """The optimizer as a part, for weights of the given bytes."""
    reads = 2 if update.optimizer.limit else 1  # gradients, and once more for their norm when clipping
    traffic = weights * (2 + reads + 2 * len(update.slots))  # weights and slots are read and written
    return Part("", type(update.optimizer).__name__, "update", 0, traffic, update.program)
