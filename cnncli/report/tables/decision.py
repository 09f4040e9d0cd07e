"""Decisions as text: what was fitted, and the figures without and with it."""

import sys
from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table

from cnncli.escaping import one_line
from cnncli.report.terminal.console import console_on
from cnncli.report.terminal.figures import figure, figures_line
from cnncli.report.terminal.output import echo_lines
from cnncli.training.decisions.decision import Decision


def print_decision(decision: Decision, names: Sequence[str]) -> None:
    """The temperature, the figures before and after, and the thresholds, on standard output."""
    on = decision.fitted
    lines = [
        f"temperature {figure(decision.temperature)}  ({on.samples:,} {on.split} samples of {on.source})",
        f"before  {figures_line(decision.before)}",
        f"after   {figures_line(decision.after)}",
    ]
    if decision.unknown is not None:
        lines.append(f'"unknown" where the probability is below {figure(decision.unknown)}')
    echo_lines(lines)
    if decision.thresholds is not None:
        _print_thresholds(decision, names)


def _print_thresholds(decision: Decision, names: Sequence[str]) -> None:
    assert decision.thresholds is not None
    table = Table("class", box=box.SIMPLE)
    for name in ("threshold", "precision", "recall"):
        table.add_column(name, justify="right")
    for name, one in zip(names[-len(decision.thresholds) :], decision.thresholds, strict=True):
        table.add_row(one_line(name), *map(figure, (one.threshold, one.precision, one.recall)))
    console_on(sys.stdout).print(table)


def comparison(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """`nll 0.3123 → 0.2891  ece …`: figures without and with a decision, in one line."""
    return "  ".join(
        f"{name} {figure(before[name])} → {figure(value)}" if name in before else f"{name} {figure(value)}"
        for name, value in after.items()
    )
