"""The `data` section of a spec."""

from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from cnncli.layers.declaration import Declaration, Fraction


def _rescale(value: object) -> object:
    if value == "auto" or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        top, slash, bottom = value.partition("/")
        try:
            return float(top) / float(bottom) if slash else float(top)
        except (ValueError, ZeroDivisionError):
            pass
    raise PydanticCustomError("rescale", "must be auto, or a number (1/255 is one)")


class DataSection(Declaration):
    """What to train on."""

    dataset: str
    """A known name, or a file (relative to the spec)."""
    validation_split: Fraction = 0.0
    """The share of the training rows, the last ones, kept for validation."""
    rescale: Annotated[Literal["auto"] | float, BeforeValidator(_rescale)] = "auto"
    """What images are multiplied by; auto divides uint8 by 255 and leaves floats."""
    targets: Literal["labels", "input"] = "labels"
    """What is to be predicted: the labels, or (an auto-encoder) the input itself."""
