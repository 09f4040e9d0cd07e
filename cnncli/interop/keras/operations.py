"""Keras' functions of tensors in a Functional model, `x + 3` or `keras.ops.relu(x)`, as layers."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnncli.interop.incoming.draft import UnsupportedError
from cnncli.layers.activation_functions import ACTIVATIONS
from cnncli.layers.declarations.declaration import snake_case

MERGES = {"Add": "Add", "Subtract": "Subtract", "Multiply": "Multiply", "Maximum": "Maximum", "Minimum": "Minimum"}
Layer = tuple[str, list[str], dict[str, Any]]
"""Class, inputs, arguments."""


def operation(kind: str, config: Mapping[str, Any], values: Sequence[Any]) -> Layer:
    """The layer for a function. `values`: its arguments, tensors as the names of layers. Raises UnsupportedError."""
    tensors = [value for value in values if isinstance(value, str)]
    if kind in MERGES and len(values) == len(tensors) == 2:
        return MERGES[kind], tensors, {}
    if len(values) == 2 and len(tensors) == 1 and (affine := _affine(kind, *values)):
        scale, offset = affine
        return "Rescaling", tensors, {"scale": scale, "offset": offset}
    activation = ACTIVATIONS.find(snake_case(kind))
    if activation is not None and len(values) == len(tensors) == 1 and not set(config) - {"name", "dtype"}:
        return "Activation", tensors, {"activation": activation.__name__}
    raise UnsupportedError("there is no layer for this function of tensors")


def _affine(kind: str, first: Any, second: Any) -> tuple[float, float] | None:
    """Scale and offset of a tensor combined with a number; None for others."""
    flipped = isinstance(second, str)
    number = first if flipped else second
    if type(number) not in (int, float):
        return None
    if kind == "Add":
        return 1.0, float(number)
    if kind == "Multiply":
        return float(number), 0.0
    if kind == "Subtract":
        return (-1.0, float(number)) if flipped else (1.0, -float(number))
    if kind in ("Divide", "TrueDivide", "Truediv") and not flipped and number:
        return 1.0 / number, 0.0
    return None
