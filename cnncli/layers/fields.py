"""Field types that several layers share."""

from typing import Annotated, Any, Literal

from cnncli.errors import ShapeError
from cnncli.layers.declarations.field_types import Kind, OneOf, Schema
from cnncli.layers.declarations.validation_errors import Flaw, RefusedError
from cnncli.ops.ir import Shape

ACTIVATIONS = {
    "linear": "x itself: no activation.",
    "relu": "x where it is positive, 0 elsewhere.",
    "relu6": "x between 0 and 6, and the nearer of them beyond.",
    "leaky_relu": "x where it is positive, 0.2 · x elsewhere; the layer LeakyReLU takes another slope.",
    "elu": "x where it is positive, eˣ − 1 elsewhere; the layer ELU takes another factor.",
    "gelu": "x · Φ(x), Φ being the normal distribution's: exact, not the formula with tanh.",
    "silu": "x · sigmoid(x).",
    "hard_silu": "x · hard_sigmoid(x).",
    "sigmoid": "1/(1 + e⁻ˣ), between 0 and 1.",
    "hard_sigmoid": "x/6 + 1/2, kept between 0 and 1.",
    "tanh": "The hyperbolic tangent, between −1 and 1.",
    "softmax": "eˣ over the sum of all eˣ along the last axis: shares that are 1 together.",
}
"""Activations by name, each with what it makes of x."""
OTHER_NAMES = {"swish": "silu", "hard_swish": "hard_silu"}
"""Keras' second names of activations."""


class _ActivationName(Kind):
    rule = "the name of an activation"
    choices = (*ACTIVATIONS, *OTHER_NAMES)
    sample = "relu"

    def schema(self) -> Schema:
        return {"enum": [*self.choices, None]}

    def read(self, value: Any) -> str:
        if value is None:
            return "linear"
        if not isinstance(value, str):
            raise self.refuse()
        name = OTHER_NAMES.get(value, value)
        if name not in ACTIVATIONS:
            raise RefusedError([Flaw((), "unknown_name", value, self)])
        return name


class _DataFormat(OneOf):
    def read(self, value: Any) -> str:
        if value == "channels_first":
            said = "images are (height, width, channels) here: only 'channels_last' is supported"
            raise RefusedError([Flaw((), "sentence", said)])
        return super().read(value)


Padding = Literal["valid", "same"]
ActivationName = Annotated[str, _ActivationName()]
DataFormat = Annotated[Literal["channels_last"], _DataFormat("channels_last")]


def own_axis(axis: int, shape: Shape) -> int:
    """Keras' `axis`, with the batch axis 0 and negative ones from the end, as one of `shape`, which has no batch axis.

    Raises ShapeError for another one.
    """
    rank = len(shape) + 1
    found = axis + rank if axis < 0 else axis
    if not 1 <= found < rank:
        raise ShapeError(f"axis must be one of 1 … {rank - 1} (or negative); received axis={axis}")
    return found - 1
