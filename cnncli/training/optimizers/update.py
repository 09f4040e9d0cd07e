"""Applying an optimizer to the weights of a network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from cnncli.graph.arena import Arena
from cnncli.graph.network import Network
from cnncli.kernels.elementwise import arithmetic, merge
from cnncli.kernels.jit import runtime
from cnncli.kernels.optimizers import clipping
from cnncli.kernels.optimizers.update_rules import Segments
from cnncli.ops.ir import Shape
from cnncli.training.optimizers.optimizers import Optimizer

Array = np.ndarray[Any, Any]


ACCUMULATED = "accumulated_gradient"
AVERAGE = "average"


class Update:
    """Applies optimizer and constraints, each as a compiled pass over all weights. `slots`: optimizer state by name.

    `batches`: per epoch, for schedules in epochs; 1 when not training in epochs. `since`: the batches before the first
    one of this state, which schedules count and the optimizer does not. `factor`: of the learning rate.

    With gradient accumulation, weights change only every N batches; schedules count all batches, as in Keras. Weights
    that share a rate and decay share a row of `hyper`.
    """

    def __init__(
        self, network: Network, optimizer: Optimizer, batches: int = 1, *, since: int = 0, factor: float = 1.0
    ) -> None:
        self.network, self.optimizer, self.batches = network, optimizer, batches
        self.since, self.factor = since, factor
        self.every, self.averaged = optimizer.gradient_accumulation_steps or 1, False
        shapes = {name: tensor.shape for name, tensor in network.weights.tensors().items()}
        self.slots = {name: Arena(shapes, network.dtype) for name in optimizer.slots}
        for name, start in optimizer.slots.items():
            for tensor in self.slots[name].tensors().values():
                tensor[...] = start
        groups = {name: optimizer.group(name) for name in shapes}
        self.groups = list(dict.fromkeys(groups.values()))
        count, numbers = len(shapes), len(optimizer.hyper(1, 0.0))
        self.hyper: Array = np.zeros((len(self.groups), numbers), np.float64)
        self.rows: Array = np.array([self.groups.index(group) for group in groups.values()], np.int64)
        self.places = network.weights.places()
        self.factors: Array = np.ones((2, count), np.float64)
        self.squares: Array = np.zeros((2, count, clipping.PARTS), np.float64)
        self.accumulation, self.program = self._programs(network, shapes)

    def rate(self, step: int, factor: float = 1.0) -> float:
        """The learning rate after `step` batches, times `factor`."""
        return self.optimizer.rate(step, self.batches) * self.factor * factor

    def run(self, step: int, factor: float = 1.0) -> None:
        """Apply or accumulate the gradients of batch `step` (from 1), at the learning rate times `factor`."""
        own, rate = step - self.since, self.rate(step - 1, factor)
        number = -(-own // self.every)
        for row, group in zip(self.hyper, self.groups, strict=True):
            row[:] = self.optimizer.hyper(number, rate, group)
        if own % self.every:
            self.accumulation.run()
            return
        self.program.run()
        if self.every > 1:
            self.slots[ACCUMULATED].data[:] = 0

    @contextmanager
    def averages(self, *, shown: bool = True) -> Iterator[None]:
        """Context in which the network has the moving averages of its weights; with `shown=False`, the weights.

        Without `use_ema` these are the same.
        """
        before = self.averaged
        self._show(shown)
        try:
            yield
        finally:
            self._show(before)

    def _show(self, averages: bool) -> None:
        if averages != self.averaged and self.optimizer.use_ema:
            weights, average = self.network.weights.data, self.slots[AVERAGE].data
            kept = weights.copy()
            weights[:], average[:] = average, kept
            self.averaged = averages

    def _programs(self, network: Network, shapes: Mapping[str, Shape]) -> tuple[runtime.Program, runtime.Program]:
        """What a batch runs that accumulates its gradients, and one that updates the weights."""
        weights, gradients = runtime.tensor(network.weights.data), runtime.tensor(network.gradients.data)
        state, hyper = [runtime.tensor(arena.data) for arena in self.slots.values()], runtime.tensor(self.hyper)
        segments = Segments(*map(runtime.tensor, (self.places, self.rows, *self.factors, self.squares)))
        update, after = self.optimizer.steps(weights, gradients, state, hyper, segments), network.constraint_steps()
        if self.optimizer.use_ema:
            average = self.slots[AVERAGE] = Arena(shapes, network.dtype)
            averages = (weights, gradients, runtime.tensor(average.data), hyper, segments)
            after = [*self.optimizer.average_steps(*averages), *after]
        if self.every == 1:
            return runtime.Program([]), runtime.Program([*update, *after])
        total = self.slots[ACCUMULATED] = Arena(shapes, network.dtype)
        sums = runtime.tensor(total.data)
        mean = arithmetic.apply("affine", [gradients], gradients, scale=1 / self.every)
        # Keras averages and constrains weights after every batch, even before the first accumulated update.
        return (
            runtime.Program([*merge.add([sums, gradients], sums), *after]),
            runtime.Program([*merge.add([gradients, sums], gradients), *mean, *update, *after]),
        )
