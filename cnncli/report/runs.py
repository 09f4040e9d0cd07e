"""Runs as people look back at them: how far each came and how good it became."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from rich.table import Table

from cnncli.errors import CnncliError
from cnncli.report.console import console_on
from cnncli.report.progress import figure
from cnncli.training import runs
from cnncli.training.model_file import about

NARROW = 110
"""Columns, below which a run takes several lines."""


def facts(run: Path) -> dict[str, Any]:
    """All about a run, for programs.

    "state" is "finished", "running", or "unfinished": interrupted, diverged or killed. "epoch" is the one whose weights
    it hands out, "figures" are that epoch's; "test" are known where it is finished and has test images.
    """
    ended, epochs = runs.result(run), runs.history(run)
    planned, best = _planned_and_best(run)
    epoch = ended["epoch"] if ended else best
    found = next((dict(done) for done in epochs if done.get("epoch") == epoch), {})
    found.pop("epoch", None)
    return {
        "run": str(run),
        "name": run.parent.name,
        "began": runs.began(run).isoformat(timespec="seconds"),
        "state": "finished" if ended else "running" if runs.is_held(run) else "unfinished",
        "epochs": len(epochs),
        "planned_epochs": planned,
        "epoch": epoch,
        "figures": found,
        "test": ended.get("test") if ended else None,
        "bytes": sum(file.stat().st_size for file in run.iterdir() if file.is_file()),
    }


def print_runs(found: Sequence[Mapping[str, Any]], file: TextIO) -> None:
    """A row a run; where the file is narrow, with a line a figure."""
    console = console_on(file)
    narrow = console.width < NARROW
    table = Table(box=None, padding=(0, 1 if narrow else 2, 0, 0), pad_edge=False)
    table.add_column("run", overflow="fold")
    for name in ("epochs", "validation", "test"):
        table.add_column(name, no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for run in found:
        parts = (
            [f"{run['epochs']}/{run['planned_epochs'] or '?'}", *([run["state"]] * (run["state"] != "finished"))],
            [f"{name[4:]} {figure(value)}" for name, value in run["figures"].items() if name.startswith("val_")],
            [f"{name} {figure(value)}" for name, value in (run["test"] or {}).items()],
        )
        size = f"{run['bytes'] / 1e6:,.1f} MB"
        table.add_row(run["run"], *(("\n" if narrow else "  ").join(part) for part in parts), size)
    console.print(table)


def _planned_and_best(run: Path) -> tuple[int | None, int | None]:
    """How many epochs its spec asks for, and the one that was the best so far; None where no model says it."""
    planned = best = None
    with suppress(CnncliError, KeyError, TypeError, ValueError):
        for file in runs.model_files(run):
            carried = about(file)
            planned = int(carried.spec["fit"]["epochs"])
            best = carried.epoch if best is None else best
    return planned, best
