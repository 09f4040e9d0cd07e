"""Layers of several inputs."""

from collections.abc import Sequence
from typing import ClassVar

from cnncli.errors import ShapeError
from cnncli.layers.layer import LAYERS, Example, Layer
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Value


@LAYERS.register
class Add(Layer):
    """The sum of two or more inputs of one shape (Keras Add)."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)
    examples: ClassVar[Sequence[Example]] = (
        Example({}, [(3, 4, 2), (3, 4, 2)]),
        Example({}, [(5,), (5,), (5,)]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.add(*inputs)


@LAYERS.register
class Concatenate(Layer):
    """Two or more inputs side by side along `axis`; 0 is the batch axis, -1 the last one (Keras Concatenate)."""

    axis: int = -1

    arity: ClassVar[tuple[int, int | None]] = (2, None)
    examples: ClassVar[Sequence[Example]] = (
        Example({}, [(3, 4, 2), (3, 4, 3)]),
        Example({"axis": 1}, [(2, 4, 3), (3, 4, 3)]),
        Example({"axis": -2}, [(3, 1, 2), (3, 4, 2), (3, 2, 2)]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        rank = len(inputs[0].shape) + 1
        axis = self.axis + rank if self.axis < 0 else self.axis
        if not 1 <= axis < rank:
            raise ShapeError(f"axis must be one of 1 … {rank - 1} (or negative); received axis={self.axis}")
        return build.concatenate(*inputs, axis=axis - 1)
