"""The trials of a search: a table that follows it, and one at its end."""

import shutil
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import accumulate
from typing import Any, Self, TextIO

from rich.cells import cell_len

from cnncli.escaping import one_line
from cnncli.report.terminal.console import console_on, print_table
from cnncli.report.terminal.figures import animated, figure
from cnncli.report.terminal.output import echo_lines, shown
from cnncli.report.terminal.region import Region
from cnncli.training.search import space
from cnncli.training.search.section import Search
from cnncli.training.search.trials import ENDED, Found, TrialFacts

MOST_SHOWN, MOST_LISTED = 10, 10
"""Trials in the table that follows a search, and in the one at its end."""
MOST_COUNTED = 1e12
"""Whole numbers below are counts, such as parameters."""


class LiveTrials:
    """Shows the trials on a terminal while they are trained; elsewhere a line for each that has ended. Use it as a
    context manager and call it with the study and the seconds so far.
    """

    def __init__(self) -> None:
        self.region = Region() if animated() else None
        self.told: set[int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.region:
            self.region.close()

    def __call__(self, found: Found, seconds: float) -> None:
        if self.region:
            lines = _live(found, seconds, self.region.width)[: shutil.get_terminal_size().lines - 1]
            self.region.show([line[: self.region.width] for line in lines])
            return
        ended = {trial.number: trial for trial in found.trials if trial.state in ENDED and not trial.known}
        new = [] if self.told is None else sorted(ended.keys() - self.told)
        lines = [_line(found.search, ended[number]) for number in new]
        if self.told is None and ended:
            lines = [f"going on after {len(ended)} trials"]
        if lines:
            echo_lines(lines, err=True)
        self.told = set(ended)


def _live(found: Found, seconds: float, width: int) -> list[str]:
    """A line on the whole study, then the running trials and the best ones."""
    states = [trial.state for trial in found.trials if not trial.known]
    ended = sum(state in ENDED for state in states)
    counts = [f"{states.count(state)} {state}" for state in ("running", "pruned", "failed") if state in states]
    minutes, rest = divmod(int(seconds), 60)
    whole = [f"{ended} of {found.search.settings.trials} trials", *counts, f"{minutes}:{rest:02}"]
    running = [trial for trial in found.trials if trial.state == "running"]
    complete = found.ordered[: max(0, MOST_SHOWN - len(running))]
    file = StringIO()
    _table(console_on(file), "", found.search, [*running, *complete], set(found.best), width=width)
    return [f"{found.name}: {' · '.join(whole)}", *(shown(line) for line in file.getvalue().rstrip().split("\n"))]


def _line(search: Search, trial: TrialFacts) -> str:
    """A trial that has ended."""
    values = [f"{metric} {_value(value)}" for metric, value in zip(search.metrics, trial.values, strict=False)]
    names = space.short_names(search.parameters)
    params = [f"{names.get(name, name)} {space.shown(value)}" for name, value in trial.params.items()]
    state = "" if trial.state == "complete" else trial.reason or trial.state
    return "  ".join([f"trial {trial.number}", *filter(None, [*values, state]), ", ".join(params)])


def _table(
    console: Any, title: str, search: Search, trials: Sequence[TrialFacts], best: set[int], *, width: int | None = None
) -> None:
    """A row for each trial; `width`: of a table that leaves out parameters for which there is no room."""
    names = space.short_names(search.parameters)
    used = [name for name in names if any(name in trial.params for trial in trials)]
    heads = ["trial", "state", "epoch", *search.metrics, *(names[name] for name in used)]
    rows = [_row(search, trial, used, best) for trial in trials]
    shown_columns = len(heads) if width is None else _columns([heads, *rows], width)
    print_table(console, title, heads[:shown_columns], [row[:shown_columns] for row in rows], {1})


def _columns(rows: Sequence[Sequence[str]], width: int) -> int:
    """How many columns of a table have room."""
    ends = list(accumulate((max(map(cell_len, column)) + 3 for column in zip(*rows, strict=True)), initial=1))
    return max(count for count, end in enumerate(ends) if end <= width or count <= 1)


def _value(value: float) -> str:
    """The value of an objective; parameters are counted."""
    return f"{value:,.0f}" if 10 <= value < MOST_COUNTED and value.is_integer() else figure(value)


def _row(search: Search, trial: TrialFacts, used: Sequence[str], best: set[int]) -> list[str]:
    values = [_value(value) for value in trial.values]
    if not values:
        values = [figure(trial.last) if trial.last is not None else "", *[""] * (len(search.metrics) - 1)]
    state = "best" if trial.number in best else "known" if trial.known else trial.state
    params = [one_line(space.shown(trial.params[name])) if name in trial.params else "" for name in used]
    return [str(trial.number), state, str(trial.epoch or ""), *values, *params]


def print_found(found: Found, file: TextIO) -> None:
    """The best trials, or the Pareto front, and the importance of the parameters."""
    console, ordered, search = console_on(file), found.ordered, found.search
    if len(search.metrics) > 1:
        front = [trial for trial in ordered if trial.number in found.best]
        title = f"Pareto front of {found.name}: {len(front)} of {len(ordered)} complete trials"
        _table(console, title, search, front, set())
    elif ordered:
        listed = ordered[:MOST_LISTED]
        more = f": the best {len(listed)} of {len(ordered)}" if len(listed) < len(ordered) else ""
        _table(console, f"Trials of {found.name}{more}", search, listed, set(found.best))
    _print_importance(console, search, found.importance)
    _print_others(console, found.trials)


def _print_importance(console: Any, search: Search, importance: Mapping[str, float]) -> None:
    """The shares of the parameters, with bars."""
    names = space.short_names(search.parameters)
    if not importance:
        return
    longest = max(len(names[name]) for name in importance)
    console.print(f"\nImportance for {search.metrics[0]}")
    for name, share in sorted(importance.items(), key=lambda item: -item[1]):
        bar = "█" * round(20 * share)
        console.print(f"  {names[name]:{longest}}  {share:4.0%}  {bar}")


def _print_others(console: Any, trials: Sequence[TrialFacts]) -> None:
    """How many trials ended early."""
    counts = {state: sum(trial.state == state for trial in trials) for state in ("pruned", "failed")}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    if said:
        console.print(f"\n{said}")
