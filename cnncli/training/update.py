"""An optimizer at work on a network's weights."""

from typing import Any

import numpy as np

from cnncli.graph.arena import Arena
from cnncli.graph.network import Network
from cnncli.kernels import clipping, runtime
from cnncli.kernels.optimizers import Segments
from cnncli.training.optimizers import Optimizer

Array = np.ndarray[Any, Any]


class Update:
    """One compiled pass over all weights: the optimizer, then the constraints. `slots`: what it remembers, by name.

    `batches`: how many an epoch has, for schedules that count in epochs; 1 where nothing is trained in epochs.
    """

    def __init__(self, network: Network, optimizer: Optimizer, batches: int = 1) -> None:
        self.optimizer, self.batches = optimizer, batches
        shapes = {name: tensor.shape for name, tensor in network.weights.tensors().items()}
        self.slots = {name: Arena(shapes, network.dtype) for name in optimizer.slots}
        for name, start in optimizer.slots.items():
            for tensor in self.slots[name].tensors().values():
                tensor[...] = start
        self.hyper: Array = np.zeros(len(optimizer.hyper(1, 0.0)), np.float64)
        self.places = network.weights.places()
        self.factors: Array = np.ones(len(self.places), np.float64)
        self.squares: Array = np.zeros((len(self.places), clipping.PARTS), np.float64)
        self.program = runtime.Program([*self._steps(network), *network.constraint_steps()])

    def rate(self, step: int, factor: float = 1.0) -> float:
        """The learning rate after `step` updates, times `factor`."""
        return self.optimizer.rate(step, self.batches) * factor

    def run(self, step: int, factor: float = 1.0) -> None:
        """Update number `step` (from 1), with the gradients as they are and the learning rate times `factor`."""
        self.hyper[:] = self.optimizer.hyper(step, self.rate(step - 1, factor))
        self.program.run()

    def _steps(self, network: Network) -> list[runtime.Step]:
        weights, gradients = runtime.tensor(network.weights.data), runtime.tensor(network.gradients.data)
        slots = [runtime.tensor(arena.data) for arena in self.slots.values()]
        segments = Segments(*map(runtime.tensor, (self.places, self.factors, self.squares)))
        return self.optimizer.steps(weights, gradients, slots, runtime.tensor(self.hyper), segments)
