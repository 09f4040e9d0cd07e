"""The learning rate of a spec over its epochs."""

from bisect import bisect_right
from collections.abc import Sequence

from cnncli.report.pictures.figures import LineChart, Series
from cnncli.spec.spec import Spec
from cnncli.training.phases import phase_of

POINTS = 600
"""That the curve is drawn through: one for about each pixel."""


def schedule(spec: Spec, images: int) -> LineChart:
    """The learning rate before each update, with so many training images."""
    optimizer, fit, epochs = spec.compile.optimizer, spec.fit, spec.fit.epochs_of(images)
    first, batches = fit.initial_epoch, epochs.longest
    starts = [epochs.before(first + epoch) for epoch in range(fit.trained_epochs + 2)]
    steps = starts[fit.trained_epochs]
    chosen = sorted({step * steps // POINTS for step in range(POINTS)} | {max(0, steps - 1)})
    places = [_place(starts, step) for step in chosen]
    factors = [phase_of(spec.phases, first + 1 + int(place)).rate_factor for place in places]
    rates = [optimizer.rate(step, batches) * factor for step, factor in zip(chosen, factors, strict=True)]
    updates = f"{batches:,}" if steps == batches * fit.trained_epochs else f"up to {batches:,}"
    constant = len(set(rates)) == 1
    return LineChart(
        f"Learning rate of {spec.name}",
        "epoch",
        "learning rate",
        [Series("", [first + place for place in places], rates)],
        x_bounds=(float(first), float(first + max(1, fit.trained_epochs))),
        y_bounds=(0.0, 2 * rates[0] or 1.0) if constant else None,
        note=f"{type(optimizer).__name__}, {updates} updates an epoch, before callbacks change it",
    )


def _place(starts: Sequence[int], step: int) -> float:
    """The epochs before a step: `starts` are the first steps of epochs."""
    epoch = bisect_right(starts, step) - 1
    return epoch + (step - starts[epoch]) / (starts[epoch + 1] - starts[epoch])
