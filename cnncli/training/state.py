"""The state of a training: with the tensors, everything needed for bit-identical results after resuming."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from cnncli.training.epochs import Epochs


@dataclass
class State:
    """`epoch`: completed epochs. `batch`: completed batches of the next epoch. `step`: updates.

    `history`: metrics per epoch. `best_value`: monitored value of the best epoch so far, `best_epoch` (from 1).
    `rate_factor`: factor of the learning rate, set by callbacks. `stopped_by`: the callback that stopped the training.
    `data`: the digest of the data. `callbacks`: the state of each.
    """

    data: str
    epoch: int = 0
    batch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_value: float | None = None
    best_epoch: int = 0
    rate_factor: float = 1.0
    stopped_by: str = ""
    callbacks: list[dict[str, Any]] = field(default_factory=list)

    def dump(self) -> str:
        """Serialize to JSON, which preserves every float exactly."""
        return json.dumps(asdict(self))

    def flaw(self, epochs: Epochs, last: int, callbacks: int) -> str:
        """The violated rule, for these epochs up to `last` and this number of callbacks; empty if none."""
        first, last = epochs.first, max(epochs.first, last)
        if not first <= self.epoch <= last:
            return f"epoch must be between {first:,} and {last:,}"
        batches = len(epochs.portions(self.epoch))
        left = epochs.before(self.epoch) + self.batch - self.step  # batches skipped when a callback ended an epoch
        stopped = bool(self.stopped_by and 0 < left < epochs.longest)
        rules = {
            f"batch must be between 0 and {batches:,}": 0 <= self.batch <= batches,
            "step must be that of its epoch and batch": left == 0 or stopped,
            "history must have an entry for each epoch": len(self.history) == self.epoch - first,
            "best_epoch must be an epoch that is complete": bool(self.history) <= self.best_epoch <= self.epoch,
            f"callbacks must have {callbacks} entries": len(self.callbacks) == callbacks,
        }
        return next((rule for rule, kept in rules.items() if not kept), "")


def is_like(value: Any, initial: Any) -> bool:
    """Whether a callback's state has the structure of its initial state; None may have become a number."""
    if isinstance(initial, dict):
        return (
            isinstance(value, dict)
            and value.keys() == initial.keys()
            and all(is_like(value[key], initial[key]) for key in initial)
        )
    if initial is None:
        return value is None or type(value) in (int, float)
    return type(value) is type(initial)
