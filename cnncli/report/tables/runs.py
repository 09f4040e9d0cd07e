"""Tables of past runs: progress and metrics."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from rich.table import Table

from cnncli.errors import CnncliError
from cnncli.report.terminal.console import console_on, fits
from cnncli.report.terminal.figures import figure
from cnncli.training.runs import past_runs
from cnncli.training.runs.model_file import about
from cnncli.training.runs.past_runs import MEASURED


def facts(run: Path) -> dict[str, Any]:
    """Details of a run, for JSON.

    "state" is "finished", "running", "diverged", "interrupted", "failed", or "killed": it ended without a word, and
    "reason" why a run ended early. "epochs": the number of the last one. "epoch" is the one that "figures" are of:
    whose weights it hands out, or, where a killed run has not kept that one's, the best of those it has kept. "test":
    known where it is finished and has test images.
    """
    ended, epochs, (planned, best) = past_runs.result(run), _history(run), _planned_and_best(run)
    epoch = ended.get("epoch", best)
    if epoch not in [0, *(done.get("epoch") for done in epochs)]:
        epoch = _best(epochs)
    found = next((done for done in epochs if done.get("epoch") == epoch), {})
    return {
        "run": str(run),
        "name": past_runs.name_of(run),
        "began": past_runs.began(run).isoformat(timespec="seconds"),
        "state": "running" if past_runs.is_held(run) else ended.get("state", "killed"),
        "reason": ended.get("reason"),
        "epochs": epochs[-1].get("epoch", len(epochs)) if epochs else 0,  # others may be before its `initial_epoch`
        "planned_epochs": planned,
        "epoch": epoch,
        "figures": {name: value for name, value in found.items() if name not in ("epoch", *MEASURED)},
        "test": ended.get("test"),
        "bytes": sum(file.stat().st_size for file in run.iterdir() if file.is_file()),
    }


def print_runs(found: Sequence[Mapping[str, Any]], file: TextIO) -> None:
    """One row per run; a few lines per run if the output is narrow."""
    console = console_on(file)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("run", "epochs", "validation", "test"):
        table.add_column(name)
    table.add_column("size", justify="right")
    for run in found:
        table.add_row(*_cells(run))
    if fits(console, table):
        console.print(table)
        return
    for run in found:
        path, epochs, validation, test, size = _cells(run)
        console.print(path, soft_wrap=True, style="bold")
        console.print(f"  {epochs}  {size}")
        for name, figures in (("validation", validation), ("test", test)):
            if figures:
                console.print(f"  {name:10}  {figures}")


def _cells(run: Mapping[str, Any]) -> list[str]:
    """The path, how far it came, the figures of validation and test, the size."""
    figures = {name[4:]: value for name, value in run["figures"].items() if name.startswith("val_")}
    return [
        run["run"],
        f"{run['epochs']}/{run['planned_epochs'] or '?'}{'' if run['state'] == 'finished' else '  ' + run['state']}",
        *(
            "  ".join(f"{name} {figure(value)}" for name, value in part.items())
            for part in (figures, run["test"] or {})
        ),
        f"{run['bytes'] / 1e6:,.1f} MB",
    ]


def _history(run: Path) -> list[dict[str, Any]]:
    """The figures of each epoch, from its lines or its checkpoint: one killed in between has written one of them."""
    lines = past_runs.history(run)
    with suppress(CnncliError, KeyError, TypeError, ValueError, RecursionError):
        saved = about(run / past_runs.MODEL_FILES[1]).value("state", dict[str, Any])["history"]
        lines += [dict(epoch) for epoch in saved[len(lines) :]]
    return lines


def _best(epochs: Sequence[Mapping[str, Any]]) -> int | None:
    """The epoch with the lowest val_loss, or else the last."""
    with suppress(TypeError, KeyError):
        validated = [epoch for epoch in epochs if "val_loss" in epoch] or epochs
        return int(min(validated, key=lambda epoch: epoch["val_loss"])["epoch"]) if epochs else None
    return epochs[-1].get("epoch")


def _planned_and_best(run: Path) -> tuple[int | None, int | None]:
    """How many epochs its spec asks for, and the one that was the best so far; None where no model says it."""
    planned = best = None
    with suppress(CnncliError, KeyError, TypeError, ValueError):
        for file in past_runs.model_files(run):
            carried = about(file)
            planned = int(carried.spec["fit"]["epochs"])
            best = carried.epoch if best is None else best
    return planned, best
