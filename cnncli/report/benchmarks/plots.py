"""Pictures of growth, drawn with matplotlib (extra `plot`)."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from cnncli.report.benchmarks.figures import Figures
from cnncli.report.benchmarks.growth import AXES, curves

STYLES = {"cnncli": ("black", "-", "o"), "PyTorch": ("tab:red", "--", "s")}
"""Colour, line and marker: the last two tell the curves apart in print, too."""


def draw(name: str, documents: Figures, path: Path) -> None:
    """The time of a training step for an image along the axis `name`, both logarithmic."""
    axis = AXES[name]
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for title, pairs in curves(documents).items():
        colour, line, marker = STYLES[title]
        axes.plot(*zip(*pairs, strict=True), color=colour, linestyle=line, marker=marker, label=title)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(axis.values, [f"{value:,}" for value in axis.values])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(axis.title)
    axes.set_ylabel("training step, time an image (µs)")
    axes.grid(color="0.88", linewidth=0.6)
    axes.legend(frameon=False)
    # Nothing in the file but the figures changes from one drawing to the next.
    with matplotlib.rc_context({"svg.hashsalt": "cnncli"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
