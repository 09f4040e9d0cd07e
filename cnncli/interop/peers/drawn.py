"""Weights for the scripts of ONNX Runtime and OpenVINO."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np


def drawn(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights that keep the magnitude of all layers' outputs similar: random kernels, and ones."""
    random = np.random.default_rng(0)

    def draw(shape: list[int]) -> Any:
        kernel = len(shape) > 1
        return random.standard_normal(shape) / prod(shape[1:]) ** 0.5 if kernel else np.ones(shape)

    return {name: draw(weight["shape"]).astype(np.float32) for name, weight in description["weights"].items()}
