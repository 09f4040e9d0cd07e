"""EarlyStopping (keras/src/callbacks/early_stopping.py)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from cnncli.layers.declarations.field_types import Integer
from cnncli.training.callbacks.callback import CALLBACKS, Directions, Hooks, PatientMonitor

if TYPE_CHECKING:
    from cnncli.training.callbacks.context import Context


@CALLBACKS.register
class EarlyStopping(PatientMonitor):
    """Stop when `monitor` has not improved by more than `min_delta` for `patience` epochs (Keras EarlyStopping).

    With `restore_best_weights`, the final weights are those of the best `monitor`. Without it, they are those of the
    lowest `val_loss`, as in any run, whereas Keras keeps those of the last epoch: for these, use
    `cnncli evaluate RUN --weights last` and `cnncli predict RUN … --weights last`.
    """

    patience: int = 0
    baseline: float | None = None
    restore_best_weights: bool = False
    start_from_epoch: Annotated[int, Integer(0)] = 0

    @property
    def fewest(self) -> int:
        """The fewest epochs with the metric, from `start_from_epoch` on, after which it may stop a training."""
        waited = self.patience - (self.baseline is not None)  # an epoch that misses the baseline counts at once
        return 1 + max(1, waited)

    def kept_copies(self) -> int:
        return int(self.restore_best_weights)

    def hooks(self, directions: Directions) -> Hooks:
        return _Stopper(self, self.direction(directions))


class _Stopper(Hooks):
    """Follows Keras: `wait` is incremented before the improvement is checked; the first epoch never stops training."""

    def __init__(self, declaration: EarlyStopping, direction: Literal["min", "max"]) -> None:
        super().__init__()
        self.declaration, self.direction = declaration, direction
        self.state = {"wait": 0, "best": None, "best_epoch": None}

    def epoch_done(self, context: "Context", figures: Mapping[str, float]) -> None:
        declared, state = self.declaration, self.state
        current = figures.get(declared.monitor)
        if current is None or context.epoch <= declared.start_from_epoch:
            return
        if state["best_epoch"] is None:
            self._keep(context)
        state["wait"] += 1
        if declared.improves(current, state["best"], self.direction):
            state["best"] = current
            self._keep(context)
            if declared.improves(current, declared.baseline, self.direction):
                state["wait"] = 0
        elif state["wait"] >= declared.patience and context.epoch > 1:
            context.stop()

    @property
    def chosen_epoch(self) -> int | None:
        return self.state["best_epoch"] if self.declaration.restore_best_weights else None

    def _keep(self, context: "Context") -> None:
        self.state["best_epoch"] = context.epoch
        if self.declaration.restore_best_weights:
            self.tensors = {name: weight.copy() for name, weight in context.weights.items()}
