"""The training progress bar: progress, metrics and remaining time."""

import shutil
from collections.abc import Mapping, Sequence
from math import log
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import click

from cnncli.report.terminal.figures import epoch_label, named
from cnncli.report.terminal.region import Region

if TYPE_CHECKING:
    from cnncli.training.events import BatchDone, EpochDone

PAUSE = 0.1
"""Minimum seconds between redraws, because drawing takes time from training."""
SHORTEST, LONGEST = 10, 30
"""Characters of the bar."""
BLOCKS = "▁▂▃▄▅▆▇█"
TINIEST = 1e-12
"""A loss of 0 has no logarithm."""


class Curves(Protocol):
    """Curves that grow with a training."""

    def add(self, figures: Mapping[str, float]) -> None:
        """An epoch is done."""

    def lines(self, width: int, height: int, *, colored: bool) -> Sequence[str]:
        """The curves in about `height` lines of at most `width` characters."""


class Bar:
    """Two lines about a training of `epochs` epochs, in a region of the terminal, below its `curves`, if wanted."""

    def __init__(self, epochs: int, region: Region, curves: Curves | None = None) -> None:
        self.epochs, self.region, self.curves = epochs, region, curves
        self.losses: list[float] = []
        self.watched = "loss"
        self.start: tuple[float, int, int] | None = None
        """When the clock of the epoch was started, and the batches and images that had been done by then."""
        self.last = self.drawn = self.rest = 0.0
        """When the last batch was done and when it was drawn; seconds of validating and saving after an epoch."""

    def batch(self, event: "BatchDone") -> None:
        """Record a batch, and redraw unless drawn recently."""
        self.last = perf_counter()
        if self.start is None:
            self.start = self.last, event.batch, event.sums.samples
        if self.last - self.drawn >= PAUSE or not self.region.height:
            self.drawn = self.last
            width = self.region.width
            self.region.show([*self._above(width), self._first(event, width), self._second(event, width)])

    def epoch(self, event: "EpochDone") -> None:
        """Record an epoch, whose line replaces the bar."""
        now = perf_counter()
        self.rest = now - self.last
        self.watched = "val_loss" if "val_loss" in event.figures else "loss"
        self.losses.append(event.figures[self.watched])
        self.start = now, 0, 0
        self.region.close()

    def _above(self, width: int) -> Sequence[str]:
        """The curves, in half of the terminal."""
        height = shutil.get_terminal_size().lines // 2
        return self.curves.lines(width, height, colored=True) if self.curves else []

    def _first(self, event: "BatchDone", width: int) -> str:
        """`epoch 3/15   ━━━━━━━━━─────────  57/113  loss 0.4170  accuracy 0.8694`; on a narrow terminal less of it."""
        label = epoch_label(event.epoch, self.epochs)
        count = f"{event.batch:{len(str(event.batches))}}/{event.batches}"
        figures = named(event.sums.figures())
        while len(rest := "  ".join([count, *figures])) + len(label) + 4 + SHORTEST > width and figures:
            figures.pop()
        length = max(0, min(width - len(rest) - len(label) - 4, LONGEST))
        done = length * event.batch // event.batches
        bar = click.style("━" * done, fg="green") + click.style("─" * (length - done), dim=True)
        return f"{label}  {bar}  {rest}" if length else f"{label}  {rest}"[:width]

    def _second(self, event: "BatchDone", width: int) -> str:
        """`21,236 images/s · 0:02 left of this epoch, 0:31 of all · val_loss █▅▃▂▁`; on a narrow terminal less."""
        parts = [*self._pace(event)]
        if len(self.losses) > 1:
            room = width - sum(len(part) + 3 for part in parts) - len(self.watched) - 1
            parts += [f"{self.watched} {sparkline(self.losses[-room:])}"] if room > 1 else []
        return click.style(" · ".join(parts)[:width], dim=True)

    def _pace(self, event: "BatchDone") -> list[str]:
        """Images a second in this epoch, and the time left; nothing before there is something to go by."""
        assert self.start is not None
        begun, batch, samples = self.start
        seconds, batches = self.last - begun, event.batch - batch
        if not batches or seconds <= 0:
            return ["…"]
        each = seconds / batches
        epoch = each * (event.batches - event.batch) + self.rest
        all_of_them = epoch + (self.epochs - event.epoch) * (each * event.batches + self.rest)
        rate = (event.sums.samples - samples) / seconds
        return [f"{rate:,.0f} images/s", f"{clock(epoch)} left of this epoch, {clock(all_of_them)} of all"]


def clock(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`; the next whole second."""
    whole = int(seconds) + 1
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def sparkline(losses: Sequence[float]) -> str:
    """A character a loss, from the least to the greatest of them; by their logarithms, for losses fall by factors."""
    values = [log(max(loss, TINIEST)) for loss in losses]
    low, high = min(values), max(values)
    step = (high - low) / (len(BLOCKS) - 1) or 1.0
    return "".join(BLOCKS[round((value - low) / step)] for value in values)
