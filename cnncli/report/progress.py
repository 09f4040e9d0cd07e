"""A training as people (or programs) follow it: lines on standard output, a bar on standard error."""

import json
import os
import sys
from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cnncli.training.loop import BatchDone, EpochDone, Event


def figures_line(figures: Mapping[str, float]) -> str:
    """`loss 0.5934  accuracy 0.83`: four significant digits."""
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


def animated() -> bool:
    """True where bars and notices may be shown: standard error is a terminal, and NO_COLOR is not set."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Follower:
    """Shows the events of a training of `epochs` epochs. `mode`: "text", "json" (lines of JSON) or "quiet"."""

    def __init__(self, epochs: int, mode: str) -> None:
        self.epochs, self.mode = epochs, mode
        self.bar: Bar | None = Bar() if mode == "text" and animated() else None

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.close()

    def notice(self, text: str) -> None:
        """Say on a terminal, and only there, what takes time."""
        if self.bar:
            click.echo(text, err=True)

    def __call__(self, event: "Event") -> None:
        """Show an event; to be handed to the loop."""
        from cnncli.training.loop import BatchDone, EpochDone

        if isinstance(event, BatchDone):
            if self.bar:
                self.bar.advance(event, self.epochs)
            return
        if self.bar:
            self.bar.close()
        if isinstance(event, EpochDone):
            self._epoch(event)
        elif self.mode != "quiet":
            click.echo(f"{event.callback} ended the training after epoch {event.epoch}", err=True)

    def _epoch(self, event: "EpochDone") -> None:
        rate = event.images_per_second
        if self.mode == "json":
            timing = {"seconds": round(event.seconds, 3), "images_per_second": round(rate, 1)}
            emit({"event": "epoch", **event.figures, **timing})
        elif self.mode == "text":
            figures = {name: value for name, value in event.figures.items() if name != "epoch"}
            epoch = f"epoch {event.figures['epoch']}/{self.epochs}"
            click.echo(f"{epoch}  {figures_line(figures)}  {rate:,.0f} images/s")


def emit(event: Mapping[str, Any]) -> None:
    """Print one line of JSON; a figure that is not finite, for which JSON has no word, is null."""
    words = {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in event.items()}
    click.echo(json.dumps(words, ensure_ascii=False))


class Bar:
    """The progress of one epoch, gone when the epoch is done."""

    def __init__(self) -> None:
        self.shown: Progress | None = None
        self.task: TaskID | None = None

    def advance(self, event: "BatchDone", epochs: int) -> None:
        """Show a batch; begins a bar where none is shown."""
        if self.shown is None or self.task is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"))
            console = Console(stderr=True)
            self.shown = Progress(
                *columns, TimeRemainingColumn(), console=console, transient=True, redirect_stdout=False
            )
            description = f"epoch {event.epoch}/{epochs}"
            self.task = self.shown.add_task(description, total=event.batches, completed=event.batch, loss="")
            self.shown.start()
        self.shown.update(self.task, completed=event.batch, loss=f"loss {event.loss:.4g}")

    def close(self) -> None:
        """Take the bar away."""
        if self.shown is not None:
            self.shown.stop()
            self.shown = None
