"""A profile as a table, as JSON, and as a trace for chrome://tracing and Perfetto."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import floor
from typing import Any, TextIO

from cnncli.report.terminal.console import console_on, print_table
from cnncli.training.loop.profile import DATA, Profile, Span

LANES = ("training", DATA, "operations of a step, one by one (medians)")
"""Threads of the trace, from 1: what happens in turn, what fills batches, and what a step is divided by."""
MICRO = 1e6


@dataclass(frozen=True)
class ProfileReport:
    """A profile of the spec `name` on so many threads. `before`: seconds of what came before the epoch."""

    name: str
    threads: int
    profile: Profile
    before: "dict[str, float]"

    def document(self) -> dict[str, Any]:
        """What `profile --json` prints."""
        profile = self.profile
        return {
            "name": self.name,
            "threads": self.threads,
            "batches": profile.batches,
            "images": profile.images,
            "seconds": profile.seconds,
            "before": self.before,
            "weights_digest": profile.digest,
            "parts": [
                {"part": part.kind, "what": part.what, "seconds": part.seconds, "share": part.seconds / profile.seconds}
                for part in profile.parts()
            ],
        }

    def print(self, file: TextIO) -> None:
        """The table, its sums and what came before."""
        profile, console = self.profile, console_on(file)
        batches = f"{profile.batches:,} batch{'es' * (profile.batches != 1)}"
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        title = f"{self.name} · {batches}, {profile.images:,} images · {threads} · {_time(profile.seconds)}"
        parts = [part for part in profile.parts() if part.seconds > 0]
        shares = tenths([part.seconds for part in parts])
        rows = [
            [part.kind, part.what, _time(part.seconds), f"{share / 10:.1f} %"]
            for part, share in zip(parts, shares, strict=True)
        ]
        rows.append(["all", "", _time(profile.seconds), f"{sum(shares) / 10:.1f} %"])
        print_table(console, title, ["Part", "What", "Time", "Share"], rows, range(2))
        sums = groupby(zip(parts, shares, strict=True), key=lambda pair: pair[0].kind)
        console.print(" · ".join(f"{kind} {sum(share for _, share in each) / 10:.1f} %" for kind, each in sums))
        console.print("before the epoch: " + ", ".join(f"{what} {_time(took)}" for what, took in self.before.items()))

    def trace(self) -> dict[str, Any]:
        """The trace events: all spans, and one step by its operations, begun where the epoch ends."""
        names = [("process_name", 0, f"cnncli profile {self.name}")]
        names += [("thread_name", number, lane) for number, lane in enumerate(LANES, 1)]
        metadata = [
            {"ph": "M", "pid": 1, "tid": lane, "name": what, "args": {"name": name}} for what, lane, name in names
        ]
        order = [
            {"ph": "M", "pid": 1, "tid": lane, "name": "thread_sort_index", "args": {"sort_index": lane}}
            for lane in (1, 2, 3)
        ]
        spans = sorted(self.profile.spans, key=lambda span: (span.start, -span.end))
        begun = min((span.start for span in spans), default=0.0)
        events = [_event(span.path[-1], _lane(span), span.start - begun, span.seconds, _about(span)) for span in spans]
        return {"displayTimeUnit": "ms", "traceEvents": [*metadata, *order, *events, *self._operations(begun)]}

    def _operations(self, begun: float) -> list[dict[str, Any]]:
        start, events = max((span.end for span in self.profile.spans), default=0.0) - begun, []
        for part, seconds in self.profile.operations:
            about = {"pass": part.direction, "flops": part.flops, "bytes": part.bytes}
            events.append(_event(f"{part.layer} {part.operation}".strip(), 3, start, seconds, about))
            start += seconds
        return events


def _lane(span: Span) -> int:
    return 2 if len(span.path) > 1 and span.path[-2] == DATA else 1


def _about(span: Span) -> dict[str, Any]:
    return {"batch": span.batch} if span.batch else {}


def _event(name: str, lane: int, start: float, seconds: float, about: dict[str, Any]) -> dict[str, Any]:
    """A complete event; times are in microseconds."""
    times = {"ts": round(start * MICRO, 3), "dur": round(seconds * MICRO, 3)}
    return {"ph": "X", "pid": 1, "tid": lane, "cat": LANES[lane - 1].split()[0], "name": name, **times, "args": about}


def tenths(seconds: Sequence[float]) -> list[int]:
    """The shares in tenths of a percent, which sum to 1000: those that lose most by rounding down are rounded up."""
    whole = sum(seconds) or 1.0
    exact = [1000 * each / whole for each in seconds]
    down = [floor(each) for each in exact]
    most = sorted(range(len(exact)), key=lambda number: down[number] - exact[number])
    for number in most[: 1000 - sum(down)]:
        down[number] += 1
    return down


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"
