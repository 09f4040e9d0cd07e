"""Runs side by side: tables for people, JSON for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import isfinite, isnan
from typing import Any, TextIO

from rich.table import Table

from cnncli.hints import joined
from cnncli.report.terminal.console import console_on, fits
from cnncli.report.terminal.figures import figure
from cnncli.training.comparison import ABSENT, MEASURED, UNKNOWN, Comparison, Group, Pair, Trial
from cnncli.training.metrics.spread import Spread

LIKELY = 0.05
"""A difference with a p-value of at least this may well be chance."""
SHORT = 12
"""Digits of a commit."""
LONGEST = 40
"""Characters of a value of a spec."""


def document(found: Comparison) -> dict[str, Any]:
    """The comparison, for JSON; what a group lacks is null."""
    return {
        "groups": [
            {"letter": group.letter, "runs": [_trial(trial) for trial in group.trials]} for group in found.groups
        ],
        "spec": {
            key: [None if value in (ABSENT, UNKNOWN) else value for value in values]
            for key, values in found.differences.items()
        },
        "environment": {
            key: [None if value == UNKNOWN else value for value in values] for key, values in found.environments.items()
        },
        "figures": {
            name: [None if spread is None else _finite(asdict(spread)) for spread in spreads]
            for name, spreads in found.figures.items()
        },
        "equal_weights": found.equal_weights,
        "same_data": found.same_data,
        "paired": [_paired(pair) for pair in found.pairs],
        "unpaired": list(found.unpaired),
    }


def _finite(value: Any) -> Any:
    """With null for what is not finite, for which JSON has no word."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _trial(trial: Trial) -> dict[str, Any]:
    seed, fold = trial.part
    about = {"run": trial.path, "state": trial.facts["state"], "seed": seed, "fold": fold}
    return {**about, "digest": trial.digest, "data_digest": trial.data_digest}


def _paired(pair: Pair) -> dict[str, Any]:
    counts = pair.counts
    share = dict(zip(("first_right", "second_right"), counts.shares, strict=True))
    about = {"first": pair.first, "second": pair.second, "split": pair.split, "samples": counts.samples}
    return {**about, **share, **asdict(counts), "p": counts.mid_p, "exact_p": counts.exact_p}


def print_comparison(found: Comparison, file: TextIO) -> None:
    """The runs, what differs between their specs and environments, their figures, and paired tests."""
    console = console_on(file)
    for group in found.groups:
        console.print(_who(group), soft_wrap=True)
    console.print()
    _print_differences(found, file)
    _print_figures(found, file)
    for line in (*_findings(found), *_tests(found)):
        console.print(line, soft_wrap=not console.is_terminal)


def _who(group: Group) -> str:
    """`A  runs/smoke/20260101-000000`, with the number of runs of several, and the state of one that is unfinished."""
    first = group.trials[0]
    lines = [f"{group.letter}  {first.path}{_state(first)}"]
    lines += [f"   {trial.path}{_state(trial)}" for trial in group.trials[1:]]
    return "\n".join(lines)


def _state(trial: Trial) -> str:
    state = trial.facts["state"]
    return "" if state == "finished" else f"  {state}"


def _print_differences(found: Comparison, file: TextIO) -> None:
    rows = [(key, *(_value(value) for value in values)) for key, values in found.differences.items()]
    for key, values in found.environments.items():
        rows.append((f"({key})", *(_value(str(value)[:SHORT] if key == "commit" else value) for value in values)))
    if not found.differences and all(group.trials[0].spec for group in found.groups):
        print("the specs are equal", file=file)
    if rows:
        _print(file, ("spec", *(group.letter for group in found.groups)), rows)
    print(file=file)


def _value(value: Any) -> str:
    """A value of a spec as in YAML, shortened."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _print_figures(found: Comparison, file: TextIO) -> None:
    """A row for each figure; for two groups, with the difference."""
    heads = ["", *(f"{group.letter}{_count(group)}" for group in found.groups)]
    two = len(found.groups) == 2
    rows = []
    for name, spreads in found.figures.items():
        cells = [ABSENT if spread is None else _spread(name, spread) for spread in spreads]
        rows.append((name, *cells, *([_change(name, spreads[0], spreads[1])] if two else [])))
    _print(file, (*heads, *(["B − A"] if two else [])), rows)
    print(file=file)


def _count(group: Group) -> str:
    return f" ({len(group.trials)} runs)" if len(group.trials) > 1 else ""


def _spread(name: str, spread: Spread) -> str:
    if len(spread.values) == 1 or (name in MEASURED and not spread.deviation):
        return _figure(name, spread.mean)
    return f"{_figure(name, spread.mean)} ± {figure(spread.deviation)}"


def _figure(name: str, value: float) -> str:
    return f"{value:,.0f}" if name in MEASURED and float(value).is_integer() else figure(value)


def _change(name: str, first: Spread | None, second: Spread | None) -> str:
    if first is None or second is None or isnan(second.mean - first.mean):
        return ""
    change = second.mean - first.mean
    return f"{'−' if change < 0 else '+' if change > 0 else '±'}{_figure(name, abs(change)) if change else 0}"


def _print(file: TextIO, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; where it is wider than the console, each row has its values in lines of their own."""
    console = console_on(file)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number and heads[0] != "spec" else "left")
    for row in rows:
        table.add_row(*row)
    if fits(console, table):
        console.print(table)
        return
    console.print(heads[0] or "figures", style="bold")
    for name, *values in rows:
        console.print(name, soft_wrap=True)
        for head, value in zip(heads[1:], values, strict=True):
            if value:
                console.print(f"  {head}  {value}", soft_wrap=True)


def _findings(found: Comparison) -> Iterator[str]:
    for group in found.groups:
        if not group.trials[0].spec:
            yield f"spec: that of {group.letter} can't be read"
    letters = {trial.path: group.letter for group in found.groups for trial in group.trials}
    for paths in found.equal_weights:
        named = [letters[path] for path in paths]
        who = joined(named if len(set(named)) == len(named) else paths)
        yield f"weights: those of {who} are equal, bit for bit"
    if found.same_data is False:
        yield "data: the runs were trained on different data, so their figures can't be compared without care"


def _tests(found: Comparison) -> Iterator[str]:
    letters = {trial.path: group.letter for group in found.groups for trial in group.trials}
    sizes = {group.letter: len(group.trials) for group in found.groups}
    for pair in found.pairs:
        one, two = letters[pair.first], letters[pair.second]
        which = f" ({pair.first}, {pair.second})" if max(sizes[one], sizes[two]) > 1 else ""
        counts, (first, second) = pair.counts, pair.counts.shares
        p = counts.mid_p
        verdict = "may well be chance" if p >= LIKELY else "is unlikely to be chance"
        yield (
            f"{one} and {two} on the same {counts.samples:,} {pair.split} images{which}: right {first:.2%} and "
            f"{second:.2%}; only {one} {counts.first:,}, only {two} {counts.second:,}"
        )
        yield f"  McNemar's test: p = {p:.2g}: the difference {verdict}"
    yield from (f"not tested: {text}" for text in found.unpaired)
