"""The learning rate of a spec over its epochs."""

from cnncli.report.pictures.figures import LineChart, Series
from cnncli.spec.spec import Spec
from cnncli.training.phases import phase_of

POINTS = 600
"""That the curve is drawn through: one for about each pixel."""


def schedule(spec: Spec, batches: int) -> LineChart:
    """The learning rate before each update, with `batches` updates an epoch."""
    optimizer, fit, steps = spec.compile.optimizer, spec.fit, spec.fit.trained_epochs * batches
    chosen = sorted({step * steps // POINTS for step in range(POINTS)} | {max(0, steps - 1)})
    factors = [phase_of(spec.phases, fit.initial_epoch + 1 + step // batches).rate_factor for step in chosen]
    rates = [optimizer.rate(step, batches) * factor for step, factor in zip(chosen, factors, strict=True)]
    constant = len(set(rates)) == 1
    return LineChart(
        f"Learning rate of {spec.name}",
        "epoch",
        "learning rate",
        [Series("", [fit.initial_epoch + step / batches for step in chosen], rates)],
        x_bounds=(float(fit.initial_epoch), float(fit.initial_epoch + max(1, fit.trained_epochs))),
        y_bounds=(0.0, 2 * rates[0] or 1.0) if constant else None,
        note=f"{type(optimizer).__name__}, {batches:,} updates an epoch, before callbacks change it",
    )
