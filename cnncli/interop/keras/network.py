"""A model in Keras' words, as plain data: what `tensorflow_peer` builds. Keras itself is not needed here.

The vocabulary is Keras' own, so that classes and arguments go over as they are.
"""

from typing import Any

from cnncli.errors import UsageError
from cnncli.graph.model import Model
from cnncli.layers.declarations.declaration import Declaration
from cnncli.training.optimizers.schedules import Schedule
from cnncli.training.sections import CompileSection

LOSSES = {
    "cross_entropy": "CategoricalCrossentropy",
    "sparse_cross_entropy": "CategoricalCrossentropy",
    "binary_cross_entropy": "BinaryCrossentropy",
    "mean_squared_error": "MeanSquaredError",
}
"""The class of each kind of loss on rows as long as the output: what the peer makes up."""


def translate(model: Model, compiled: CompileSection | None) -> dict[str, Any]:
    """The network, ready for JSON, with its loss and its optimizer if it is to be trained.

    `nodes`: in order, each with its inputs, class and configuration. Raises UsageError for a layer of somebody else's
    and for a schedule.
    """
    for node in model.nodes:
        if not type(node.layer).__module__.startswith("cnncli."):
            kind = type(node.layer).__name__
            raise UsageError(f"--against tensorflow knows no counterpart of {node.name} ({kind})")
    return {
        "input_shape": list(model.input_shape),
        "nodes": [
            {"name": node.name, "inputs": list(node.inputs), "layer": configured(node.layer)} for node in model.nodes
        ],
        **({} if compiled is None else _training(compiled)),
    }


def _training(compiled: CompileSection) -> dict[str, Any]:
    loss, optimizer = compiled.loss, compiled.optimizer
    if isinstance(optimizer.learning_rate, Schedule):  # its epochs would be those of no data
        kind = type(optimizer).__name__
        raise UsageError(f"--against tensorflow knows no counterpart of the optimizer {kind} with a schedule")
    return {
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
