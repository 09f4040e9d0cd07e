"""Field types shared by several layers."""

from typing import Annotated, Any, Literal

from cnncli.errors import ShapeError
from cnncli.layers.declarations.field_types import Kind, OneOf, Schema
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError
from cnncli.ops.ir import Shape

ACTIVATIONS = {
    "linear": "x (no activation).",
    "relu": "max(x, 0).",
    "relu6": "min(max(x, 0), 6).",
    "leaky_relu": "x for x > 0, else 0.2 · x; use the layer LeakyReLU for another slope.",
    "elu": "x for x > 0, else eˣ − 1; use the layer ELU for another alpha.",
    "gelu": "x · Φ(x), where Φ is the standard normal CDF: exact, not the tanh approximation.",
    "silu": "x · sigmoid(x).",
    "hard_silu": "x · hard_sigmoid(x).",
    "sigmoid": "1/(1 + e⁻ˣ).",
    "hard_sigmoid": "x/6 + 1/2, clipped to [0, 1].",
    "tanh": "The hyperbolic tangent.",
    "softmax": "exp(x)/Σexp(x) along the last axis: outputs that sum to 1.",
}
"""Activations by name, each with its formula."""
OTHER_NAMES = {"swish": "silu", "hard_swish": "hard_silu"}
"""Keras' aliases of activations."""


class _ActivationName(Kind):
    kind = "activation"
    rule = "an activation name"
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
            raise ValidationError([ErrorDetail((), "unknown_name", value, self)])
        return name


class _DataFormat(OneOf):
    def read(self, value: Any) -> str:
        if value == "channels_first":
            message = "only 'channels_last' is supported: images are (height, width, channels)"
            raise ValidationError([ErrorDetail((), "sentence", message)])
        return super().read(value)


Padding = Literal["valid", "same"]
ActivationName = Annotated[str, _ActivationName()]
DataFormat = Annotated[Literal["channels_last"], _DataFormat("channels_last")]


def normalize_axis(axis: int, shape: Shape) -> int:
    """Keras' `axis` (0 is the batch axis, negative axes count from the end) as an index into `shape` (without batch).

    Raises ShapeError if it is out of range.
    """
    rank = len(shape) + 1
    found = axis + rank if axis < 0 else axis
    if not 1 <= found < rank:
        raise ShapeError(f"axis must be from 1 to {rank - 1}, or negative; received axis={axis}")
    return found - 1
