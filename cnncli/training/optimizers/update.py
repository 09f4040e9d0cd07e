"""Applying an optimizer to the weights of a network."""

from typing import Any

import numpy as np

from cnncli.graph.arena import Arena
from cnncli.graph.network import Network
from cnncli.kernels.elementwise import arithmetic, merge
from cnncli.kernels.jit import runtime
from cnncli.kernels.optimizers import clipping
from cnncli.kernels.optimizers.update_rules import Segments
from cnncli.training.optimizers.optimizers import Optimizer

Array = np.ndarray[Any, Any]


ACCUMULATED = "accumulated_gradient"


class Update:
    """Applies optimizer and constraints, each as a compiled pass over all weights. `slots`: optimizer state by name.

    `batches`: per epoch, for schedules in epochs; 1 when not training in epochs. With gradient accumulation, weights
    change only every N batches; schedules count all batches, as in Keras.
    """

    def __init__(self, network: Network, optimizer: Optimizer, batches: int = 1) -> None:
        self.optimizer, self.batches = optimizer, batches
        self.every = optimizer.gradient_accumulation_steps or 1
        shapes = {name: tensor.shape for name, tensor in network.weights.tensors().items()}
        self.slots = {name: Arena(shapes, network.dtype) for name in optimizer.slots}
        for name, start in optimizer.slots.items():
            for tensor in self.slots[name].tensors().values():
                tensor[...] = start
        self.hyper: Array = np.zeros(len(optimizer.hyper(1, 0.0)), np.float64)
        self.places = network.weights.places()
        self.factors: Array = np.ones(len(self.places), np.float64)
        self.squares: Array = np.zeros((len(self.places), clipping.PARTS), np.float64)
        constraints = network.constraint_steps()
        steps = [*self._steps(network), *constraints]
        if self.every > 1:
            total = self.slots[ACCUMULATED] = Arena(shapes, network.dtype)
            gradients, sums = runtime.tensor(network.gradients.data), runtime.tensor(total.data)
            mean = arithmetic.apply("affine", [gradients], gradients, scale=1 / self.every)
            steps = [*merge.add([gradients, sums], gradients), *mean, *steps]
            # Keras applies constraints after every batch, even before the first accumulated update.
            self.accumulation = runtime.Program([*merge.add([sums, gradients], sums), *constraints])
        self.program = runtime.Program(steps)

    def rate(self, step: int, factor: float = 1.0) -> float:
        """The learning rate after `step` batches, times `factor`."""
        return self.optimizer.rate(step, self.batches) * factor

    def run(self, step: int, factor: float = 1.0) -> None:
        """Apply or accumulate the gradients of batch `step` (from 1), at the learning rate times `factor`."""
        if step % self.every:
            self.accumulation.run()
            return
        self.hyper[:] = self.optimizer.hyper(step // self.every, self.rate(step - 1, factor))
        self.program.run()
        if self.every > 1:
            self.slots[ACCUMULATED].data[:] = 0

    def _steps(self, network: Network) -> list[runtime.Step]:
        weights, gradients = runtime.tensor(network.weights.data), runtime.tensor(network.gradients.data)
        slots = [runtime.tensor(arena.data) for arena in self.slots.values()]
        segments = Segments(*map(runtime.tensor, (self.places, self.factors, self.squares)))
        return self.optimizer.steps(weights, gradients, slots, runtime.tensor(self.hyper), segments)
