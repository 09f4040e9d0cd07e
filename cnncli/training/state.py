"""Where a training stands: all that, with the tensors, makes a resumed run end with the same bits."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from cnncli.training.evaluation import Sums


@dataclass
class State:
    """`epoch`: those that are complete. `batch`: those done of the next one, whose `sums` these are. `step`: updates.

    `history`: each epoch's figures. `best_loss`: the lowest val_loss so far, with the weights of `best_epoch` (from 1).
    `stopped`: a callback ended the run. `data`: the digest of the data. `callbacks`: what each remembers.
    """

    data: str
    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: Sums = field(default_factory=Sums)
    history: list[dict[str, float]] = field(default_factory=list)
    best_loss: float | None = None
    best_epoch: int = 0
    stopped: bool = False
    callbacks: list[dict[str, Any]] = field(default_factory=list)

    def dump(self) -> str:
        """As JSON, which keeps every float exactly."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> "State":
        """What `dump` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        fields = json.loads(text)
        return cls(**(fields | {"sums": Sums(**fields["sums"])}))
