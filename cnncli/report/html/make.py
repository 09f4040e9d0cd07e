"""The page of one or several runs."""

from collections import Counter
from collections.abc import Sequence

from cnncli.report.html.compare import comparison
from cnncli.report.html.of_run import run_part
from cnncli.report.html.page import Page
from cnncli.report.html.thumbnails import Room
from cnncli.report.html.trained import Trained

ROOM = 1_100_000
"""Bytes for the images of all runs, of the 2 MB that a page may have."""


def page(runs: Sequence[Trained], made: str) -> Page:
    """The record of the page. `made`: when and by what."""
    parts = [run_part(run, number, Room(ROOM // len(runs))) for number, run in enumerate(runs, 1)]
    names = _names(runs)
    title = " and ".join(names) if len(names) < 4 else f"{len(names)} runs"
    return Page(title, made, parts, comparison(runs, names) if len(runs) > 1 else None)


def _names(runs: Sequence[Trained]) -> list[str]:
    """The names of the runs, with their directories where several have one name."""
    counts = Counter(run.facts["name"] for run in runs)
    return [
        run.facts["name"]
        if counts[run.facts["name"]] == 1
        else f"{run.facts['name']} {run.facts['run'].split('/')[-1]}"
        for run in runs
    ]
