"""The range test of the learning rate: the loss of a training whose rate grows with every update, until it diverges.

From Leslie N. Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv:1506.01186). The exponential growth,
the smoothing, the end at four times the least loss and a tenth of its rate as the suggestion are those of fastai's
`lr_find`. The rate where the loss falls fastest is shown, not suggested: it is up to six times as high for networks of
`configs/`, and too high for one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from math import isfinite, log, sqrt
from statistics import median
from typing import Any

import numpy as np

from cnncli.datasets.batches import Feed, order
from cnncli.datasets.dataset import Dataset
from cnncli.errors import CnncliError
from cnncli.graph.network import Network
from cnncli.training import class_weight
from cnncli.training.loop.plan import Plan
from cnncli.training.metrics.evaluation import Sums
from cnncli.training.optimizers.update import Update

Array = np.ndarray[Any, Any]
MOMENTUM = 0.9
"""Of the moving average of the loss, which weighs about the last 10 updates."""
FIRST = round(1 / (1 - MOMENTUM))
"""Updates before the average is one of so many losses."""
DIVERGED = 4.0
"""The test ends where the smoothed loss is so many times its minimum."""
BELOW = 10.0
"""The suggestion is the rate of the least loss divided by this."""
DOUBT = 4.0
"""Standard deviations of the smoothed loss: a smaller fall is taken for noise."""
LEAST_FALL = 0.01
"""Of the loss."""
GAUSSIAN = 0.6745 * sqrt(2)
"""Median of the distance of two independent numbers from a normal distribution of standard deviation 1."""


@dataclass(frozen=True)
class Range:
    """The learning rates to test: `updates` from `first` to `last`, each by the same factor higher."""

    first: float = 1e-6
    last: float = 10.0
    updates: int = 150

    def rates(self) -> list[float]:
        """All of them."""
        growth = log(self.last / self.first) / (self.updates - 1)
        return [float(self.first * np.exp(growth * number)) for number in range(self.updates)]


@dataclass(frozen=True)
class RangeTest:
    """Result of a test: each rate with the loss before its update, as it is and smoothed.

    `diverged`: the test ended before the last rate, because the loss had grown or was no number any more. `lowest`,
    `steepest`: numbers of the rates where the smoothed loss is least, and where it falls fastest.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    smoothed: Sequence[float]
    diverged: bool
    lowest: int
    steepest: int

    @property
    def suggestion(self) -> float:
        """The suggested learning rate, with two significant digits."""
        return float(f"{self.rates[self.lowest] / BELOW:.2g}")

    @property
    def still_falling(self) -> bool:
        """Whether the loss was least at the end: a higher rate might be better."""
        return not self.diverged and len(self.rates) - self.lowest <= FIRST


def range_test(
    plan: Plan, dataset: Dataset, network: Network, tested: Range, progress: Callable[[int], None] = lambda number: None
) -> RangeTest:
    """Train `network`, which has the weights to start from, on the batches of a training at growing rates.

    The rate of the spec, or its schedule, has no effect; its other settings have. With gradient accumulation, the loss
    of an update is the mean of its batches. Raises CnncliError if the loss does not fall at any rate.
    """
    losses: list[float] = []
    smoothed: list[float] = []
    rates, total, diverged = tested.rates(), 0.0, False
    for number, loss in enumerate(_losses(plan, dataset, network, rates)):
        progress(number)
        diverged = not isfinite(loss)
        if diverged:
            break
        losses.append(loss)
        total = MOMENTUM * total + (1 - MOMENTUM) * loss
        smoothed.append(total / (1 - MOMENTUM ** (number + 1)))
        diverged = number > FIRST and smoothed[-1] > DIVERGED * min(smoothed[FIRST:])
        if diverged:
            break
    if not losses:
        raise CnncliError(
            f"the loss of the first batch is not a finite number: no learning rate can be found; {CAUSES}"
        )
    rates = rates[: len(losses)]
    lowest = min(range(min(FIRST, len(smoothed) - 1), len(smoothed)), key=smoothed.__getitem__)
    if not _falls(losses, smoothed, lowest):
        raise CnncliError(_never(rates, smoothed, diverged=diverged))
    return RangeTest(rates, losses, smoothed, diverged, lowest, _steepest(smoothed, lowest))


CAUSES = "look at the data (`cnncli datasets check`, `cnncli plot --what augment`), the loss and the last activation"


def _losses(plan: Plan, dataset: Dataset, network: Network, rates: Sequence[float]) -> Iterator[float]:
    """The mean loss of the batches of each update, which is then made at its rate."""
    assert dataset.train is not None  # see session.read_data
    given = plan.fit.class_weight
    weights = None if given is None else class_weight.of_training(given, dataset, network)
    feed = Feed.of(*(dataset.train, plan.rescale, network), augment=plan.data.augment, seed=plan.seed, weights=weights)
    update = Update(network, plan.compile.optimizer.replace(learning_rate=1.0))
    batches, step = _batches(plan, len(dataset.train)), 0
    for rate in rates:
        sums = Sums()
        for _ in range(update.every):
            step += 1
            n = feed.fill(next(batches), step)
            network.train_step(n, plan.seed, step)
            sums.add(network, n)
            update.run(step, rate)
        yield sums.figures()["loss"]


def _batches(plan: Plan, images: int) -> Iterator[Array]:
    """The rows of the batches of a training that does not end."""
    epochs = plan.fit.epochs_of(images)
    for epoch in count(plan.fit.initial_epoch):
        rows = order(images, plan.seed, epochs.passes(epoch), shuffle=plan.fit.shuffle)
        yield from (rows[portion] for portion in epochs.portions(epoch))


def _falls(losses: Sequence[float], smoothed: Sequence[float], lowest: int) -> bool:
    """Whether the smoothed loss falls by more than the noise of batches explains."""
    if lowest <= FIRST:
        return False
    apart = [abs(after - before) for before, after in pairwise(losses[: lowest + 1])]
    noise = median(apart) / GAUSSIAN * sqrt((1 - MOMENTUM) / (1 + MOMENTUM))
    before = min(smoothed[FIRST], DIVERGED * losses[0])  # the first updates alone may have raised it
    return before - smoothed[lowest] > max(DOUBT * noise, LEAST_FALL * abs(before))


def _never(rates: Sequence[float], smoothed: Sequence[float], *, diverged: bool) -> str:
    if diverged:
        return (
            f"the loss, {smoothed[0]:.4g}, does not fall before it grows at {rates[-1]:.2g}: no learning rate can be "
            "found; begin lower, with --from, or make more updates, with --updates"
        )
    return (
        f"the loss, {smoothed[0]:.4g}, does not fall at any rate from {rates[0]:.2g} to {rates[-1]:.2g}: no learning "
        f"rate can be found; try higher ones, with --to, or {CAUSES}"
    )


def _steepest(smoothed: Sequence[float], lowest: int) -> int:
    """Where the smoothed loss falls fastest before it is least; `lowest` is above FIRST."""
    return min(range(FIRST, lowest), key=lambda place: smoothed[place + 1] - smoothed[place - 1])
