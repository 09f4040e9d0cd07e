"""What the scripts of all peers share: their protocol, and rounds of steps. Imports only the standard library.

The first line on standard input describes the network (`translate` of the framework), with "mode", "batch_size",
"threads", the "seconds" of a round, "dtypes" and "compile". The answer is `{"version", "variants"}`, where "variants"
has for each way of running the network the seconds until its first steps were done. Each further line names a variant;
the script runs a round of training or inference steps and answers with `{"images", "seconds"}`. It exits at the end of
input.
"""

import json
import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

WARM_UP = 3


class Rounds:
    """Runs a network on random batches, in rounds of as many steps as take about the described time.

    A subclass sets a new batch in `begin`, and runs `run`; it is ready for both before it calls `super().__init__`.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.batch_size = description["batch_size"]
        self.begin()
        self.run(WARM_UP)
        self.steps = 1
        while self.time(self.steps) < description["seconds"] / 2:
            self.steps *= 2

    def begin(self) -> None:
        """Set a new batch and, to train, restore the initial weights."""
        raise NotImplementedError

    def run(self, steps: int) -> None:
        """Run training or inference steps."""
        raise NotImplementedError

    def time(self, steps: int) -> float:
        """Return the seconds of `steps` steps."""
        start = perf_counter()
        self.run(steps)
        return perf_counter() - start

    def round(self) -> dict[str, float]:
        """Run one round; return its images and seconds."""
        self.begin()
        self.run(1)
        return {"images": self.steps * self.batch_size, "seconds": self.time(self.steps)}


def serve(
    version: str,
    variants: Callable[[Mapping[str, Any]], Mapping[str, Callable[[], Rounds]]],
    answer: Callable[[Mapping[str, Any]], None],
) -> None:
    """Serve requests until standard input is closed. `variants`: what starts each variant of a described network."""
    runners, seconds = {}, {}
    for name, start in variants(json.loads(sys.stdin.readline())).items():
        began = perf_counter()
        runners[name] = start()
        seconds[name] = perf_counter() - began
    answer({"version": version, "variants": seconds})
    for line in sys.stdin:
        answer(runners[json.loads(line)].round())
