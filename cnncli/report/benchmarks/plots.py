"""Pictures of growth."""

from pathlib import Path

from cnncli.report.benchmarks.figures import Figures
from cnncli.report.benchmarks.growth import AXES, curves
from cnncli.report.pictures.draw import draw
from cnncli.report.pictures.figures import LineChart, Series
from cnncli.report.pictures.save import save


def draw_growth(name: str, documents: Figures, path: Path) -> None:
    """The time of a training step for an image along the axis `name`, both logarithmic."""
    axis = AXES[name]
    lines = [
        Series(title, [x for x, _ in pairs], [y for _, y in pairs], number, dashed=bool(number), marker=True)
        for number, (title, pairs) in enumerate(curves(documents).items())
    ]
    chart = LineChart(
        "Training step, time an image", axis.title, "µs", lines, x_log=True, y_log=True, ticks=axis.values
    )
    save(draw(chart), path)
