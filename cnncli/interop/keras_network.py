"""A model in Keras' words, as plain data: what `tensorflow_peer` builds. Keras itself is not needed here.

The vocabulary is Keras' own, so that classes and arguments go over as they are.
"""

from typing import Any

from cnncli.errors import UsageError
from cnncli.graph.model import Model
from cnncli.layers.declaration import Declaration
from cnncli.layers.losses import Loss
from cnncli.training.optimizers import Optimizer
from cnncli.training.schedules import Schedule

LOSSES = {
    "cross_entropy": "CategoricalCrossentropy",
    "binary_cross_entropy": "BinaryCrossentropy",
    "mean_squared_error": "MeanSquaredError",
}
"""The class of each kind of loss on rows as long as the output: what the peer makes up."""


def translate(model: Model, loss: Loss, optimizer: Optimizer) -> dict[str, Any]:
    """The network, its loss and its optimizer, ready for JSON.

    `nodes`: in order, each with its inputs, class and configuration. Raises UsageError for a layer of somebody else's
    and for a schedule.
    """
    for node in model.nodes:
        if not type(node.layer).__module__.startswith("cnncli."):
            kind = type(node.layer).__name__
            raise UsageError(f"--against tensorflow knows no counterpart of {node.name} ({kind})")
    if isinstance(optimizer.learning_rate, Schedule):  # its epochs would be those of no data
        kind = type(optimizer).__name__
        raise UsageError(f"--against tensorflow knows no counterpart of the optimizer {kind} with a schedule")
    return {
        "input_shape": list(model.input_shape),
        "nodes": [
            {"name": node.name, "inputs": list(node.inputs), "layer": configured(node.layer)} for node in model.nodes
        ],
        "loss": {"class_name": LOSSES[loss.kind], "config": configured(loss)["config"]},
        "optimizer": configured(optimizer),
    }


def configured(declaration: Declaration) -> dict[str, Any]:
    """A declaration as Keras writes one: its class and its arguments, whose declarations are written so, too."""
    return {
        "class_name": type(declaration).__name__,
        "config": {name: _plain(value) for name, value in declaration.settings().items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Declaration):
        return configured(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
