"""ReduceLROnPlateau (keras/src/callbacks/reduce_lr_on_plateau.py)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from cnncli.layers.declarations.declaration import NonNegative
from cnncli.layers.declarations.field_types import Integer, Number
from cnncli.training.callbacks.callback import CALLBACKS, Directions, Hooks, PatientMonitor, unscheduled

if TYPE_CHECKING:
    from cnncli.training.callbacks.context import Context
    from cnncli.training.optimizers.optimizers import Optimizer


@CALLBACKS.register
class ReduceLROnPlateau(PatientMonitor):
    """Multiply the learning rate by `factor` when `monitor` has not improved for `patience` epochs; then wait for
    `cooldown` epochs. The learning rate never falls below `min_lr` (Keras ReduceLROnPlateau).
    """

    factor: Annotated[float, Number(above=0, below=1)] = 0.1
    patience: int = 10
    min_delta: float = 1e-4
    cooldown: Annotated[int, Integer(0)] = 0
    min_lr: NonNegative = 0.0

    def contradicts(self, optimizer: "Optimizer") -> str:
        return unscheduled("ReduceLROnPlateau", optimizer)

    def hooks(self, directions: Directions) -> Hooks:
        return _Reducer(self, self.direction(directions))


class _Reducer(Hooks):
    """Follows Keras: the epoch that ends the cooldown counts towards the patience."""

    def __init__(self, declaration: ReduceLROnPlateau, direction: Literal["min", "max"]) -> None:
        super().__init__()
        self.declaration, self.direction = declaration, direction
        self.state = {"wait": 0, "cooldown": 0, "best": None}

    def epoch_done(self, context: "Context", figures: Mapping[str, float]) -> None:
        declared, state = self.declaration, self.state
        if declared.monitor not in figures:
            return
        if state["cooldown"]:
            state["cooldown"] -= 1
            state["wait"] = 0
        if declared.improves(figures[declared.monitor], state["best"], self.direction):
            state["best"] = figures[declared.monitor]
            state["wait"] = 0
        elif not state["cooldown"]:
            state["wait"] += 1
            if state["wait"] >= declared.patience and context.learning_rate > declared.min_lr:
                context.learning_rate = max(context.learning_rate * declared.factor, declared.min_lr)
                state["cooldown"], state["wait"] = declared.cooldown, 0
