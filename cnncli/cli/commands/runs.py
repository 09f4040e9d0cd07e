"""`cnncli runs`: past runs."""

import sys

import click

from cnncli.cli.options import example
from cnncli.errors import UsageError
from cnncli.hints import suggestion
from cnncli.report.terminal.output import echo, echo_json
from cnncli.system.folders import RUNS
from cnncli.training.runs.past_runs import all_runs, name_of


def _names(typed: str) -> list[str]:
    return sorted(name for name in {name_of(run) for run in all_runs()} if name.startswith(typed))


@click.command("runs", epilog=example("cnncli runs mnist"))
@click.argument("name", required=False, shell_complete=lambda ctx, param, typed: _names(typed))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def command(*, name: str | None, as_json: bool) -> None:
    """List past runs in this directory, or those of NAME, newest first.

    Shows the completed epochs, the validation metrics of the best one, the test metrics, and the state of a run that is
    not finished: running, diverged, interrupted, failed or killed.
    """
    from cnncli.report.tables.runs import facts, print_runs

    found = [facts(run) for run in all_runs(name)]
    if as_json:
        echo_json(found)
    elif found:
        print_runs(found, sys.stdout)
    elif name:
        near = suggestion(name, _names(""))
        raise UsageError(f"there is no run of '{name}' under {RUNS}/ yet{near or '; `cnncli train SPEC` makes one'}")
    else:
        echo(f"no runs yet under {RUNS}/; create one with `cnncli train SPEC`", err=True)
