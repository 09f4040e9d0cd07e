"""Field types shared by several layers."""

from typing import Annotated, Any, Literal

from cnncli.errors import ShapeError
from cnncli.layers.declarations.field_types import Integer, OrNull, Word
from cnncli.layers.declarations.list_types import ItemOrList
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError
from cnncli.ops.ir import Shape


class _DataFormat(Word):
    def read(self, value: Any) -> str:
        if isinstance(value, str) and value.lower() == "channels_first":
            message = "only 'channels_last' is supported: images are (height, width, channels)"
            raise ValidationError([ErrorDetail((), "sentence", message)])
        return super().read(value)


Padding = Annotated[Literal["valid", "same"], Word("valid", "same")]
DataFormat = Annotated[Literal["channels_last"], OrNull(_DataFormat("channels_last"), "channels_last")]


Axes = Annotated[int | tuple[int, ...], ItemOrList(Integer())]
"""An axis, or several."""


def normalize_axes(axes: int | tuple[int, ...], shape: Shape) -> tuple[int, ...]:
    """As `normalize_axis` for one or several axes: distinct and sorted."""
    return tuple(sorted({normalize_axis(axis, shape) for axis in ((axes,) if isinstance(axes, int) else axes)}))


def normalize_axis(axis: int, shape: Shape) -> int:
    """Keras' `axis` (0 is the batch axis, negative axes count from the end) as an index into `shape` (without batch).

    Raises ShapeError if it is out of range.
    """
    rank = len(shape) + 1
    found = axis + rank if axis < 0 else axis
    if not 1 <= found < rank:
        raise ShapeError(f"axis must be from 1 to {rank - 1}, or negative; received axis={axis}")
    return found - 1
