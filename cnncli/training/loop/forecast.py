"""Estimates before training: peak memory of the process and time per epoch."""

import os
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from cnncli.datasets.batches import Feed, order
from cnncli.datasets.dataset import Dataset
from cnncli.datasets.sources.memmap import MOST_MAPPED
from cnncli.graph.network import Network
from cnncli.training.loop.loop import prepare
from cnncli.training.loop.plan import Plan
from cnncli.training.metrics.evaluation import Sums
from cnncli.training.optimizers.update import Update

Array = np.ndarray[Any, Any]
WHILE = 1.0
FEWEST = 3
"""Minimum time in seconds and number of batches to measure, for training and for validation."""
KERNELS = 12_000_000
"""Bytes of loaded compiled kernels and allocator overhead: 10 to 14 MB as measured."""


@dataclass(frozen=True)
class Memory:
    """Memory in bytes. `process`: interpreter and libraries; `checkpoints`: copies made while one is written."""

    process: int
    kernels: int
    data: int
    arrays: int
    checkpoints: int

    @property
    def total(self) -> int:
        """Peak memory of the process, without the compiler, which only the first training of a kind needs."""
        return self.process + self.kernels + self.data + self.arrays + self.checkpoints


@dataclass(frozen=True)
class Forecast:
    """`images`: number per split. `steps`: per epoch. `training`, `validation`: seconds per epoch, without the time for
    writing checkpoints. `groups`: number per split, where images of a group stay together.

    `phases`: seconds per epoch of training in each; `training` and `memory` are those of the largest.
    """

    images: Mapping[str, int]
    threads: int
    memory: Memory
    steps: int
    training: float
    validation: float
    groups: Mapping[str, int]
    phases: Sequence[float]

    @property
    def epoch(self) -> float:
        """Seconds per epoch, training and validation."""
        return self.training + self.validation


def resident() -> int:
    """Current resident memory of this process in bytes; its peak where the system reports only that."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return pages * os.sysconf("SC_PAGE_SIZE")


def forecast(plan: Plan, dataset: Dataset, network: Network, process: int) -> Forecast:
    """Estimate from training and validating on real batches for about a second; nothing is written.

    `network`: as returned by `session.check`; its weights are modified. `process`: `resident` before the data were
    loaded. Memory is computed, not measured: compiling kernels now would include the compiler's memory.
    """
    assert dataset.train is not None
    batches = plan.fit.epochs_of(len(dataset.train)).longest
    later = (network.of(phase.model) for phase in plan.phases[1:])
    parts = [_part(plan, dataset, each, process) for each in (network, *later)]
    memory, training, validation = max(parts, key=lambda part: part.memory.total)
    seconds = [part.training for part in parts]
    return Forecast(dataset.sizes, network.threads, memory, batches, training, validation, dataset.groups, seconds)


class _Part(NamedTuple):
    """Of one phase: memory, and seconds of an epoch."""

    memory: Memory
    training: float
    validation: float


def _part(plan: Plan, dataset: Dataset, network: Network, process: int) -> _Part:
    train = dataset.train
    assert train is not None
    batches, fit = plan.fit.epochs_of(len(train)).longest, plan.fit
    prepare(network, 1, plan.data.augment)
    network.initialize(plan.seed)
    update, sums, number = Update(network, plan.compile.optimizer, batches), Sums(plan.compile.metrics), count(1)
    training = Feed.of(train, plan.rescale, network, augment=plan.data.augment, seed=plan.seed)

    def train_on(rows: Array) -> None:
        step = next(number)
        n = training.fill(rows, step)
        network.train_step(n, plan.seed, step)
        sums.add(network, n)
        update.run(step)

    rows = order(len(train), plan.seed, 0, shuffle=fit.shuffle)[: batches * fit.batch_size]
    trained = _seconds(train_on, rows, fit.batch_size)
    judged = 0.0
    if dataset.validation is not None:
        validation = Feed.of(dataset.validation, plan.rescale, network)

        def judge(rows: Array) -> None:
            n = validation.fill(rows)
            network.evaluate(n)
            sums.add(network, n)

        with network.steady_weights():
            size = fit.validation_batch_size or fit.batch_size
            most = len(dataset.validation) if fit.validation_steps is None else fit.validation_steps * size
            judged = _seconds(judge, np.arange(len(dataset.validation))[:most], size)
    return _Part(_memory(plan, dataset, network, update, process), trained, judged)


def _seconds(run: Callable[[Array], None], rows: Array, size: int) -> float:
    """Estimated seconds for all `rows` in batches of `size`, from timing some full batches after a warm-up batch."""
    batches = [rows[start : start + size] for start in range(0, max(1, len(rows) - size + 1), size)]
    run(batches[0])
    done, images, start = 0, 0, perf_counter()
    for batch in cycle(batches):
        run(batch)
        done, images, seconds = done + 1, images + len(batch), perf_counter() - start
        if done >= FEWEST and seconds >= WHILE:
            break
    return seconds / images * len(rows)


def _memory(plan: Plan, dataset: Dataset, network: Network, update: Update, process: int) -> Memory:
    slots = sum(arena.data.nbytes for arena in update.slots.values())
    tensors = (network.weights.data, network.gradients.data, network.frozen.data)
    held = (*tensors, network.inputs, *network.targets.values(), network.memory)
    weights = network.weights.data.nbytes + network.frozen.data.nbytes
    kept = weights * sum(callback.kept_copies() for callback in plan.fit.callbacks)
    return Memory(
        process,
        KERNELS,
        _data(dataset),
        sum(array.nbytes for array in held) + slots + kept,
        2 * (weights + slots + kept),  # the serialized file, and a second copy with its header sorted
    )


def _data(dataset: Dataset) -> int:
    """Bytes of all splits' arrays (shared by folds; of memory-mapped files only the resident part)."""
    arrays = [array for split in dataset.splits.values() for array in (split.x, split.y) if array is not None]
    distinct = {array.ctypes.data: array for array in arrays}
    return sum(
        array.nbytes if getattr(array, "_mmap", None) is None else min(array.nbytes, MOST_MAPPED)
        for array in distinct.values()
    )
