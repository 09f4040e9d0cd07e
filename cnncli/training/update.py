"""An optimizer at work on a network's weights."""

from typing import Any

import numpy as np

from cnncli.graph.arena import Arena
from cnncli.graph.network import Network
from cnncli.kernels import runtime
from cnncli.training.optimizers import Optimizer


class Update:
    """One compiled pass over all weights: the optimizer, then the constraints. `slots`: what it remembers, by name."""

    def __init__(self, network: Network, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        shapes = {name: tensor.shape for name, tensor in network.weights.tensors().items()}
        self.slots = {name: Arena(shapes, network.dtype) for name in optimizer.slots}
        self.hyper: np.ndarray[Any, Any] = np.zeros(len(optimizer.hyper(1)), np.float64)
        weights, gradients = runtime.tensor(network.weights.data), runtime.tensor(network.gradients.data)
        slots = [runtime.tensor(arena.data) for arena in self.slots.values()]
        steps = optimizer.steps(weights, gradients, slots, runtime.tensor(self.hyper))
        self.program = runtime.Program([*steps, *network.constraint_steps()])

    def run(self, step: int) -> None:
        """Update number `step` (from 1), with the gradients as they are."""
        self.hyper[:] = self.optimizer.hyper(step)
        self.program.run()
