"""Base classes of callbacks: a declaration in the spec, and the hooks that one training calls with a context.

Hooks are called in the order in which the spec lists the callbacks.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnncli.layers.declarations.declaration import Declaration, Registry
from cnncli.layers.declarations.field_types import Integer, Schema
from cnncli.training.optimizers.schedules import Schedule

if TYPE_CHECKING:
    import numpy as np

    from cnncli.training.callbacks.context import Context
    from cnncli.training.events import BatchDone
    from cnncli.training.optimizers.optimizers import Optimizer

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

    def epoch_begins(self, context: "Context") -> None:
        """Called before the first batch of an epoch; not if a training resumes in the middle of it."""

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

    def metrics(self) -> Mapping[str, tuple[str, ...]]:
        """The metrics it reads, by the argument that names them; a spec that never produces one of them is invalid."""
        return {}

    @property
    def in_batches(self) -> bool:
        """Whether it reads them after batches, when only those of training are known, not after epochs."""
        return False

    def kept_copies(self) -> int:
        """Maximum number of copies of all weights it keeps, for the memory estimate."""
        return 0

    def contradicts(self, optimizer: "Optimizer") -> str:
        """Error message if incompatible with the optimizer, else empty."""
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


Verbose = Annotated[int, _Verbosity()]


class Monitor(Callback):
    """A callback that monitors a metric (keras/src/callbacks/monitor_callback.py)."""

    monitor: str = "val_loss"
    mode: Literal["auto", "min", "max"] = "auto"
    verbose: Verbose = 0
    """Accepted without effect: a training always reports what its callbacks do."""

    def metrics(self) -> Mapping[str, tuple[str, ...]]:
        return {"monitor": (self.monitor,)}

    def direction(self, directions: Directions) -> Literal["min", "max"]:
        """Direction of improvement of `monitor`."""
        return directions.get(self.monitor.removeprefix("val_"), "min") if self.mode == "auto" else self.mode

    @property
    def margin(self) -> float:
        """By how much a value must be better than another to improve on it."""
        return 0.0

    def improves(self, value: float, reference: float | None, direction: Literal["min", "max"]) -> bool:
        """Whether `value` is better than `reference` by more than the margin; true if `reference` is None."""
        if reference is None:
            return True
        return value + self.margin < reference if direction == "min" else value - self.margin > reference


class PatientMonitor(Monitor):
    """A callback that acts if a metric has not improved for some epochs."""

    min_delta: float = 0.0
    patience: int

    @property
    def margin(self) -> float:
        return abs(self.min_delta)


def unscheduled(name: str, optimizer: "Optimizer") -> str:
    """Error message if a callback that sets the learning rate is used with a schedule, else empty."""
    if not isinstance(optimizer.learning_rate, Schedule):
        return ""
    return f"{name} does not go with a schedule: give learning_rate as a number, or leave one of them out"
