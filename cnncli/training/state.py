"""Where a training stands: all that, with the tensors, makes a resumed run end with the same bits."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class State:
    """`epoch`: those that are complete. `batch`: those done of the next one. `step`: updates.

    `history`: each epoch's figures. `best_value`: what the best epoch so far, `best_epoch` (from 1), is judged by.
    `rate_factor`: what callbacks have multiplied the learning rate by. `stopped_by`: the callback that ended the run.
    `data`: the digest of the data. `callbacks`: what each remembers.
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
        """As JSON, which keeps every float exactly."""
        return json.dumps(asdict(self))

    def flaw(self, epochs: int, batches: int, callbacks: int) -> str:
        """What can't be of a training of so many epochs, batches an epoch and callbacks, as a rule; or nothing."""
        left = self.epoch * batches + self.batch - self.step  # batches of the epoch that a callback cut short
        rules = {
            f"epoch must be between 0 and {epochs:,}": 0 <= self.epoch <= epochs,
            f"batch must be between 0 and {batches:,}": 0 <= self.batch <= batches,
            "step must be that of its epoch and batch": left == 0 or bool(self.stopped_by and 0 < left < batches),
            "history must have an entry for each epoch": len(self.history) == self.epoch,
            "best_epoch must be an epoch that is complete": bool(self.epoch) <= self.best_epoch <= self.epoch,
            f"callbacks must have {callbacks} entries": len(self.callbacks) == callbacks,
        }
        return next((rule for rule, kept in rules.items() if not kept), "")


def is_like(value: Any, initial: Any) -> bool:
    """Whether what a callback remembers may have come of what it began with: None may become a number."""
    if isinstance(initial, dict):
        return (
            isinstance(value, dict)
            and value.keys() == initial.keys()
            and all(is_like(value[key], initial[key]) for key in initial)
        )
    if initial is None:
        return value is None or type(value) in (int, float)
    return type(value) is type(initial)
