"""Random arrays for the scripts of ONNX Runtime and OpenVINO: weights of the network, and batches of images."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from cnncli.interop.peers.rounds import Rounds


def drawn(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights that keep the magnitude of all layers' outputs similar: random kernels, and ones."""
    random = np.random.default_rng(0)

    def draw(shape: list[int]) -> Any:
        kernel = len(shape) > 1
        return random.standard_normal(shape) / prod(shape[1:]) ** 0.5 if kernel else np.ones(shape)

    return {name: draw(weight["shape"]).astype(np.float32) for name, weight in description["weights"].items()}


class ImageRounds(Rounds):
    """Rounds on batches of NumPy arrays."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.shape = (description["batch_size"], *description["input_shape"])
        self.random = np.random.default_rng(0)
        super().__init__(description)

    def batch(self) -> Any:
        """Draw the images of a batch."""
        return self.random.random(self.shape, np.float32)
