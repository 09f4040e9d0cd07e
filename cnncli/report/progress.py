"""A training as people (or programs) follow it: lines on standard output, a bar on standard error."""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.status import Status

    from cnncli.training.loop import BatchDone, EpochDone, Event


def figures_line(figures: Mapping[str, float]) -> str:
    """`loss 0.5934  accuracy 0.8300`."""
    return "  ".join(_named(figures))


def figure(value: float) -> str:
    """A figure in a column, as long as those above and below it: four decimals, or where these would hide too much or
    say too much, three or four significant digits.
    """
    size = abs(value)
    if 0 < size < 0.001:
        return f"{value:.2e}"
    return f"{value:.4f}" if size < 10 else f"{value:#.4g}".rstrip(".")


def fitted(parts: Sequence[str], separator: str) -> str:
    """The parts in one line; on a terminal that is too narrow, broken between two of them."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]}{separator}{part}"
        if len(longer.rstrip()) <= columns():
            lines[-1] = longer
        else:
            lines.append(f"  {part}")
    return "\n".join(line.rstrip() for line in lines)


def _named(figures: Mapping[str, float]) -> list[str]:
    return [f"{name} {figure(value):6}" for name, value in figures.items()]


def columns() -> float:
    """How long a line on standard output may be: the terminal's width; without one, any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else inf


def animated() -> bool:
    """True where bars and notices may be shown: standard error is a terminal, and NO_COLOR is not set."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Follower:
    """Shows the events of a training of `epochs` epochs. `mode`: "text", "json" (lines of JSON) or "quiet"."""

    def __init__(self, epochs: int, mode: str) -> None:
        from cnncli.training import loop

        self.loop = loop  # an import after every batch would take longer than all else here
        self.epochs, self.mode = epochs, mode
        self.bar: Bar | None = Bar() if mode == "text" and animated() else None

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.close()

    def notice(self, text: str) -> None:
        """Say on a terminal, and only there, what takes time, until the first event."""
        if self.bar and self.bar.shown is None:
            self.bar.notice(text)

    def __call__(self, event: "Event") -> None:
        """Show an event; to be handed to the loop."""
        if isinstance(event, self.loop.BatchDone):
            if self.bar:
                self.bar.advance(event, self.epochs)
            return
        if self.bar:
            self.bar.close()
        if isinstance(event, self.loop.EpochDone):
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
            epoch = f"epoch {event.figures['epoch']}/{self.epochs}".ljust(len(f"epoch {self.epochs}/{self.epochs}"))
            parts = [epoch, *_named(figures), f"{rate:,.0f} images/s"]
            if len("  ".join(parts)) > columns():
                parts.pop()  # the one that a person misses least: a line an epoch is what can be read at a glance
            click.echo(fitted(parts, "  "))


def emit(event: Mapping[str, Any]) -> None:
    """Print one line of JSON; a figure that is not finite, for which JSON has no word, is null."""
    words = {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in event.items()}
    click.echo(json.dumps(words, ensure_ascii=False))


class Notice:
    """Says on a terminal, and only there, what takes time; use it as a context manager."""

    def __init__(self) -> None:
        self.bar = Bar() if animated() else None

    def __enter__(self) -> "Notice":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.close()

    def say(self, text: str) -> None:
        """Show a text in the place of the one before."""
        if self.bar:
            self.bar.notice(text)


class Bar:
    """What takes time now: a notice, or the progress of an epoch. Gone when it is done."""

    def __init__(self) -> None:
        self.status: Status | None = None
        self.shown: Progress | None = None
        self.task: TaskID | None = None

    def notice(self, text: str) -> None:
        """Show a text, moving, until something else is to be shown."""
        if self.status is not None:
            self.status.update(text)
            return
        from rich.console import Console

        self.close()
        self.status = Console(stderr=True).status(text)
        self.status.start()

    def advance(self, event: "BatchDone", epochs: int) -> None:
        """Show a batch; begins a bar where none is shown."""
        if self.shown is None or self.task is None:
            self.close()
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
        """Take it away."""
        if self.status is not None:
            self.status.stop()
            self.status = None
        if self.shown is not None:
            self.shown.stop()
            self.shown = None
