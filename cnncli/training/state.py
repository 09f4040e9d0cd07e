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

    @classmethod
    def parse(cls, text: str) -> "State":
        """What `dump` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        return cls(**json.loads(text))
