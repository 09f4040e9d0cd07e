"""What a network makes of a split, as decisions are fitted on it and compared."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnncli.datasets.batches import Feed
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.training.decisions.decision import pairs, scores
from cnncli.training.metrics.evaluation import portions
from cnncli.training.metrics.statistics import class_numbers, valid_rows
from cnncli.training.prediction import logits_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Outputs:
    """`probabilities` and `targets`: float32 (n, outputs); `logits`: the same, if the network gives some.

    `kind`: see `decision.KINDS`.
    """

    kind: str
    probabilities: Array
    targets: Array
    logits: Array | None = None

    @classmethod
    def of_labels(cls, kind: str, probabilities: Array, labels: Array) -> "Outputs":
        """With targets from labels: class numbers, int (n,), or 0 or 1 for each label, (n, labels)."""
        rows = labels[:, None] == np.arange(probabilities.shape[1]) if kind == "classes" else labels
        return cls(kind, probabilities, rows.reshape(probabilities.shape).astype(np.float32))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def truth(self) -> Array:
        """The right answers: class numbers, int64 (n,); for labels bool (n, labels)."""
        return self.targets > 0.5 if self.kind == "labels" else class_numbers(self.targets)

    def as_classes(self) -> tuple[Array, Array]:
        """Logits and targets of exclusive classes: float64 (n, classes). Each sigmoid is a sample of two classes, with
        logits 0 and its own.
        """
        found = scores(self.kind, self.probabilities, self.logits)
        targets = self.targets.astype(np.float64)
        if self.kind == "classes":
            return found, targets
        yes = found.reshape(-1)
        return np.stack([np.zeros_like(yes), yes], -1), pairs(targets.reshape(-1, 1))


def collect(network: Network, feed: Feed, kind: str) -> Outputs:
    """The outputs of `network`, whose weights are set, for the split that `feed` reads."""
    count, shape = len(feed.split), only(network.targets).shape[1:]
    probabilities, targets, logits = (np.empty((count, *shape), np.float32) for _ in range(3))
    given: Array | None = None
    with network.steady_weights():
        for rows in portions(count, network.batch_size):
            n = feed.fill(rows)
            network.predict(n)
            probabilities[rows], targets[rows] = only(network.probabilities)[:n], only(network.targets)[:n]
            given = logits_of(network, n)
            if given is not None:
                logits[rows] = given
    valid = valid_rows(network.loss, targets)
    return Outputs(kind, probabilities[valid], targets[valid], None if given is None else logits[valid])
