"""Several runs side by side."""

from collections.abc import Iterator, Sequence
from typing import Any

from cnncli.graph.model import lower
from cnncli.report.html.charts import with_cursor
from cnncli.report.html.highlight import difference
from cnncli.report.html.of_run import figure_name, history, measured
from cnncli.report.html.page import Cell, Column, Comparison, Table
from cnncli.report.html.results import AVERAGES
from cnncli.report.html.trained import Trained
from cnncli.report.plots.curves import curves
from cnncli.report.terminal.figures import figure


def comparison(runs: Sequence[Trained], names: Sequence[str]) -> Comparison:
    """Figures, curves and specs of several runs; `names` tell them apart."""
    histories = [history(run)._replace(name=name) for run, name in zip(runs, names, strict=True)]
    first, *others = zip(runs, names, strict=True)
    return Comparison(
        _metrics(runs, names),
        [with_cursor(chart) for chart in curves(histories)] if any(run.history for run in runs) else [],
        [difference(f"{first[1]} → {name}", first[0].text, run.text) for run, name in others],
    )


def _metrics(runs: Sequence[Trained], names: Sequence[str]) -> Table:
    """A row for each figure; every other run also has the difference to the first."""
    figures = [dict(_figures(run)) for run in runs]
    rows = []
    for name in dict.fromkeys(name for found in figures for name in found):
        values = [found.get(name) for found in figures]
        rows.append([Cell(name), *(_cell(value, values[0], first=not place) for place, value in enumerate(values))])
    columns = [Column("figure", numeric=False), *map(Column, names)]
    return Table("Figures; in parentheses the difference to the first run", columns, rows)


def _figures(run: Trained) -> Iterator[tuple[str, Any]]:
    yield "state", run.facts["state"]
    yield "epochs", run.facts["epochs"]
    yield "best epoch", run.facts["epoch"]
    for name, value in measured(run).items():
        held_out = name.startswith(("val_", "test_"))
        yield figure_name(name) if held_out else f"training {figure_name(name)}", float(value)
    if run.evaluation:
        found = run.evaluation.class_figures()
        yield from ((f"{run.evaluation.split} {name}", found[key]) for key, name in AVERAGES.items() if key in found)
    if run.spec:
        yield "parameters", sum(parameter.size for parameter in lower(run.spec.model).parameters)
    seconds = [line["seconds"] for line in run.history if isinstance(line.get("seconds"), int | float)]
    if seconds:
        yield "seconds of all epochs", float(sum(seconds))


def _cell(value: Any, first_value: Any, *, first: bool) -> Cell:
    if value is None:
        return Cell("–")
    shown = figure(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    if first or isinstance(value, str) or not isinstance(first_value, int | float):
        return Cell(shown)
    change = value - first_value
    sign = "−" if change < 0 else "+" if change > 0 else "±"
    size = figure(abs(change)) if isinstance(change, float) and change else f"{abs(change):,.0f}"
    return Cell(f"{shown} ({sign}{size})")
