"""Layers that merge several inputs.

Elementwise layers broadcast inputs of different shapes along axes of length 1, as Keras does: (height, width, channels)
can be combined with (1, 1, channels) and (channels,).
"""

from collections.abc import Sequence
from typing import ClassVar

from cnncli.layers.fields import normalize_axis
from cnncli.layers.layer import LAYERS, Example, Layer
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Value


class _Merge(Layer):
    """Inputs whose shapes can be broadcast."""

    arity: ClassVar[tuple[int, int | None]] = (1, None)
    examples: ClassVar[Sequence[Example]] = (
        Example({}, [(3, 4, 2), (3, 4, 2)]),
        Example({}, [(5,), (5,), (5,)]),
        Example({}, [(3, 4, 2), (1, 1, 2)]),
        Example({}, [(2,), (3, 1, 2), (3, 4, 1)]),
        Example({}, [(3, 4, 2)]),
    )


@LAYERS.register
class Add(_Merge):
    """Adds inputs elementwise (Keras Add)."""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.add(*inputs)


@LAYERS.register
class Subtract(_Merge):
    """Subtracts the second input from the first elementwise (Keras Subtract)."""

    arity: ClassVar[tuple[int, int | None]] = (2, 2)
    examples: ClassVar[Sequence[Example]] = (
        Example({}, [(3, 4, 2), (3, 4, 2)]),
        Example({}, [(1, 4, 1), (3, 1, 2)]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.subtract(*inputs)


@LAYERS.register
class Multiply(_Merge):
    """Multiplies inputs elementwise (Keras Multiply)."""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.multiply(*inputs)


@LAYERS.register
class Average(_Merge):
    """Averages inputs elementwise (Keras Average)."""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.affine(build.add(*inputs), 1 / len(inputs))


@LAYERS.register
class Maximum(_Merge):
    """Elementwise maximum of inputs (Keras Maximum)."""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.extreme("maximum", *inputs)


@LAYERS.register
class Minimum(_Merge):
    """Elementwise minimum of inputs (Keras Minimum)."""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.extreme("minimum", *inputs)


@LAYERS.register
class Concatenate(Layer):
    """Concatenates inputs along `axis`; 0 is the batch axis, -1 the last axis (Keras Concatenate)."""

    axis: int = -1

    arity: ClassVar[tuple[int, int | None]] = (1, None)
    examples: ClassVar[Sequence[Example]] = (
        Example({}, [(3, 4, 2), (3, 4, 3)]),
        Example({"axis": 1}, [(2, 4, 3), (3, 4, 3)]),
        Example({"axis": -2}, [(3, 1, 2), (3, 4, 2), (3, 2, 2)]),
        Example({}, [(3, 4, 2)]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.concatenate(*inputs, axis=normalize_axis(self.axis, inputs[0].shape))


MERGES = (Add, Average, Concatenate, Maximum, Minimum, Multiply)
"""Layers of any number of inputs."""
