"""Several trainings of one spec: with other seeds, on other folds; what they have in common and how far they differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

import click

from cnncli.cli.options import Integer
from cnncli.report.terminal.figures import figure
from cnncli.report.terminal.output import echo, emit

if TYPE_CHECKING:
    from cnncli.training.loop.session import Result

folds_option = click.option("--folds", type=Integer(2), help="K-fold cross-validation with N folds.")
seeds_option = click.option("--seeds", type=Integer(2), help="Repeat with N consecutive seeds.")


@dataclass(frozen=True)
class Trial:
    """One of the trainings: what it is called, and what it changes in the spec."""

    name: str
    changes: tuple[str, ...]


def trials(seed: int, seeds: int | None, folds: int | None) -> list[Trial]:
    """Every seed with every fold."""
    parts = [("", ())] if folds is None else [_fold(number, folds) for number in range(1, folds + 1)]
    return [
        Trial(" ".join(filter(None, [f"seed {number}" if seeds else "", name])), (f"seed={number}", *changes))
        for number in range(seed, seed + (seeds or 1))
        for name, changes in parts
    ]


def _fold(number: int, folds: int) -> tuple[str, tuple[str, ...]]:
    return f"fold {number}", ("data.validation_split=0", f"data.folds={folds}", f"data.fold={number}")


def run_all(
    found: Sequence[Trial], output: Path | None, mode: str, train: Callable[[Trial, Path | None], "Result | None"]
) -> dict[str, float]:
    """Train one after the other, into folders of `output` if given; the mean of each figure, which is also shown."""
    results = []
    for number, trial in enumerate(found, 1):
        if mode != "json":
            echo(f"training {number} of {len(found)}: {trial.name}")
        results.append(train(trial, output and output / trial.name.replace(" ", "-")))
    done = [result for result in results if result is not None]
    values = _values(done)
    if mode == "json" and done:
        spread = {name: {"mean": mean(v), "deviation": stdev(v), "values": v} for name, v in values.items()}
        emit({"event": "trials", "runs": [result.run for result in done], "figures": spread})
    elif done:
        echo(f"mean of {len(done)} trainings ± standard deviation")
        for name, v in values.items():
            echo(f"  {name}  {figure(mean(v))} ± {figure(stdev(v))}")
    return {name: mean(v) for name, v in values.items()}


def _values(results: Sequence["Result"]) -> dict[str, list[float]]:
    """Each figure that all trainings have, of one after the other."""
    found = [all_figures(result) for result in results]
    return (
        {name: [figures[name] for figures in found] for name in found[0] if all(name in f for f in found)}
        if found
        else {}
    )


def all_figures(result: "Result") -> Mapping[str, float]:
    """Those of the epoch whose weights the run hands out, and of the test with `test_` before their names."""
    return {**result.figures, **{f"test_{name}": value for name, value in (result.test or {}).items()}}
