"""Base classes of callbacks: a declaration in the spec, and the hooks that one training calls with a context.

Hooks are called in the order in which the spec lists the callbacks.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnncli.layers.declarations.declaration import Declaration, Registry
from cnncli.layers.declarations.field_types import Integer, Schema

if TYPE_CHECKING:
    import numpy as np

    from cnncli.training.callbacks.context import Context
    from cnncli.training.events import BatchDone

    Tensors = Mapping[str, np.ndarray[Any, Any]]

Directions = Mapping[str, Literal["min", "max"]]
"""Direction of improvement by metric name (without `val_`); "min" for metrics that are not listed."""


class Hooks:
    """The hooks of a callback during one training. Override the ones it needs.

    Everything that persists between calls must be in `state` (JSON-serializable) and `tensors`: both are saved in every
    checkpoint and restored before `training_begins` when a run is resumed. Hooks must not depend on anything else.
    """

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.tensors: Tensors = {}

    def training_begins(self, context: "Context") -> None:
        """Called when training starts or resumes."""

    def batch_done(self, context: "Context", event: "BatchDone") -> None:
        """Called after each batch, when the weights have been updated."""

    def epoch_done(self, context: "Context", figures: Mapping[str, float]) -> None:
        """Called after training and validating an epoch, before its checkpoint is saved."""

    def training_ends(self, context: "Context") -> None:
        """Called after the last batch; not called if the training is interrupted or fails."""

    @property
    def chosen_epoch(self) -> int | None:
        """Epoch (from 1) whose weights, stored in `tensors`, become the run's final weights; None for no preference."""
        return None


class Callback(Declaration):
    """Called during training; may stop it or change the learning rate."""

    def monitors(self) -> tuple[str, ...]:
        """Names of the metrics it reads after each epoch; a spec that never produces one of them is invalid."""
        return ()

    def kept_copies(self) -> int:
        """Maximum number of copies of all weights it keeps, for the memory estimate."""
        return 0

    def contradicts(self, *, scheduled: bool) -> str:
        """Error message if incompatible with the spec, else empty. `scheduled`: the learning rate is a schedule."""
        return ""

    def hooks(self, directions: Directions) -> Hooks:
        """Create the hooks for one training."""
        raise NotImplementedError


CALLBACKS = Registry("callback", Callback)


class _Verbosity(Integer):
    """An integer, or true or false."""

    def __init__(self) -> None:
        super().__init__()
        self.rule = "an integer, true or false"

    def read(self, value: Any) -> int:
        return super().read(int(value) if isinstance(value, bool) else value)

    def schema(self) -> Schema:
        return {"type": ["integer", "boolean"]}


class Monitor(Callback):
    """A callback that monitors a metric after each epoch (keras/src/callbacks/monitor_callback.py)."""

    monitor: str = "val_loss"
    mode: Literal["auto", "min", "max"] = "auto"
    min_delta: float = 0.0
    verbose: Annotated[int, _Verbosity()] = 0
    """Accepted without effect: a training always reports what its callbacks do."""

    def monitors(self) -> tuple[str, ...]:
        return (self.monitor,)

    def direction(self, directions: Directions) -> Literal["min", "max"]:
        """Direction of improvement of `monitor`."""
        return directions.get(self.monitor.removeprefix("val_"), "min") if self.mode == "auto" else self.mode

    def improves(self, value: float, reference: float | None, direction: Literal["min", "max"]) -> bool:
        """Whether `value` is better than `reference` by more than `min_delta`; always true if `reference` is None."""
        if reference is None:
            return True
        delta = abs(self.min_delta)
        return value + delta < reference if direction == "min" else value - delta > reference
