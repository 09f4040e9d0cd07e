"""What the scripts of ONNX Runtime and OpenVINO share: weights for the network, and rounds of inference."""

from collections.abc import Mapping
from math import prod
from time import perf_counter
from typing import Any

import numpy as np

WARM_UP = 3


def drawn(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights that keep the magnitude of all layers' outputs similar: random kernels, and ones."""
    random = np.random.default_rng(0)

    def draw(shape: list[int]) -> Any:
        kernel = len(shape) > 1
        return random.standard_normal(shape) / prod(shape[1:]) ** 0.5 if kernel else np.ones(shape)

    return {name: draw(weight["shape"]).astype(np.float32) for name, weight in description["weights"].items()}


class Rounds:
    """Runs a network on random batches, in rounds of as many steps as take about the described time.

    A subclass sets a new batch, `begin`, of `batch`, and runs `run`.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.shape = (description["batch_size"], *description["input_shape"])
        self.random = np.random.default_rng(0)
        self.begin()
        self.run(WARM_UP)
        self.steps = 1
        while self.time(self.steps) < description["seconds"] / 2:
            self.steps *= 2

    def begin(self) -> None:
        """Set a new batch."""
        raise NotImplementedError

    def run(self, steps: int) -> None:
        """Run inference."""
        raise NotImplementedError

    def batch(self) -> Any:
        """Draw the images of a batch."""
        return self.random.random(self.shape, np.float32)

    def time(self, steps: int) -> float:
        """Return the seconds of `steps` steps."""
        start = perf_counter()
        self.run(steps)
        return perf_counter() - start

    def round(self) -> dict[str, float]:
        """Run one round; return its images and seconds."""
        self.begin()
        self.run(1)
        return {"images": self.steps * self.shape[0], "seconds": self.time(self.steps)}
