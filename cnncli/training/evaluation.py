"""Means over many batches: the loss and the metrics of an epoch or of a split."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any

import numpy as np

from cnncli.datasets.batches import Feed
from cnncli.graph.network import Network
from cnncli.training.metrics import Metric

Array = np.ndarray[Any, Any]


@dataclass
class Sums:
    """What batches have added up to so far. A figure's parts, one a batch, are summed exactly: in no order."""

    samples: int = 0
    parts: dict[str, list[float]] = field(default_factory=dict)

    def add(self, network: Network, n: int, metrics: Sequence[Metric]) -> float:
        """Count the last run of `network` on `n` rows; what it adds to the loss, which may not be finite.

        Keras weights a batch by its size: n·(mean of the rows' losses + penalties).
        """
        loss = float(network.losses[:n].sum(dtype=np.float64)) + n * network.penalty()
        predictions, targets = network.predictions[:n], network.targets[:n]
        self.samples += n
        self.parts.setdefault("loss", []).append(loss)
        for metric in metrics:
            self.parts.setdefault(metric.figure, []).append(metric.total(predictions, targets))
        return loss

    def means(self, prefix: str = "") -> dict[str, float]:
        """Each figure's mean over the samples, under its name with `prefix`."""
        return {f"{prefix}{name}": fsum(parts) / self.samples for name, parts in self.parts.items()}


def portions(count: int, batch_size: int) -> Iterator[slice]:
    """The rows of each batch; the last one may be smaller."""
    return (slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size))


def evaluate(
    network: Network,
    feed: Feed,
    metrics: Sequence[Metric],
    *,
    after_batch: Callable[[slice], None] = lambda rows: None,
) -> dict[str, float]:
    """The loss and the metrics of a split, in inference mode. `after_batch` may read the network, or raise."""
    sums = Sums()
    with network.steady_weights():
        for rows in portions(len(feed.split), network.batch_size):
            n = feed.fill(rows)
            network.evaluate(n)
            sums.add(network, n, metrics)
            after_batch(rows)
    return sums.means()
