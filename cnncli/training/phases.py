"""Phases of a training: layers that are frozen at first and train from some epoch on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnncli.graph.model import Model, lower


@dataclass(frozen=True)
class Unfreezing:
    """The layers `layers` (names) train from epoch `epoch` (from 1) on; all rates are then times `rate_factor`."""

    epoch: int
    layers: tuple[str, ...]
    rate_factor: float = 1.0


@dataclass(frozen=True)
class Phase:
    """Epochs `first` to `last` (from 1) of a training: the layers of `model` that are not frozen train, at the learning
    rate times `rate_factor`.
    """

    first: int
    last: int
    model: Model
    rate_factor: float = 1.0

    @property
    def parameters(self) -> tuple[int, int]:
        """Number of parameters that train, and of all."""
        found = lower(self.model).parameters
        return sum(each.size for each in found if each.weight.trainable), sum(each.size for each in found)

    def facts(self) -> dict[str, Any]:
        """What is told of it: epochs, number of parameters that train and of all, factor of the rate."""
        trainable, parameters = self.parameters
        numbers = {"first": self.first, "last": self.last, "trainable_parameters": trainable, "parameters": parameters}
        return {**numbers, "rate_factor": self.rate_factor}


def phases(model: Model, unfreezing: Unfreezing | None, epochs: int, initial: int = 0) -> tuple[Phase, ...]:
    """The phases, at least one, of a training that goes on after `initial` epochs up to `epochs`."""
    if unfreezing is None:
        return (Phase(initial + 1, epochs, model),)
    frozen = Phase(initial + 1, min(epochs, unfreezing.epoch - 1), model.frozen(unfreezing.layers))
    if epochs < unfreezing.epoch:
        return (frozen,)
    whole = Phase(max(initial + 1, unfreezing.epoch), epochs, model, unfreezing.rate_factor)
    return (frozen, whole) if frozen.first <= frozen.last else (whole,)


def phase_of(phases: Sequence[Phase], epoch: int) -> Phase:
    """The phase of an epoch (from 1), of one before all the first."""
    return next((phase for phase in reversed(phases) if phase.first <= epoch), phases[0])
