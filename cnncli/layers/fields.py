"""Field types that several layers share."""

from typing import Annotated, Any, Literal

from cnncli.layers.kinds import Flaw, Kind, OneOf, RefusedError

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh", "softmax")


class _ActivationName(Kind):
    rule = "the name of an activation"
    choices = ACTIVATIONS

    def read(self, value: Any) -> str:
        if value is None:
            return "linear"
        if not isinstance(value, str):
            raise self.refuse()
        if value not in ACTIVATIONS:
            raise RefusedError([Flaw((), "unknown_name", value, self)])
        return value


class _DataFormat(OneOf):
    def read(self, value: Any) -> str:
        if value == "channels_first":
            said = "images are (height, width, channels) here: only 'channels_last' is supported"
            raise RefusedError([Flaw((), "sentence", said)])
        return super().read(value)


Padding = Literal["valid", "same"]
ActivationName = Annotated[str, _ActivationName()]
DataFormat = Annotated[Literal["channels_last"], _DataFormat("channels_last")]
