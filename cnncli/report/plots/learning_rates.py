"""The loss of a range test over its learning rates."""

from cnncli.report.pictures.figures import LineChart, Mark, Series
from cnncli.report.terminal.figures import figure
from cnncli.training.loop.range_test import RangeTest

ROOM = 1.1
"""Height of the chart, in parts of the loss before it falls: beyond, it only diverges."""


def loss_over_rates(name: str, optimizer: str, test: RangeTest) -> LineChart:
    """The smoothed loss, its minimum, and the suggested learning rate as a vertical line."""
    rates, smoothed, least = test.rates, test.smoothed, test.smoothed[test.lowest]
    high = ROOM * max(smoothed[: test.lowest])
    low = least - (high - least) / 8
    low = 0.0 if least >= 0 and low < high / 4 else low
    suggested = f"suggested {test.suggestion:g}"
    bottom = f"is least ({figure(least)}) at {rates[test.lowest]:.2g}"
    end = f"diverged at {rates[-1]:.2g}" if test.diverged else f"did not diverge up to {rates[-1]:.2g}"
    return LineChart(
        f"Loss of {name} with {optimizer}",
        "learning rate",
        "smoothed loss",
        [
            Series("smoothed loss", rates, smoothed),
            Series(suggested, [test.suggestion] * 2, [low, high], 1, dashed=True),
        ],
        [Mark(rates[test.lowest], least, "")],
        y_bounds=(low, high),
        x_log=True,
        note=f"falls fastest at {rates[test.steepest]:.2g}, {bottom}, {end}",
    )
