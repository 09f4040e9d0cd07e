"""The context that is passed to callback hooks: the state of the training and the actions they may take."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnncli.graph.network import Network
from cnncli.training.optimizers.update import Update
from cnncli.training.runs import checkpoint
from cnncli.training.runs.checkpoint import ModelFile
from cnncli.training.runs.run_directory import Run
from cnncli.training.state import State

Array = np.ndarray[Any, Any]


class Context:
    """Context for the callback `name`. `about`: metadata of model files."""

    def __init__(
        self, name: str, network: Network, update: Update, state: State, run: Run, *, about: Mapping[str, str]
    ) -> None:
        self.name = name
        self._network, self._update, self._state, self._run, self._about = network, update, state, run, about

    @property
    def epoch(self) -> int:
        """Number of completed epochs; in `epoch_done`, the number of this epoch, from 1."""
        return self._state.epoch

    @property
    def step(self) -> int:
        """Number of completed weight updates."""
        return self._state.step

    @property
    def history(self) -> Sequence[Mapping[str, float]]:
        """The metrics of every completed epoch."""
        return tuple(self._state.history)

    @property
    def weights(self) -> dict[str, Array]:
        """All weights and statistics by name, as read-only views that change with the next update."""
        views = {name: tensor.view() for name, tensor in self._network.tensors().items()}
        for view in views.values():
            view.flags.writeable = False
        return views

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next update. Setting it sets a factor on the optimizer's rate or schedule, which applies
        until the next assignment.
        """
        return self._update.rate(self._state.step, self._state.rate_factor)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._state.rate_factor = rate / self._update.rate(self._state.step)

    def stop(self) -> None:
        """Stop training after this epoch; from `batch_done`: after this batch, with validation."""
        self._state.stopped_by = self._state.stopped_by or self.name

    def write(self, name: str, content: bytes) -> None:
        """Atomically write a file in the run directory. Raises CnncliError on failure."""
        self._run.write(name, content)

    def save_model(self, name: str, epoch: int) -> None:
        """Atomically write a model file in the run directory, with the weights of this moment in `epoch` (from 1), or
        their averages with `use_ema`. Raises CnncliError on failure.
        """
        if self._run.elsewhere:
            return
        with self._update.averages():
            model = ModelFile(self._network.tensors(), {**self._about, "epoch": str(epoch)})
            checkpoint.save(self._run.place(name), model)

    def remove_model(self, name: str) -> None:
        """Remove a model file that `save_model` wrote; it may be gone. Raises CnncliError on failure."""
        if not self._run.elsewhere:
            self._run.remove(name)
