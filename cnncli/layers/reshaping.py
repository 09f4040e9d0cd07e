"""Layers that rearrange their input: Reshape, Permute, RepeatVector."""

from collections.abc import Sequence
from math import prod
from typing import Annotated, ClassVar

from cnncli.errors import ShapeError
from cnncli.layers.declarations.declaration import PositiveInt
from cnncli.layers.declarations.field_types import Integer
from cnncli.layers.declarations.list_types import ListOf
from cnncli.layers.layer import LAYERS, Example, Layer
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Value


@LAYERS.register
class Reshape(Layer):
    """Changes the shape to `target_shape`, in row-major order; one -1 is the length that fits (Keras Reshape)."""

    target_shape: Annotated[tuple[int, ...], ListOf(Integer(-1), 1)]

    examples: ClassVar[Sequence[Example]] = (
        Example({"target_shape": [6, 2]}, [(3, 4)]),
        Example({"target_shape": [2, -1, 3]}, [(3, 4, 2)]),
        Example({"target_shape": [-1]}, [(3, 4)]),
    )

    def contradiction(self) -> str:
        if 0 in self.target_shape or self.target_shape.count(-1) > 1:
            return f"target_shape takes lengths ≥ 1 and at most one -1; received {list(self.target_shape)}"
        return ""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        known = prod(length for length in self.target_shape if length > 0)
        shape = tuple(inputs[0].size // known if length == -1 else length for length in self.target_shape)
        if prod(shape) != inputs[0].size:
            raise ShapeError(
                f"target_shape must have the {inputs[0].size} elements of {inputs[0].shape}; "
                f"received {list(self.target_shape)}"
            )
        return build.reshape(inputs[0], shape)


@LAYERS.register
class Permute(Layer):
    """Permutes the axes: `dims` are their old numbers, from 1, without the batch axis (Keras Permute)."""

    dims: Annotated[tuple[int, ...], ListOf(Integer(1), 1)]

    examples: ClassVar[Sequence[Example]] = (
        Example({"dims": [2, 1]}, [(3, 4)]),
        Example({"dims": [3, 1, 2]}, [(2, 3, 4)]),
        Example({"dims": [2, 1, 3]}, [(2, 3, 4)]),
        Example({"dims": [3, 2, 1]}, [(2, 3, 4)]),
        Example({"dims": [1]}, [(3,)]),
    )

    def contradiction(self) -> str:
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            return f"dims must be the numbers from 1 to the number of axes, each once; received {list(self.dims)}"
        return ""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        if len(self.dims) != len(inputs[0].shape):
            raise ShapeError(f"dims must have a number for each axis of {inputs[0].shape}; received {list(self.dims)}")
        return build.permute(inputs[0], tuple(axis - 1 for axis in self.dims))


@LAYERS.register
class RepeatVector(Layer):
    """Repeats a vector `n` times, as the rows of a matrix (Keras RepeatVector)."""

    n: PositiveInt

    examples: ClassVar[Sequence[Example]] = (Example({"n": 3}, [(4,)]), Example({"n": 1}, [(5,)]))

    def lower(self, build: Builder, *inputs: Value) -> Value:
        if len(inputs[0].shape) != 1:
            raise ShapeError(f"RepeatVector takes a vector; received shape {inputs[0].shape}")
        return build.broadcast(build.reshape(inputs[0], (1, inputs[0].size)), (self.n, inputs[0].size))
