"""What a callback sees of a training, and the few things it may do."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnncli.graph.network import Network
from cnncli.training.optimizers.update import Update
from cnncli.training.runs.run_directory import Run
from cnncli.training.state import State

Array = np.ndarray[Any, Any]


class Context:
    """The context of the callback called `name`."""

    def __init__(self, name: str, network: Network, update: Update, state: State, run: Run) -> None:
        self.name = name
        self._network, self._update, self._state, self._run = network, update, state, run

    @property
    def epoch(self) -> int:
        """Epochs that are done: in `epoch_done` the number of this one, from 1."""
        return self._state.epoch

    @property
    def step(self) -> int:
        """Updates that are done."""
        return self._state.step

    @property
    def history(self) -> Sequence[Mapping[str, float]]:
        """The figures of every epoch that is done."""
        return tuple(self._state.history)

    @property
    def weights(self) -> dict[str, Array]:
        """Every weight and statistic by name: read-only views, which change with the next update."""
        views = {name: tensor.view() for name, tensor in self._network.tensors().items()}
        for view in views.values():
            view.flags.writeable = False
        return views

    @property
    def learning_rate(self) -> float:
        """The rate of the next update. Set, it changes the factor on whatever the optimizer's number or schedule says:
        the factor stays until it is set anew.
        """
        return self._update.rate(self._state.step, self._state.rate_factor)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._state.rate_factor = rate / self._update.rate(self._state.step)

    def stop(self) -> None:
        """End the training after this epoch; called after a batch, the epoch ends with it (and is validated)."""
        self._state.stopped_by = self._state.stopped_by or self.name

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the run's directory, whole or not at all. Raises CnncliError where that fails."""
        self._run.write(name, content)
