"""Listeners for training events: lines on standard output, progress bar and notices on standard error."""

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from cnncli.escaping import one_line
from cnncli.report.terminal.figures import (
    animated,
    coloured,
    columns,
    drawable,
    epoch_label,
    figures_line,
    fitted,
    named,
    phase_line,
)
from cnncli.report.terminal.next_commands import next_commands
from cnncli.report.terminal.output import echo, echo_lines, echo_raw, emit
from cnncli.report.terminal.region import Region
from cnncli.training.events import (
    BatchDone,
    Begun,
    Download,
    Ended,
    EpochDone,
    Event,
    Notice,
    PhaseBegins,
    Progress,
    Stopped,
    WeightsLoaded,
    notices_to,
)
from cnncli.training.events import TrialBegins as Trial

if TYPE_CHECKING:
    from cnncli.report.terminal.bar import Bar, Curves
    from cnncli.report.terminal.downloading import Downloading

CURVES, WIDEST_CURVES = 14, 160
"""Lines and columns of the curves at the end of a training, where there is no terminal that is narrower."""
SPLITS = {"train": "training", "validation": "validation", "test": "test"}
"""What the images of a split are called."""


class Status:
    """Shows notices, and on a terminal, and only there, what takes time; use it as a context manager."""

    def __init__(self) -> None:
        self.region = Region() if animated() else None
        self.downloading: Downloading | None = None

    def __enter__(self) -> Self:
        self.listening = notices_to(self)
        self.listening.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        self.listening.__exit__(None, None, None)

    def close(self) -> None:
        """Take away what is shown for a while."""
        if self.region:
            self.region.close()
        if self.downloading:
            self.downloading.close()
            self.downloading = None

    def say(self, text: str) -> None:
        """Show one line, as much of it as there is room for, in the place of the one before; an empty one is none."""
        if self.region and text:
            self.region.show([text[: self.region.width]])
        elif self.region:
            self.region.close()

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        if isinstance(event, Notice | WeightsLoaded):
            self.close()
            echo(str(event), err=True)
        elif isinstance(event, Progress):
            self.say(event.text)
        elif isinstance(event, Download) and animated():
            if self.downloading is None:
                from cnncli.report.terminal.downloading import Downloading

                self.downloading = Downloading()
            self.downloading.show(event)


class Follower(Status):
    """Shows a training, or several. `mode`: "text", "json" (lines of JSON) or "quiet" (the closing lines).

    `curves`: makes curves for each training, which are shown as they grow and printed at its end.
    """

    def __init__(self, mode: str, curves: "Callable[[], Curves] | None" = None) -> None:
        super().__init__()
        self.mode, self.new_curves = mode, curves
        self.curves: Curves | None = None
        self.epochs = 0
        self.bar: Bar | None = None
        self.training = False
        self.handlers: Mapping[type, Callable[[Any], None]] = {
            Begun: self._begin,
            WeightsLoaded: self._loaded,
            PhaseBegins: self._phase,
            BatchDone: self._batch,
            EpochDone: self._epoch,
            Stopped: self._stopped,
            Trial: self._trial,
            Ended: self._end,
        }

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        handle = self.handlers.get(type(event))
        if handle is not None:
            handle(event)
        elif not (isinstance(event, Progress) and self.training):
            super().__call__(event)

    def _batch(self, event: BatchDone) -> None:
        self.training = True
        if self.bar:
            self.bar.batch(event)

    def _loaded(self, event: WeightsLoaded) -> None:
        if self.mode == "json":
            emit({"event": "weights", "file": event.file, **vars(event.layers)})
        else:
            super().__call__(event)

    def _phase(self, event: PhaseBegins) -> None:
        if self.mode == "json":
            emit({"event": "phase", **vars(event)})
        elif self.mode == "text":
            self.close()
            echo(phase_line(**vars(event)))

    def _stopped(self, event: Stopped) -> None:
        if self.mode != "quiet":
            echo(str(event), err=True)

    def _trial(self, event: Trial) -> None:
        if self.mode != "json":
            echo(f"training {event.number} of {event.count}: {event.name}")

    def _begin(self, event: Begun) -> None:
        self.close()
        self.epochs, self.training = event.epochs, False
        self.curves = self.new_curves() if self.new_curves else None
        if self.mode != "text":
            return
        if self.region:
            from cnncli.report.terminal.bar import Bar

            self.bar = Bar(event.epochs, self.region, self.curves)
        echo(fitted(header(event), " · "))
        if event.rescaled_by:
            echo(f"images are not rescaled: the model does it itself, by {event.rescaled_by}")

    def _epoch(self, event: EpochDone) -> None:
        if self.bar:
            self.bar.epoch(event)
        if self.curves:
            self.curves.add(event.figures)
        rate = event.images_per_second
        if self.mode == "json":
            timing = {"seconds": round(event.seconds, 3), "images_per_second": round(rate, 1)}
            emit({"event": "epoch", **event.figures, **timing})
        elif self.mode == "text":
            first, *others = named({name: value for name, value in event.figures.items() if name != "epoch"})
            label = self._label(event)
            parts = [f"{label} {first}", *others, f"{rate:,.0f} images/s"]
            for _ in range(1 + ("learning_rate" in event.figures)):
                if len("  ".join(parts)) > columns():
                    parts.pop()  # what a person misses least: a line an epoch is what can be read at a glance
            line = fitted(parts, "  ")
            if event.best and coloured():
                line = click.style(label, fg="green", bold=True) + line.removeprefix(label)
            echo_raw(line)  # only names of metrics are in it

    def _label(self, event: EpochDone) -> str:
        """`epoch 9/15*  `: on a terminal the star says that none was better so far; columns stay where they are."""
        label = epoch_label(int(event.figures["epoch"]), self.epochs)
        star = "*" if event.best and isfinite(columns()) else ""
        return f"{label.rstrip()}{star}".ljust(len(label) + 1)

    def _end(self, event: Ended) -> None:
        self.close()
        if self.mode == "json":
            test = None if event.test is None else dict(event.test)
            about = {"run": event.run, "weights_digest": event.digest, "epoch": event.epoch, "test": test}
            emit({"event": "end", **about})
            return
        if self.curves:
            width = min(columns(), WIDEST_CURVES)
            for line in drawable(self.curves.lines(int(width) - 1, CURVES, colored=coloured())):
                echo_raw(line)
        if event.test is not None:
            echo(f"test  {figures_line(event.test)}  (weights of epoch {event.epoch})")
        echo_lines([f"run   {event.run}"])
        if self.mode == "text":
            commands = [one_line(command) for command in next_commands(event.data, event.run)]
            echo(fitted([f"next  {commands[0]}", *commands[1:]], " · "))


def header(event: Begun) -> list[str]:
    """The parts of `mnist: 225,034 parameters · 3,600 training, … (mnist5k) · 2 threads · seed 42`."""
    images = ", ".join(f"{count:,} {SPLITS[name]}" for name, count in event.images.items())
    source = one_line(Path(event.source).name)
    threads = f"{event.threads} thread{'s' * (event.threads > 1)}"
    if event.processes > 1:
        threads = f"{event.processes} processes with {threads} each"
    return [f"{event.name}: {event.parameters:,} parameters", f"{images} ({source})", threads, f"seed {event.seed}"]
