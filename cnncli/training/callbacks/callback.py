"""What a callback is: a declaration, and hooks at work in one training, which may do what their context offers.

The order is that of the spec: each hook is called for the first callback, then for the second, and so on.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from cnncli.layers.declarations.declaration import Declaration, Registry

if TYPE_CHECKING:
    import numpy as np

    from cnncli.training.callbacks.context import Context
    from cnncli.training.events import BatchDone

    Tensors = Mapping[str, np.ndarray[Any, Any]]

Directions = Mapping[str, Literal["min", "max"]]
"""Which way is better, by the plain name of a figure; "min" for those that are not there."""


class Hooks:
    """A callback at work in one training: override the hooks it needs.

    All it remembers must be in `state` (what JSON can hold) and `tensors`: both are saved in every checkpoint and put
    back, before `training_begins`, where a run is resumed. So a hook must not depend on anything else.
    """

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.tensors: Tensors = {}

    def training_begins(self, context: "Context") -> None:
        """The training begins or goes on."""

    def batch_done(self, context: "Context", event: "BatchDone") -> None:
        """A batch is trained and the weights are updated."""

    def epoch_done(self, context: "Context", figures: Mapping[str, float]) -> None:
        """An epoch is trained and validated, but not yet saved: what happens here is part of its checkpoint."""

    def training_ends(self, context: "Context") -> None:
        """No batch follows; not called where the training is interrupted or fails."""

    @property
    def chosen_epoch(self) -> int | None:
        """The epoch (from 1) whose weights, kept in `tensors`, the run is to hand out; None leaves that to others."""
        return None


class Callback(Declaration):
    """Called as the training goes on; may stop it or change the learning rate."""

    def monitors(self) -> tuple[str, ...]:
        """The figures that it reads after each epoch; a spec in which one of them is never there is refused."""
        return ()

    def kept_copies(self) -> int:
        """How many copies of all weights it may keep: for the forecast of memory."""
        return 0

    def contradicts(self, *, scheduled: bool) -> str:
        """What forbids it beside the rest of the spec, as a sentence; `scheduled`: the learning rate is a schedule."""
        return ""

    def hooks(self, directions: Directions) -> Hooks:
        """Begin a training."""
        raise NotImplementedError


CALLBACKS = Registry("callback", Callback)


class Monitor(Callback):
    """Judges a figure after each epoch (keras/src/callbacks/monitor_callback.py)."""

    monitor: str = "val_loss"
    mode: Literal["auto", "min", "max"] = "auto"
    min_delta: float = 0.0

    def monitors(self) -> tuple[str, ...]:
        return (self.monitor,)

    def direction(self, directions: Directions) -> Literal["min", "max"]:
        """Which way is better."""
        return directions.get(self.monitor.removeprefix("val_"), "min") if self.mode == "auto" else self.mode

    def improves(self, value: float, reference: float | None, direction: Literal["min", "max"]) -> bool:
        """Whether `value` is better than `reference` by more than `min_delta`; than None anything is."""
        if reference is None:
            return True
        delta = abs(self.min_delta)
        return value + delta < reference if direction == "min" else value - delta > reference
