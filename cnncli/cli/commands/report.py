"""`cnncli report`: one HTML page about runs."""

from pathlib import Path

import click

from cnncli.api.report import write_report
from cnncli.cli.downloads import offline_option
from cnncli.cli.options import example, output_option, threads_option
from cnncli.cli.target import given_or_newest
from cnncli.report.terminal.output import echo_lines
from cnncli.report.terminal.progress import Status


@click.command("report", epilog=example("cnncli report runs/mnist/latest -o mnist.html"))
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=click.Path(path_type=Path))
@output_option(
    "HTML file to write. Default: report.html in the run; of several runs, here.",
    type=click.Path(path_type=Path, dir_okay=False),
)
@threads_option
@offline_option
def command(*, runs: tuple[Path, ...], output: Path | None, threads: int | None, offline: bool) -> None:
    """Write a report of RUN as one HTML page; of several runs, side by side.

    The page needs no other files and makes no requests: curves, evaluation, mistakes, data, model, environment and
    spec. RUN is a run or a spec (its newest run). Default: the newest run.
    """
    with Status() as status:
        path = write_report(runs or [given_or_newest(None)], output, threads=threads, offline=offline, on_event=status)
    echo_lines([f"report  {path}  ({path.stat().st_size / 1e6:.2f} MB)"])
