"""Callbacks: what watches the epochs (keras/src/callbacks/)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnncli.layers.declaration import Declaration, Registry
from cnncli.layers.kinds import Whole

if TYPE_CHECKING:
    import numpy as np

    Tensors = Mapping[str, np.ndarray[Any, Any]]


class Watcher:
    """A callback at work in one run. All it remembers is in `state` and `tensors`, so that a resumed run goes on."""

    state: dict[str, Any]
    """What JSON can hold."""
    tensors: "Tensors"
    """Weights it keeps, by name; empty if none."""

    def epoch_end(self, epoch: int, figures: Mapping[str, float], weights: "Tensors") -> bool:
        """Look at the figures of an epoch (counted from 0) and the weights after it; True stops the training."""
        raise NotImplementedError

    @property
    def restored(self) -> int | None:
        """The epoch whose weights, which are in `tensors`, the run is to hand out; None if it has no say in that."""
        return None


class Callback(Declaration):
    """What watches the epochs."""

    def watch(self, directions: Mapping[str, Literal["min", "max"]]) -> Watcher:
        """Begin. `directions` says of each metric, by the name it is reported under, which way is better."""
        raise NotImplementedError


CALLBACKS = Registry("callback", Callback)


@CALLBACKS.register
class EarlyStopping(Callback):
    """Stop when `monitor` has not improved by more than `min_delta` for `patience` epochs (Keras EarlyStopping).

    With `restore_best_weights` the run hands out the weights of the best `monitor`. Without, it hands out those of the
    lowest `val_loss`, as any run does, where Keras keeps those of the last epoch: `cnncli evaluate RUN --weights last`
    and `cnncli predict RUN … --weights last` take these.
    """

    monitor: str = "val_loss"
    min_delta: float = 0.0
    patience: Annotated[int, Whole(0)] = 0
    mode: Literal["auto", "min", "max"] = "auto"
    baseline: float | None = None
    restore_best_weights: bool = False
    start_from_epoch: Annotated[int, Whole(0)] = 0

    def watch(self, directions: Mapping[str, Literal["min", "max"]]) -> Watcher:
        automatic = directions.get(self.monitor.removeprefix("val_"), "min")
        return _Stopper(self, automatic if self.mode == "auto" else self.mode)


class _Stopper(Watcher):
    """Keras' rules in Keras' order: `wait` grows before the improvement is judged, and epoch 0 never stops."""

    def __init__(self, declaration: EarlyStopping, mode: Literal["min", "max"]) -> None:
        self.declaration, self.mode = declaration, mode
        self.state = {"wait": 0, "best": None, "best_epoch": None}
        self.tensors = {}

    def epoch_end(self, epoch: int, figures: Mapping[str, float], weights: "Tensors") -> bool:
        declared, state = self.declaration, self.state
        current = figures[declared.monitor]
        if epoch < declared.start_from_epoch:
            return False
        if state["best_epoch"] is None:
            self._keep(epoch, weights)
        state["wait"] += 1
        if self._improves(current, state["best"]):
            state["best"] = current
            self._keep(epoch, weights)
            if self._improves(current, declared.baseline):
                state["wait"] = 0
            return False
        return bool(state["wait"] >= declared.patience and epoch > 0)

    @property
    def restored(self) -> int | None:
        return self.state["best_epoch"] if self.declaration.restore_best_weights else None

    def _keep(self, epoch: int, weights: "Tensors") -> None:
        self.state["best_epoch"] = epoch
        if self.declaration.restore_best_weights:
            self.tensors = {name: tensor.copy() for name, tensor in weights.items()}

    def _improves(self, value: float, reference: float | None) -> bool:
        if reference is None:
            return True
        delta = abs(self.declaration.min_delta)
        return value + delta < reference if self.mode == "min" else value - delta > reference
