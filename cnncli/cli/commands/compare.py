"""`cnncli compare`: runs side by side."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnncli.api.comparison import compared, with_pairs
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import data_option, example, output_option, threads_option
from cnncli.errors import CnncliError, UsageError
from cnncli.report.pictures.save import suffix_of
from cnncli.report.tables.comparison import document, print_comparison
from cnncli.report.terminal.figures import coloured, drawable
from cnncli.report.terminal.output import echo_json, echo_lines, echo_raw
from cnncli.report.terminal.progress import Status
from cnncli.training.comparison import Comparison, Tolerance

if TYPE_CHECKING:
    from cnncli.report.plots.curves import History

ROWS = 16
"""Lines of a chart of characters."""


@click.command("compare", epilog=example("cnncli compare runs/a/latest runs/b/latest --fail-if-worse 0.5%"))
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_option("Write the curves to this file, .svg or .png.")
@click.option("--paired", is_flag=True, help="Evaluate the models on the same images, and test the difference.")
@data_option("With --paired: images to evaluate on, as in `evaluate`.")
@click.option(
    "--fail-if-worse",
    "tolerance",
    metavar="AMOUNT",
    help="Exit with 1 if a run is worse than the first by more: 0.5% of its figure, 0.5pp (percentage points) or 0.5.",
)
@click.option("--metric", help="Metric of --fail-if-worse. Default: the first that all have, of the test if possible.")
@threads_option
@offline_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    *,
    runs: tuple[Path, ...],
    output: Path | None,
    paired: bool,
    data: str | None,
    tolerance: str | None,
    metric: str | None,
    threads: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Compare runs: specs, curves and figures.

    RUN is a run or a spec (its newest run). Runs whose specs differ only in seed and fold are trials of one spec: they
    are compared by the mean of their figures, with the standard deviation.

    --paired evaluates the models and compares them image by image, by McNemar's test: whether one is right more often
    than chance explains.
    """
    allowed = None if tolerance is None else Tolerance.parse(tolerance)
    if metric is not None and allowed is None:
        raise UsageError("--metric says what --fail-if-worse is about: give both")
    if data is not None and not paired:
        raise UsageError("--data says what --paired evaluates on: give both")
    if output is not None:
        suffix_of(output)
    found = compared(runs)
    worse = found.worse(metric, allowed) if allowed is not None else []
    if paired:
        with Status() as status:
            found = with_pairs(found, data, threads, status, offline=offline)
    if as_json:
        echo_json({**document(found), **({} if allowed is None else {"worse": worse})})
    else:
        print_comparison(found, sys.stdout)
        _draw(found)
    if output is not None:
        _save(found, output, quiet=as_json)
    if worse:
        raise CnncliError(*worse)


def _histories(found: Comparison, *, named: bool) -> "list[History]":
    """The curves of each group. `named`: with the end of its path, for a picture that is shown by itself."""
    from cnncli.report.plots.curves import History

    names = [f"{group.letter} {group.short}" if named else group.letter for group in found.groups]
    return [History(name, group.history, group.best) for name, group in zip(names, found.groups, strict=True)]


def _draw(found: Comparison) -> None:
    """Draw the curves of the validation, if there are, with characters, on a terminal."""
    from cnncli.report.plots.live import side_by_side

    if sys.stdout.isatty():
        histories = [history._replace(epochs=_validated(history.epochs)) for history in _histories(found, named=False)]
        lines = side_by_side(histories, shutil.get_terminal_size().columns - 1, ROWS, colored=coloured())
        echo_raw("\n".join(["", *drawable(lines)]))


def _validated(epochs: "Sequence[Mapping[str, Any]]") -> "Sequence[Mapping[str, Any]]":
    """The figures of the validation; those of the training without one. More lines could not be told apart."""
    found = [
        {name: value for name, value in epoch.items() if name == "epoch" or name.startswith("val_")} for epoch in epochs
    ]
    return found if any(len(epoch) > 1 for epoch in found) else epochs


def _save(found: Comparison, output: Path, *, quiet: bool) -> None:
    from cnncli.api.plots import drawn
    from cnncli.report.plots.curves import curves

    charts = curves(_histories(found, named=True))
    if not charts:
        raise CnncliError(f"{output}: no epoch has been completed yet: there is nothing to plot")
    drawn("compare", charts).save(output)
    echo_lines([f"curves  {output}"], err=quiet)
