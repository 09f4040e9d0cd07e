"""Layers that merge several inputs.

Elementwise layers broadcast inputs of different shapes along axes of length 1, as Keras does: (height, width, channels)
can be combined with (1, 1, channels) and (channels,).
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from cnncli.errors import ShapeError
from cnncli.layers.declarations.field_types import Integer
from cnncli.layers.declarations.list_types import ItemOrList
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


@LAYERS.register
class Dot(Layer):
    """Sums of products of two inputs along an axis of each (Keras Dot).

    `axes` is one axis of both or one of each, where 0 is the batch axis. The other axes of the first input come first.
    """

    axes: Annotated[int | tuple[int, ...], ItemOrList(Integer())]
    normalize: bool = False
    """Divide both inputs by their norm along the axis first: the result is their cosine."""

    arity: ClassVar[tuple[int, int | None]] = (2, 2)
    examples: ClassVar[Sequence[Example]] = (
        Example({"axes": 1}, [(5,), (5,)]),
        Example({"axes": [1, 2]}, [(3, 4), (5, 3)]),
        Example({"axes": -1, "normalize": True}, [(2, 3, 4), (4,)]),
        Example({"axes": [2, 1]}, [(2, 3), (3, 2, 4)]),
    )

    def contradiction(self) -> str:
        if isinstance(self.axes, tuple) and len(self.axes) != 2:
            return f"axes must be an integer, or a list of one for each input; received {list(self.axes)}"
        return ""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        axes = self.axes if isinstance(self.axes, tuple) else (self.axes,) * 2
        found = [normalize_axis(axis, x.shape) for axis, x in zip(axes, inputs, strict=True)]
        a, b = (build.moved_last(x, [axis])[0] for axis, x in zip(found, inputs, strict=True))
        if a.shape[-1] != b.shape[-1]:
            raise ShapeError(f"the inputs must have one length along axes; received {a.shape[-1]} and {b.shape[-1]}")
        if self.normalize:
            a, b = (self._normalized(build, x) for x in (a, b))
        length, shape = a.shape[-1], (*a.shape[:-1], *b.shape[:-1])
        rows, columns = a.size // length, b.size // length
        products = build.multiply(build.reshape(a, (rows, 1, length)), build.reshape(b, (1, columns, length)))
        return build.reshape(build.reduce("sum", products, [2]), shape or (1,))

    @staticmethod
    def _normalized(build: Builder, x: Value) -> Value:
        squares = build.reduce("sum", build.multiply(x, x), [len(x.shape) - 1])
        return build.multiply(x, build.rsqrt(build.activation(squares, "threshold", 1e-14, 1e-14)))  # Keras' bound


MERGES = (Add, Average, Concatenate, Maximum, Minimum, Multiply)
"""Layers of any number of inputs."""
