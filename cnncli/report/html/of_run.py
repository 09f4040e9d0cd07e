"""From what is known of a run to its part of the page."""

from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from shlex import quote
from statistics import median
from typing import Any

from cnncli.report.html.charts import with_cursor
from cnncli.report.html.data import data_part
from cnncli.report.html.highlight import yaml
from cnncli.report.html.model import model_part
from cnncli.report.html.page import Cell, Column, Fact, Notice, RunPart, Table, Verdict
from cnncli.report.html.results import results
from cnncli.report.html.thumbnails import Room
from cnncli.report.html.trained import Trained
from cnncli.report.pictures.figures import LineChart
from cnncli.report.plots.curves import History, curves, rates
from cnncli.report.terminal.figures import figure
from cnncli.spec.expected import expected_figures
from cnncli.training.runs.past_runs import SPEC

MOST_EPOCHS = 200
"""Rows of the table of epochs; of more, some are shown."""
UNFINISHED = {
    "running": "This run is still training; the report shows its state when it was made",
    "diverged": "This run diverged",
    "interrupted": "This run was interrupted before its last epoch",
    "failed": "This run failed before its last epoch",
    "killed": "This run ended without a result, as a process does that is killed",
}


def run_part(run: Trained, name: str, id: str, room: Room) -> RunPart:
    """The part of the page about a run. `name`: what it is called there; `id`: what the ids in it begin with."""
    return RunPart(
        id=id,
        name=name,
        path=run.facts["run"],
        state=run.facts["state"],
        notices=list(_notices(run)),
        facts=list(_facts(run)),
        verdicts=_verdicts(run),
        unjudged=run.unjudged,
        curves=[with_cursor(chart) for chart in _curves(run)],
        epochs=_epochs(run),
        data=data_part(run, room),
        evaluation=results(run.evaluation, run.examples, room, f"{id}-") if run.evaluation else None,
        model=model_part(run.spec, room.rows) if run.spec else None,
        timings=list(_timings(run)),
        environment=[
            Fact(name.replace("_", " "), str(value), code=True) for name, value in run.environment.items() if value
        ],
        commands=_commands(run),
        digests=list(_digests(run)),
        spec=yaml(run.text),
    )


def _curves(run: Trained) -> list[LineChart]:
    """Loss and metrics, and the learning rate if it changes."""
    if not run.history:
        return []
    changes = len({line.get("learning_rate") for line in run.history}) > 1
    return [*curves([history(run)]), *([rates([history(run)])] if changes else [])]


def history(run: Trained) -> History:
    """The figures of its epochs, with the best."""
    return History(run.facts["name"], run.history, run.facts["epoch"])


def figure_name(name: str) -> str:
    """`val_loss` as "validation loss"."""
    return name.replace("val_", "validation ").replace("_", " ")


def measured(run: Trained) -> dict[str, float]:
    """The figures of the best epoch and of the test, by the names that `expect` uses."""
    test = {f"test_{name}": value for name, value in (run.facts["test"] or {}).items()}
    return {**run.facts["figures"], **test}


def _notices(run: Trained) -> Iterator[Notice]:
    state = run.facts["state"]
    if state != "finished":
        reason = f": {run.facts['reason']}" if run.facts["reason"] else ""
        yield Notice("note" if state == "running" else "bad", UNFINISHED.get(state, f"This run is {state}") + reason)
    if not run.history:
        yield Notice("note", "No epoch was completed, so there are no curves")
    yield from (Notice("note", text) for text in run.missing)


def _facts(run: Trained) -> Iterator[Fact]:
    """The figures at the head of the page."""
    figures = measured(run)
    held_out = {name: value for name, value in figures.items() if name.startswith(("test_", "val_"))}
    for name, value in sorted((held_out or figures).items(), key=lambda item: item[0].endswith("loss")):
        yield Fact(figure_name(name), figure(value))
    done, planned = run.facts["epochs"], run.facts["planned_epochs"]
    yield Fact("epochs", f"{done:,} of {planned:,}" if planned else f"{done:,}")
    if run.spec is not None and run.spec.unfreezing is not None:
        yield Fact("unfrozen at epoch", f"{run.spec.unfreezing.epoch:,}")
    epoch = run.facts["epoch"]
    if epoch is not None:
        yield Fact("weights of epoch", f"{epoch:,}" if epoch else "0, as initialized")


def _verdicts(run: Trained) -> list[Verdict]:
    if run.spec is None:
        return []
    figures = {**expected_figures(run.spec, run.history, run.sizes.get("train")), **measured(run)}
    return [
        Verdict(
            str(one),
            figure(figures[one.reads]) if one.reads in figures else "–",
            None if run.unjudged or one.reads not in figures else one.holds(figures[one.reads]),
        )
        for one in run.spec.expect
    ]


def _epochs(run: Trained) -> Table | None:
    """The figures of every epoch, or of some if they are many."""
    lines = run.history
    if not lines:
        return None
    names = list(dict.fromkeys(name for line in lines for name in line if name != "epoch"))
    every = -(-len(lines) // MOST_EPOCHS)
    best = run.facts["epoch"]
    kept = (lines[0], lines[-1])
    shown = [line for at, line in enumerate(lines, 1) if at % every == 0 or line in kept or line.get("epoch") == best]
    rows = [[_epoch_cell(line, best), *(_cell(line.get(name)) for name in names)] for line in shown]
    which = "All epochs" if every == 1 else f"Epochs: {len(rows):,} of {len(lines):,}"
    columns = [Column("epoch"), *(Column(figure_name(name)) for name in names)]
    return Table(f"{which}; * has the final weights", columns, rows, sortable=True)


def _epoch_cell(line: Mapping[str, Any], best: int | None) -> Cell:
    epoch = line.get("epoch", 0)
    return Cell(f"{epoch} *" if epoch == best else f"{epoch}")


def _cell(value: object) -> Cell:
    if not isinstance(value, int | float):
        return Cell("–")
    return Cell(figure(value) if isfinite(value) else str(value))


def _timings(run: Trained) -> Iterator[Fact]:
    yield Fact("started", run.facts["began"].replace("T", " "))
    seconds = [line["seconds"] for line in run.history if isinstance(line.get("seconds"), int | float)]
    if not seconds:
        return
    middle = median(seconds)
    yield Fact("seconds an epoch (median)", figure(middle))
    yield Fact("fastest and slowest epoch", f"{figure(min(seconds))} and {figure(max(seconds))} s")
    yield Fact("all epochs", _duration(sum(seconds)))
    images = (run.dataset.sizes if run.dataset else run.sizes).get("train")
    if images and middle > 0:
        yield Fact("images/s (training images by seconds an epoch)", f"{images / middle:,.0f}")
    if threads := run.environment.get("threads"):
        yield Fact("threads", str(threads))
    if cpu := run.environment.get("cpu"):
        yield Fact("processor", str(cpu))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _commands(run: Trained) -> list[str]:
    """How it was started, and how to train and evaluate the same again."""
    path = quote(run.facts["run"])
    asked = run.environment.get("command")
    first = [f"# as it was started\n{asked}"] if asked else []
    again = quote(str(Path(run.facts["run"]) / SPEC))
    return [
        *first,
        f"# the same again, from the complete spec; the last line has the digest of the weights\n"
        f"cnncli train {again} --json",
        f"# the figures of the final weights\ncnncli evaluate {path}",
    ]


def _digests(run: Trained) -> Iterator[Fact]:
    if run.digest:
        yield Fact("weights", run.digest, code=True)
    if run.environment.get("data_digest"):
        yield Fact("data", str(run.environment["data_digest"]), code=True)
    if run.environment.get("commit"):
        yield Fact("commit", str(run.environment["commit"]), code=True)
