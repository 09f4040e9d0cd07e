"""LearningRateScheduler (keras/src/callbacks/learning_rate_scheduler.py), by a table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cnncli.layers.declarations.field_types import Number
from cnncli.layers.declarations.mapping_types import Numbers, NumbersBy
from cnncli.training.callbacks.callback import CALLBACKS, Callback, Directions, Hooks, Verbose, unscheduled

if TYPE_CHECKING:
    from cnncli.training.callbacks.context import Context
    from cnncli.training.optimizers.optimizers import Optimizer


class RateTable(NumbersBy):
    """Learning rates by epoch, from 1, in order."""

    def __init__(self) -> None:
        super().__init__(Number(0), "epochs", {"1": 0.01, "10": 0.001})
        self.rule = (
            "a mapping of epochs, counted from 1, to learning rates ≥ 0, like {1: 0.01, 10: 0.001} "
            "(Keras takes a function, which a spec can't hold)"
        )

    def read(self, value: Any) -> Numbers:
        table = super().read(value)
        if not table or not all(str(epoch).isdecimal() and int(epoch) > 0 for epoch in table):
            raise self.refuse()
        return Numbers(
            {str(epoch): rate for epoch, rate in sorted((int(epoch), rate) for epoch, rate in table.items())}
        )


@CALLBACKS.register
class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of the epochs of a table (Keras LearningRateScheduler).

    `schedule` maps epochs, counted from 1, to the learning rates from then on; before the first of them, the
    optimizer's applies. A schedule in place of the optimizer's `learning_rate` changes it with every batch.
    """

    schedule: Annotated[Numbers, RateTable()]
    verbose: Verbose = 0
    """Accepted without effect: a training always reports the learning rate."""

    def contradicts(self, optimizer: "Optimizer") -> str:
        if optimizer.learning_rate == 0:
            return "LearningRateScheduler requires a learning_rate > 0; received 0"
        return unscheduled("LearningRateScheduler", optimizer)

    def hooks(self, directions: Directions) -> Hooks:
        return _Scheduler({int(epoch): rate for epoch, rate in self.schedule.items()})


class _Scheduler(Hooks):
    """As Keras with a function that returns the rate of an epoch in the table, and otherwise the one it was given.

    A training whose first epoch is not 1 begins with the rate of the last entry before.
    """

    def __init__(self, table: Mapping[int, float]) -> None:
        super().__init__()
        self.table, self.state = table, {"begun": False}

    def epoch_begins(self, context: "Context") -> None:
        now = context.epoch + 1
        before = [epoch for epoch in self.table if epoch <= now]
        if before and (before[-1] == now or not self.state["begun"]):
            context.learning_rate = self.table[before[-1]]
        self.state["begun"] = True
