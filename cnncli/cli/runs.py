"""`cnncli runs`: the trainings there have been."""

import sys

import click

from cnncli.cli.options import example
from cnncli.errors import UsageError
from cnncli.folders import RUNS
from cnncli.hints import suggestion
from cnncli.report.output import echo, echo_json
from cnncli.training.runs import all_runs


def _names(typed: str) -> list[str]:
    return sorted(name for name in {run.parent.name for run in all_runs()} if name.startswith(typed))


@click.command("runs", epilog=example("cnncli runs mnist"))
@click.argument("name", required=False, shell_complete=lambda ctx, param, typed: _names(typed))
@click.option("--json", "as_json", is_flag=True, help="A list of objects on standard output.")
def command(*, name: str | None, as_json: bool) -> None:
    """List the runs under runs/, or those of NAME, the newest last.

    Tells how many epochs are done, the figures of the best one, those of the test, and what was not finished.
    """
    from cnncli.report.runs import facts, print_runs

    found = [facts(run) for run in all_runs(name)]
    if as_json:
        echo_json(found)
    elif found:
        print_runs(found, sys.stdout)
    elif name:
        near = suggestion(name, _names(""))
        raise UsageError(f"there is no run of '{name}' under {RUNS}/ yet{near or '; `cnncli train SPEC` makes one'}")
    else:
        echo(f"no run is under {RUNS}/ yet; `cnncli train SPEC` makes one", err=True)
