"""Field types that several layers share."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh", "softmax")


def _activation(value: object) -> object:
    if value is None:
        return "linear"
    if isinstance(value, str) and value in ACTIVATIONS:
        return value
    if isinstance(value, str):
        context = {"kind": "activation", "name": value, "known": list(ACTIVATIONS)}
        raise PydanticCustomError("unknown_name", "unknown {kind} '{name}'", context)
    raise PydanticCustomError("declaration", "{kind} must be a name", {"kind": "activation"})


def _data_format(value: object) -> object:
    if value == "channels_first":
        raise PydanticCustomError(
            "data_format", "images are (height, width, channels) here: only 'channels_last' is supported"
        )
    return value


Padding = Literal["valid", "same"]
ActivationName = Annotated[str, BeforeValidator(_activation), Field(json_schema_extra={"enum": list(ACTIVATIONS)})]
DataFormat = Annotated[Literal["channels_last"], BeforeValidator(_data_format)]
