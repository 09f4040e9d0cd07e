"""Plain weights: a safetensors file with tensors under Keras' names, "conv2d/kernel", in Keras' layouts."""

import numpy as np
from safetensors.numpy import save

from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.training.runs.checkpoint import ordered


def export(exported: Exported, options: ExportOptions) -> bytes:
    """The file. Its metadata are those of the model."""
    del options
    weights = {name: np.ascontiguousarray(weight) for name, weight in exported.weights.items()}
    return ordered(save(weights, exported.metadata()))
