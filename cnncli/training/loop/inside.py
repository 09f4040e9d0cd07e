"""What listeners may read of a training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnncli.training.events import WrongImage
from cnncli.training.loop.loop import Trainer
from cnncli.training.metrics.examination import examine

Array = np.ndarray[Any, Any]


class View:
    """The `Inside` of a training. `classes`: names."""

    def __init__(self, trainer: Trainer, classes: Sequence[str]) -> None:
        self._trainer, self._classes = trainer, classes

    @property
    def learning_rate(self) -> float:
        state = self._trainer.state
        return self._trainer.update.rate(state.step, state.rate_factor)

    @property
    def weights(self) -> dict[str, Array]:
        return _read_only(self._trainer.network.tensors())

    @property
    def gradients(self) -> dict[str, Array]:
        return _read_only(self._trainer.network.gradients.tensors())

    @property
    def between_epochs(self) -> bool:
        return self._trainer.state.batch == 0

    def mistakes(self, most: int) -> list[WrongImage]:
        trainer = self._trainer
        if trainer.validation_feed is None or most == 0:
            return []
        found = examine(trainer.network, trainer.validation_feed, (), "validation", self._classes)
        return [
            WrongImage(
                found.image(mistake.position),
                f"{mistake.label} predicted as {mistake.predicted} ({mistake.probability:.0%})",
            )
            for mistake in found.mistakes[:most]
        ]


def _read_only(tensors: Mapping[str, Array]) -> dict[str, Array]:
    views = {name: tensor.view() for name, tensor in tensors.items()}
    for view in views.values():
        view.flags.writeable = False
    return views
