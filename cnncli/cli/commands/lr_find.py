"""`cnncli lr-find`: find a learning rate."""

from math import isnan
from pathlib import Path
from shlex import join
from typing import Any

import click

from cnncli.api.learning_rates import LearningRates, find_learning_rate
from cnncli.api.training import Surroundings
from cnncli.cli.characters import draw_in_characters
from cnncli.cli.options import Integer, example, json_option, output_option
from cnncli.cli.training_spec import TrainingSpec, training_spec
from cnncli.errors import UsageError
from cnncli.escaping import one_line
from cnncli.report.pictures.save import suffix_of
from cnncli.report.terminal.output import echo, echo_json, echo_lines, echo_raw
from cnncli.report.terminal.progress import Status

FEWEST = 20
"""Updates, of which fewer say nothing."""
LOWEST, HIGHEST = 1e-12, 1e6


class Rate(click.FloatRange):
    """A learning rate; help does not show the bounds."""

    name = "rate"

    def __init__(self) -> None:
        super().__init__(LOWEST, HIGHEST)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Fails for NaN, too."""
        number = super().convert(value, param, ctx)
        return self.fail(f"'{value}' is not a number", param, ctx) if isnan(number) else number

    def _describe_range(self) -> str:
        return ""


@click.command("lr-find", epilog=example("cnncli lr-find mnist.yaml -o rates.svg"))
@training_spec
@click.option("--from", "first", metavar="RATE", type=Rate(), default=1e-6, help="First learning rate. Default: 1e-6.")
@click.option("--to", "last", metavar="RATE", type=Rate(), default=10.0, help="Last learning rate. Default: 10.")
@click.option("--updates", type=Integer(FEWEST), default=150, show_default=True, help="Number of learning rates.")
@output_option("Also write the chart, as SVG or PNG.")
@json_option
def command(
    *,
    given: TrainingSpec,
    first: float,
    last: float,
    updates: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Find a learning rate for SPEC: train with one that grows with every update, and look at the loss.

    Suggested is a tenth of the rate at which the loss, smoothed, is least. No run is written.
    """
    if first >= last:
        raise UsageError(f"--from must be below --to; received {first:g} and {last:g}")
    if output is not None:
        suffix_of(output)
    loaded = given.load()
    with Status() as status:
        from cnncli.training.loop.range_test import Range

        around = Surroundings(given.threads, given.offline, status)
        found = find_learning_rate(loaded, around, Range(first, last, updates))
    if output is not None:
        _write(found, output)
    if as_json:
        echo_json(found.document())
        return
    draw_in_characters([found.chart()])
    changes = [*_options("--set", given.overrides), *_options("--data", [given.data])]
    _print(found, ["cnncli", "train", str(given.path), *changes])
    if output is not None:
        echo_lines([f"{output}"])


def _write(found: LearningRates, output: Path) -> None:
    from cnncli.api.plots import drawn

    drawn(found.spec.name, [found.chart()]).save(output)


def _options(name: str, values: "tuple[str, ...] | list[str | None]") -> list[str]:
    return [word for value in values if value is not None for word in (name, value)]


def _print(found: LearningRates, train: list[str]) -> None:
    """The suggestion, and how to use it."""
    test = found.test
    role = f", as the highest rate of {found.schedule}" if found.schedule else ""
    echo(f"suggested  {test.suggestion:g}, a tenth of the rate of the least loss{role}")
    echo_raw(one_line(f"next       {join([*train, '--set', found.setting])}"))  # unbroken, it can be copied
    if test.still_falling:
        echo("notice: the loss was still falling at the last rate: --to tests higher ones", err=True)
