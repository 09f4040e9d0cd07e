"""A training as people (or programs) follow it: lines on standard output, a bar on standard error."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import TYPE_CHECKING

import click

from cnncli.report.output import echo, echo_raw, emit
from cnncli.report.region import Region

if TYPE_CHECKING:
    from cnncli.report.bar import Bar
    from cnncli.training.events import EpochDone, Event


def figures_line(figures: Mapping[str, float]) -> str:
    """`loss 0.5934  accuracy 0.8300`."""
    return "  ".join(named(figures))


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


def named(figures: Mapping[str, float]) -> list[str]:
    """Each figure behind its name, as long as in the lines above and below."""
    return [f"{name} {figure(value):6}" for name, value in figures.items()]


def epoch_label(epoch: int, epochs: int) -> str:
    """`epoch 9/15 `: as long as the last one."""
    return f"epoch {epoch}/{epochs}".ljust(len(f"epoch {epochs}/{epochs}"))


def columns() -> float:
    """How long a line on standard output may be: the terminal's width; without one, any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else inf


def animated() -> bool:
    """True where bars and notices may be shown: standard error is a terminal, and NO_COLOR is not set."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured() -> bool:
    """True where standard output may have colours: it is a terminal, and NO_COLOR is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Follower:
    """Shows the events of a training of `epochs` epochs. `mode`: "text", "json" (lines of JSON) or "quiet"."""

    def __init__(self, epochs: int, mode: str) -> None:
        from cnncli.training import events

        self.events = events  # an import after every batch would take longer than all else here
        self.epochs, self.mode = epochs, mode
        self.bar: Bar | None = None
        if mode == "text" and animated():
            from cnncli.report import bar

            self.bar = bar.Bar(epochs, Region())
        self.begun = False

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.region.close()

    def notice(self, text: str) -> None:
        """Say on a terminal, and only there, what takes time, until the first event."""
        if self.bar and not self.begun:
            say(self.bar.region, text)

    def __call__(self, event: "Event") -> None:
        """Show an event; to be handed to the loop."""
        if isinstance(event, self.events.Remark):
            self.__exit__()
            echo(f"notice: {event.text}", err=True)
            return
        self.begun = True
        if isinstance(event, self.events.BatchDone):
            if self.bar:
                self.bar.batch(event)
        elif isinstance(event, self.events.EpochDone):
            if self.bar:
                self.bar.epoch(event)
            self._epoch(event)
        elif self.mode != "quiet":
            echo(f"{event.callback} ended the training after epoch {event.epoch}", err=True)

    def _epoch(self, event: "EpochDone") -> None:
        rate = event.images_per_second
        if self.mode == "json":
            timing = {"seconds": round(event.seconds, 3), "images_per_second": round(rate, 1)}
            emit({"event": "epoch", **event.figures, **timing})
        elif self.mode == "text":
            first, *others = named({name: value for name, value in event.figures.items() if name != "epoch"})
            label = self._label(event)
            parts = [f"{label} {first}", *others, f"{rate:,.0f} images/s"]
            if len("  ".join(parts)) > columns():
                parts.pop()  # the one that a person misses least: a line an epoch is what can be read at a glance
            line = fitted(parts, "  ")
            if event.best and coloured():
                line = click.style(label, fg="green", bold=True) + line.removeprefix(label)
            echo_raw(line)  # only names of metrics are in it

    def _label(self, event: "EpochDone") -> str:
        """`epoch 9/15*  `: on a terminal the star says that none was better so far; columns stay where they are."""
        label = epoch_label(int(event.figures["epoch"]), self.epochs)
        star = "*" if event.best and isfinite(columns()) else ""
        return f"{label.rstrip()}{star}".ljust(len(label) + 1)


class Notice:
    """Says on a terminal, and only there, what takes time; use it as a context manager."""

    def __init__(self) -> None:
        self.region = Region() if animated() else None

    def __enter__(self) -> "Notice":
        return self

    def __exit__(self, *error: object) -> None:
        if self.region:
            self.region.close()

    def say(self, text: str) -> None:
        """Show a text in the place of the one before."""
        if self.region:
            say(self.region, text)


def say(region: Region, text: str) -> None:
    """Show one line, as much of it as there is room for."""
    region.show([text[: region.width]])
