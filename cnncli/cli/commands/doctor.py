"""`cnncli doctor`: show hardware, settings and caches, and report problems."""

import os
import sys

import click

from cnncli.cli.options import example, json_option
from cnncli.report.terminal.output import echo, echo_json
from cnncli.report.terminal.progress import Status
from cnncli.training.resources import threads as cpus

REMOVED = {"jit": "kernels compiled by other versions or for other processors", "images": "decoded images"}


@click.command("doctor", epilog=example("cnncli doctor"))
@click.option("--clean", is_flag=True, help="Remove old compiled kernels and decoded images.")
@json_option
def command(*, clean: bool, as_json: bool) -> int:
    """Show hardware, speed, settings and caches, and report problems with a remedy for each.

    The exit code is 1 if there are problems.
    """
    variables = dict(os.environ)
    used = cpus.settle(None)
    if clean:
        _clean(as_json=as_json)
        return 0
    with Status() as notice:
        notice.say("measuring the peak of multiply-adds …")
        from cnncli.report.tables.doctor import document, examine, print_report

        found = examine(variables, used)
    if as_json:
        echo_json(document(found))
    else:
        print_report(found, sys.stdout)
    return int(any(fact.advice for fact in found))


def _clean(*, as_json: bool) -> None:
    from cnncli.kernels.jit import cache
    from cnncli.report.tables.storage import clean

    gone = clean(cache.digest(), cache.rooms().values())
    if as_json:
        removed = {kind: {"folders": count, "bytes": size} for kind, (count, size) in gone.items()}
        echo_json({"removed": removed})
        return
    for kind, (count, size) in gone.items():
        echo(f"removed {size / 1e6:,.1f} MB in {count} folder{'s' * (count != 1)}: {REMOVED[kind]}")
