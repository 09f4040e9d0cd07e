"""The page of one or several runs."""

from collections.abc import Sequence
from pathlib import Path

from cnncli.report.html.compare import comparison
from cnncli.report.html.of_run import run_part
from cnncli.report.html.page import Page
from cnncli.report.html.render import render
from cnncli.report.html.thumbnails import Room
from cnncli.report.html.trained import Trained

LARGEST = 2_000_000
"""Bytes of a page."""
ROOM = 1_000_000
"""Bytes for the images of all runs, unless the rest needs more than the other half."""
ROWS = 1_000
"""Rows of the tables of all runs, each."""


def html(runs: Sequence[Trained], made: str) -> str:
    """The page, with fewer images if it would be too large. `made`: when and by what."""
    text = render(page(runs, made))
    over = len(text.encode()) - LARGEST
    return text if over <= 0 else render(page(runs, made, max(0, ROOM - over)))


def page(runs: Sequence[Trained], made: str, images: int = ROOM) -> Page:
    """The record of the page. `made`: when and by what; `images`: bytes for images."""
    names = _names(runs)
    parts = [
        run_part(run, name, f"run{number}", Room(images // len(runs), ROWS // len(runs)))
        for number, (run, name) in enumerate(zip(runs, names, strict=True), 1)
    ]
    if len(runs) == 1:
        return Page(names[0], made, parts)
    return Page(f"{len(runs)} runs of {', '.join(_own_names(runs))}", made, parts, comparison(runs, names))


def _names(runs: Sequence[Trained]) -> list[str]:
    """What tells the runs apart: their names, or their directories, or else both."""
    names, folders = [run.facts["name"] for run in runs], [Path(run.facts["run"]).name for run in runs]
    if len(set(names)) == len(names):
        return names
    return folders if len(_own_names(runs)) == 1 else [" ".join(both) for both in zip(names, folders, strict=True)]


def _own_names(runs: Sequence[Trained]) -> list[str]:
    return list(dict.fromkeys(run.facts["name"] for run in runs))
