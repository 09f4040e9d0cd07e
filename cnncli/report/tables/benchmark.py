"""Benchmark results as a table or JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO, get_args

from cnncli.report.terminal.console import console_on, print_table
from cnncli.training.resources.benchmark import Direction, Duel, Mode, Timed

BALANCE = 8
"""FLOPs a byte below which memory, not multiply-adds, bounds an operation: of the order of 100 GFLOP/s and 10 GB/s a
core, as today's machines have them."""
STEP: Mapping[Mode, str] = {"training": "step", "inference": "run"}
"""What one batch's work is called."""
DISTURBANCE = 0.2
"""CPUs, kept busy by others, from which on figures are to be doubted."""


@dataclass(frozen=True)
class Benchmark:
    """Results of a benchmark.

    `dtype`: a value of --dtype. `peak`: FLOP/s of bare float32 multiply-adds on as many threads. `others`: the CPUs
    that other processes kept busy meanwhile, None where that is not known.
    """

    name: str
    mode: Mode
    batch_size: int
    dtype: str
    threads: int
    peak: float
    timed: Sequence[Timed]
    images_per_second: float
    against: Mapping[str, Duel]
    others: float | None

    @property
    def disturbed(self) -> bool:
        """True where other processes wanted the CPUs so much that another time may give other figures."""
        return self.others is not None and self.others >= DISTURBANCE

    @property
    def flops(self) -> int:
        """Of a whole step."""
        return sum(part.flops for part, _ in self.timed)

    @property
    def flops_per_second(self) -> float:
        """Of whole steps."""
        return self.flops * self.images_per_second / self.batch_size

    def document(self) -> dict[str, Any]:
        """What `benchmark --json` prints."""
        return {
            "mode": self.mode,
            "batch_size": self.batch_size,
            "dtype": self.dtype,
            "threads": self.threads,
            "peak_gflops": round(self.peak / 1e9, 2),
            "gflops": round(self.flops_per_second / 1e9, 2),
            "images_per_second": round(self.images_per_second, 1),
            "others_cpus": None if self.others is None else round(self.others, 2),
            "layers": [self._row(timed) for timed in self.timed],
            "against": {
                name: {
                    "version": duel.version,
                    "variant": duel.variant,
                    "images_per_second": round(duel.images_per_second, 1),
                    "variants": {variant: round(speed, 1) for variant, speed in duel.variants.items()},
                    "seconds_to_start": {variant: round(seconds, 1) for variant, seconds in duel.started.items()},
                    "ratio": round(duel.ratio, 3),
                    "ratio_range": [round(duel.least, 3), round(duel.most, 3)],
                }
                for name, duel in self.against.items()
            },
        }

    def print(self, file: TextIO) -> None:
        """The table and its closing lines; without colour where `file` is no terminal or NO_COLOR is set."""
        console = console_on(file)
        cores = f"{self.threads} thread{'s' * (self.threads > 1)}"
        narrow = "" if self.dtype == "float32" else f"{self.dtype} · "
        work = f"{self.name} · {self.mode} · batch {self.batch_size} · {narrow}{cores}"
        title = f"{work} · peak {self.peak / 1e9:.0f} GFLOP/s"
        heads = ["Layer", "Operation", "Pass", "Time", f"Of {STEP[self.mode]}", "GFLOP/s", "Of peak", "GB/s"]
        total = sum(seconds for _, seconds in self.timed)
        print_table(console, title, heads, [self._cells(timed, total) for timed in self.timed], range(3))
        for line in self._closing(total):
            console.print(line, soft_wrap=True)

    def _closing(self, total: float) -> list[str]:
        passes = [
            f"{_time(sum(seconds))} {direction}"
            for direction in get_args(Direction)
            if (seconds := self._seconds(direction))
        ]
        rate = self.flops_per_second
        lines = [
            f"operations one by one: {' + '.join(passes)}{f' = {_time(total)}' * (len(passes) > 1)}",
            f"whole {STEP[self.mode]}s: {self._speed(self.images_per_second)} · {rate / 1e9:.1f} GFLOP/s, "
            f"{rate / self.peak:.0%} of the peak",
        ]
        for name, duel in self.against.items():
            lines.append(
                f"{name} {duel.version} ({duel.variant}): {self._speed(duel.images_per_second)}; "
                f"cnncli does {duel.ratio:.2f} × as many (from {duel.least:.2f} to {duel.most:.2f} × in a round)"
            )
            others = [
                f"{speed:,.0f} ({variant})" for variant, speed in duel.variants.items() if variant != duel.variant
            ]
            if others:
                lines.append(f"{name} in other ways, images/s: {' · '.join(others)}")
        return lines

    def _seconds(self, direction: Direction) -> list[float]:
        return [seconds for part, seconds in self.timed if part.direction == direction]

    def _speed(self, images_per_second: float) -> str:
        """The time of one batch, and the images a second."""
        return f"{_time(self.batch_size / images_per_second)} · {images_per_second:,.0f} images/s"

    def _row(self, timed: Timed) -> dict[str, Any]:
        part, seconds = timed
        return {
            "name": part.layer,
            "operation": part.operation,
            "pass": part.direction,
            "seconds": seconds,
            "flops": part.flops,
            "gflops": round(part.flops / seconds / 1e9, 2),
            "peak_share": round(part.flops / seconds / self.peak, 4),
            "bytes": part.bytes,
            "gigabytes_per_second": round(part.bytes / seconds / 1e9, 2),
        }

    def _cells(self, timed: Timed, total: float) -> list[str]:
        """One row. An operation that waits for memory rather than for multiply-adds also shows how much went by."""
        part, seconds = timed
        rate, traffic = part.flops / seconds, part.bytes / seconds
        figures = [f"{rate / 1e9:.1f}", f"{rate / self.peak:.0%}"] if part.flops else ["", ""]
        figures.append(f"{traffic / 1e9:.1f}" if part.flops < BALANCE * part.bytes else "")
        return [part.layer, part.operation, part.direction, _time(seconds), f"{seconds / total:.1%}", *figures]


def _time(seconds: float) -> str:
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds * 1e6:.0f} µs" if seconds >= 1e-5 else f"{seconds * 1e6:.2f} µs"
