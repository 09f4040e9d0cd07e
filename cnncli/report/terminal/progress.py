"""A training as people (or programs) follow it: lines on standard output, a bar on standard error."""

from math import isfinite
from typing import TYPE_CHECKING

import click

from cnncli.report.terminal.figures import animated, coloured, columns, epoch_label, fitted, named
from cnncli.report.terminal.output import echo, echo_raw, emit
from cnncli.report.terminal.region import Region

if TYPE_CHECKING:
    from cnncli.report.terminal.bar import Bar
    from cnncli.training.events import EpochDone, Event


class Follower:
    """Shows the events of a training of `epochs` epochs. `mode`: "text", "json" (lines of JSON) or "quiet"."""

    def __init__(self, epochs: int, mode: str) -> None:
        from cnncli.training import events

        self.events = events  # an import after every batch would take longer than all else here
        self.epochs, self.mode = epochs, mode
        self.bar: Bar | None = None
        if mode == "text" and animated():
            from cnncli.report.terminal import bar

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
