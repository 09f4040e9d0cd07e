"""Accumulated loss and metrics of an epoch or a split."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from math import fsum

import numpy as np

from cnncli.datasets.batches import Feed
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.training.metrics.metrics import Metric
from cnncli.training.metrics.statistics import Array, Totals, of_valid

LOSS = "loss"


class Sums:
    """Running sums over batches: number of samples, losses, and the counts of each metric."""

    def __init__(self, metrics: Sequence[Metric] = ()) -> None:
        self.metrics = metrics
        self.samples = 0
        self.losses: list[float] = []
        """The summed loss of each batch's samples, one number per batch."""
        self.totals = [Totals() for _ in metrics]
        self.data_loss = 0.0
        """The mean loss of the last batch's samples, without penalties."""

    def add(self, network: Network, n: int) -> float:
        """Add the last run of `network` on `n` rows; return its loss contribution, which may not be finite.

        Keras weights a batch by its size: n·(mean of the rows' losses + penalties).
        """
        loss = self.count(network, n)
        self.record(loss, n)
        return loss

    def count(self, network: Network, n: int) -> float:
        """Add the counts of the metrics only; return the loss contribution."""
        of_rows = float(network.losses[:n].sum(dtype=np.float64))
        self.data_loss = of_rows / n
        predictions, targets = of_valid(network.loss, only(network.predictions)[:n], only(network.targets)[:n])
        for metric, totals in zip(self.metrics, self.totals, strict=True):
            totals.add(metric.count(predictions, targets))
        return of_rows + n * network.penalty()

    def record(self, loss: float, samples: int) -> None:
        """Add the loss contribution of a batch."""
        self.samples += samples
        self.losses.append(loss)

    def add_counts(self, everyone: Sequence[Sequence[Mapping[str, Array]]]) -> None:
        """Add the tensors of the totals of several sums."""
        for tensors in everyone:
            for totals, found in zip(self.totals, tensors, strict=True):
                for position in range(max(map(len, found.values()), default=0)):
                    totals.add({name: array[position] for name, array in found.items() if position < len(array)})

    def figures(self) -> dict[str, float]:
        """The mean loss over the samples, and the values of each metric."""
        read = {LOSS: fsum(self.losses) / self.samples}
        for metric, totals in zip(self.metrics, self.totals, strict=True):
            read |= metric.figures(totals.sums())
        return read

    def tensors(self) -> dict[str, Array]:
        """The tensors that `restore` needs."""
        kept = {"samples": np.array([self.samples]), LOSS: np.array(self.losses)}
        for number, totals in enumerate(self.totals):
            kept |= {f"{number}/{name}": tensor for name, tensor in totals.tensors().items()}
        return kept

    def restore(self, tensors: Mapping[str, Array]) -> None:
        """Restore the sums from what `tensors` returned."""
        self.samples, self.losses = int(tensors["samples"][0]), tensors[LOSS].tolist()
        for number, totals in enumerate(self.totals):
            totals.restore(under(f"{number}/", tensors))


def under(prefix: str, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def portions(count: int, batch_size: int) -> Iterator[slice]:
    """The size of each batch; the last one may be smaller."""
    return (slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size))


def evaluate(
    network: Network,
    feed: Feed,
    metrics: Sequence[Metric],
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    after_batch: Callable[[slice], None] = lambda rows: None,
) -> dict[str, float]:
    """The loss and the metrics of a split, in inference mode. `after_batch` may read the network, or raise.

    `batch_size`: by default the network's. `steps`: so many batches only, the first ones.
    """
    return evaluated(*(network, feed, metrics), batch_size=batch_size, steps=steps, after_batch=after_batch).figures()


def evaluated(
    network: Network,
    feed: Feed,
    metrics: Sequence[Metric],
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    after_batch: Callable[[slice], None] = lambda rows: None,
    share: tuple[int, int] = (0, 1),
) -> Sums:
    """The sums of `evaluate`. `share`: (k, n) for every n-th batch only, from the k-th on."""
    sums = Sums(metrics)
    with network.steady_weights():
        batches = islice(portions(len(feed.split), batch_size or network.batch_size), steps)
        for rows in islice(batches, share[0], None, share[1]):
            n = feed.fill(rows)
            network.evaluate(n)
            sums.add(network, n)
            after_batch(rows)
    network.sample_weight[:] = 1  # those of this split are not those of others
    return sums
