"""`cnncli runs`: list, show, annotate and remove past runs."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnncli.cli.options import DefaultGroup, Integer, example
from cnncli.errors import UsageError
from cnncli.hints import suggestion
from cnncli.report.terminal.figures import coloured, drawable
from cnncli.report.terminal.output import echo, echo_json, echo_lines, echo_raw
from cnncli.system.folders import RUNS
from cnncli.training.runs.past_runs import all_runs, name_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from cnncli.training.runs.facts import Record

ROWS = 14
"""Lines of a chart of characters."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _names(typed: str) -> list[str]:
    return sorted(name for name in {name_of(run) for run in all_runs()} if name.startswith(typed))


def _paths(ctx: click.Context, param: click.Parameter, typed: str) -> "list[CompletionItem]":
    """The runs of this directory; any other path is completed by the shell."""
    from click.shell_completion import CompletionItem

    found = [path for path in map(str, all_runs()) if path.startswith(typed)]
    return [*map(CompletionItem, found)] if found else [CompletionItem(typed, type="dir")]


run_argument = click.argument("run", type=click.Path(path_type=Path), shell_complete=_paths)


@click.group("runs", cls=DefaultGroup, epilog=example("cnncli runs list mnist --where 'test_accuracy > 0.97'"))
def command() -> None:
    """List, show, annotate and remove past runs.

    `cnncli runs` and `cnncli runs NAME` list them: `cnncli runs list --help` shows the options.
    """


@command.command("list", epilog=example("cnncli runs list --where 'test_accuracy > 0.97' --sort -test_accuracy"))
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=lambda ctx, param, typed: _names(typed))
@click.option("--name", "pattern", metavar="GLOB", help="Only runs whose name matches, such as 'mnist*'.")
@click.option(
    *("--where", "conditions"),
    metavar="CONDITION",
    multiple=True,
    help="Only runs that meet a condition, such as 'val_loss < 0.1 and fit.batch_size == 32'. Repeatable.",
)
@click.option("--sort", metavar="KEY", help="Sort by a key; -KEY: the highest first. Default: the newest first.")
@click.option("--limit", type=Integer(1), help="Only the first N.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def list_all(
    *,
    names: tuple[str, ...],
    pattern: str | None,
    conditions: tuple[str, ...],
    sort: str | None,
    limit: int | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List past runs in this directory, or those of NAME, newest first.

    Shows the completed epochs, the validation metrics of the best one, the test metrics, and the state of a run that is
    not finished: running, diverged, interrupted, pruned, failed or killed.

    Conditions compare keys with ==, !=, <, <=, > and >=, joined by and, or, not and parentheses. A key is a metric
    (val_loss, test_accuracy), a fact that --json shows (state, epochs, seed, tags, began), or a key of the spec
    (fit.batch_size, compile.optimizer).
    """
    from cnncli.report.tables.runs import csv_text, print_runs
    from cnncli.report.terminal.progress import Status
    from cnncli.training.events import Progress
    from cnncli.training.runs.catalogue import records
    from cnncli.training.runs.query import matching, ordered

    if as_json and as_csv:
        raise UsageError("--json and --csv can't be used together")
    with Status() as status:
        runs = all_runs()
        everything = records(runs, lambda done: status(Progress(f"reading runs … {done:,} of {len(runs):,}")))
    named = [record for record in everything if not names or record.facts["name"] in names]
    named = [record for record in named if pattern is None or fnmatchcase(record.facts["name"], pattern)]
    chosen = matching(named, conditions)
    chosen = ordered(chosen, sort) if sort else chosen
    found = [record.facts for record in chosen[:limit]]
    if as_json:
        echo_json(found)
    elif as_csv:
        echo_raw(csv_text(found), nl=False)
    elif found:
        print_runs(found, sys.stdout)
    else:
        _tell_none(everything, names, pattern, conditions)


def _tell_none(
    everything: "Sequence[Record]", names: Sequence[str], pattern: str | None, conditions: Sequence[str]
) -> None:
    """Say why no run is listed. Raises UsageError for a name that there is not."""
    known = {record.facts["name"] for record in everything}
    for name in (name for name in names if name not in known):
        near = suggestion(name, [*known, *command.commands])
        raise UsageError(f"there is no run of '{name}' under {RUNS}/ yet{near or '; `cnncli train SPEC` makes one'}")
    if not everything:
        echo(f"no runs yet under {RUNS}/; create one with `cnncli train SPEC`", err=True)
        return
    asked = [] if pattern is None else [f"--name {pattern}"]
    echo(f"none of {len(everything):,} runs matches {', '.join([*asked, *conditions])}", err=True)


@command.command("show", epilog=example("cnncli runs show runs/mnist/latest"))
@run_argument
@json_option
def show(*, run: Path, as_json: bool) -> None:
    """Show all there is about RUN: a run, or a spec (its newest run)."""
    from cnncli.api.targets import find_run
    from cnncli.report.tables.run import details, print_run

    found = details(find_run(run, "runs show"))
    if as_json:
        echo_json(found)
    else:
        print_run(found, sys.stdout)
        _draw(found["history"])


def _draw(history: "Sequence[Mapping[str, Any]]") -> None:
    """Draw the curves with characters, on a terminal."""
    from cnncli.report.plots.live import LiveCurves

    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        lines = LiveCurves(history).lines(width, ROWS, colored=coloured())
        echo_raw("\n".join(["", *drawable(lines)]))


@command.command("note", epilog=example("cnncli runs note runs/mnist/latest 'wider layers, no dropout'"))
@run_argument
@click.argument("text", required=False)
def note(*, run: Path, text: str | None) -> None:
    """Write a note about RUN, or show it; an empty TEXT removes it."""
    from cnncli.api.targets import find_run
    from cnncli.training.runs import notes

    place = find_run(run, "runs note")
    if text is not None:
        notes.change(place, lambda before: before.noted(text))
    elif written := notes.read(place).note:
        echo(written)


@command.command("tag", epilog=example("cnncli runs tag runs/mnist/latest best --remove candidate"))
@run_argument
@click.argument("tags", metavar="[TAG]...", nargs=-1)
@click.option("--remove", metavar="TAG", multiple=True, help="Remove a tag. Repeatable.")
def tag(*, run: Path, tags: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Add tags to RUN, and print those that it has.

    `cnncli runs --where 'tags == best'` finds it.
    """
    from cnncli.api.targets import find_run
    from cnncli.training.runs import notes

    place = find_run(run, "runs tag")
    found = notes.change(place, lambda before: before.tagged(tags, remove)) if tags or remove else notes.read(place)
    if found.tags:
        echo_lines(["  ".join(found.tags)])


@command.command("rm", epilog=example("cnncli runs rm runs/mnist/20260101-120000 --yes"))
@click.argument(
    "runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=_paths
)
@click.option("--yes", is_flag=True, help="Don't ask.")
def remove(*, runs: tuple[Path, ...], yes: bool) -> None:
    """Remove runs with all their files, after a question.

    A run in which a process is training is never removed, and no link is followed.
    """
    from cnncli.training.runs import removal

    plans = list({plan.path.resolve(): plan for plan in map(removal.planned, runs)}.values())
    size = f"{sum(plan.size for plan in plans) / 1e6:,.1f} MB"
    if not yes:
        for plan in plans:
            more = f"  with {', '.join(plan.others)}" if plan.others else ""
            echo_lines([f"{plan.path}  {plan.size / 1e6:,.1f} MB{more}"], err=True)
        if not sys.stdin.isatty():
            raise UsageError(
                "runs rm asks before it removes, and there is nobody to answer: --yes removes without asking"
            )
        what = "this run" if len(plans) == 1 else f"these {len(plans)} runs"
        if not click.confirm(f"Remove {what} ({size})?", err=True):
            echo("nothing was removed", err=True)
            return
    for plan in plans:
        removal.remove(plan.path)
        echo_lines([f"removed  {plan.path}"])
    echo(f"{size} are free again", err=True)
