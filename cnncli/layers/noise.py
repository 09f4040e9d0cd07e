"""Layers that change their input at random during training: dropouts and noise.

The random numbers depend on the seed, the step and the layer's place in the model; with `seed`, on this instead of the
seed of the run and the place.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Annotated, Any, ClassVar

from cnncli.errors import ShapeError
from cnncli.layers.declarations.declaration import Fraction
from cnncli.layers.declarations.field_types import Integer, Maybe, Number
from cnncli.layers.declarations.list_types import ListOf
from cnncli.layers.fields import DataFormat
from cnncli.layers.layer import LAYERS, Example, Layer
from cnncli.ops.builder import Builder
from cnncli.ops.conv import image_shape
from cnncli.ops.ir import Shape, Value

NoiseShape = Annotated[
    tuple[int | None, ...] | None,
    Maybe(ListOf(Maybe(Integer(1)), 1, rule="a list of null, 1 or the length of each axis, batch axis first")),
]


def _examples(*arguments: dict[str, Any]) -> Sequence[Example]:
    return tuple(Example(each, [(5, 4, 3)]) for each in arguments)


class _Random(Layer):
    seed: int | None = None
    """Replaces the seed of the run and the layer's place in the model."""


class _Dropout(_Random):
    rate: Fraction
    noise_shape: NoiseShape = None
    """One drop for each axis of length 1, batch axis first; null is the length of the input."""

    def shape(self, x: Value) -> Shape:
        """`noise_shape` without the batch axis. Raises ShapeError if it does not fit."""
        if self.noise_shape is None:
            return x.shape
        first, *others = self.noise_shape
        if first is not None:
            raise ShapeError(f"noise_shape begins with null, the batch: all samples differ; received {first}")
        lengths = tuple(own if given is None else given for own, given in zip(x.shape, others, strict=False))
        if len(others) != len(x.shape) or any(n not in (1, own) for n, own in zip(lengths, x.shape, strict=True)):
            raise ShapeError(
                f"noise_shape must have null, the input's length or 1 for each axis; "
                f"received {list(self.noise_shape)} for {x.shape}"
            )
        return lengths


@LAYERS.register
class Dropout(_Dropout):
    """During training, sets a fraction `rate` of inputs to 0 and scales the rest by 1/(1−rate) (Keras Dropout)."""

    examples: ClassVar[Sequence[Example]] = (
        Example({"rate": 0.4}, [(5, 4, 3)]),
        Example({"rate": 0.0}, [(5,)]),
        Example({"rate": 0.4, "noise_shape": [None, 1, 4, None], "seed": 3}, [(5, 4, 3)]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.dropout(inputs[0], self.rate, self.seed, self.shape(inputs[0]))


@LAYERS.register
class SpatialDropout2D(_Random):
    """During training, sets whole channels to 0 and scales the rest by 1/(1−rate) (Keras SpatialDropout2D)."""

    rate: Fraction
    data_format: DataFormat = "channels_last"

    examples: ClassVar[Sequence[Example]] = _examples({"rate": 0.4}, {"rate": 0.6, "seed": 3}, {"rate": 0.0})

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.dropout(inputs[0], self.rate, self.seed, (1, 1, image_shape(inputs[0])[2]))


@LAYERS.register
class StochasticDepth(Layer):
    """During training, sets whole samples to 0 and scales the rest by 1/(1−rate) (StochasticDepth of Keras' ConvNeXt).

    Before an Add, this leaves the branch out.
    """

    drop_path_rate: Fraction

    examples: ClassVar[Sequence[Example]] = _examples({"drop_path_rate": 0.4}, {"drop_path_rate": 0.0})

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.dropout(inputs[0], self.drop_path_rate, None, (1,) * len(inputs[0].shape))


@LAYERS.register
class AlphaDropout(_Dropout):
    """Dropout to the negative saturation of selu, which keeps mean and variance (Keras AlphaDropout)."""

    examples: ClassVar[Sequence[Example]] = _examples(
        {"rate": 0.4}, {"rate": 0.2, "noise_shape": [None, None, 1, 1], "seed": 3}, {"rate": 0.0}
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        floor = -1.0507009873554805 * 1.6732632423543772
        a = ((1 - self.rate) * (1 + self.rate * floor**2)) ** -0.5
        b = -a * floor * self.rate
        return build.keep(inputs[0], self.rate, (a, b, a * floor + b), self.seed, self.shape(inputs[0]))


@LAYERS.register
class GaussianDropout(_Random):
    """During training, multiplies by normal noise of mean 1 and variance rate/(1 − rate) (Keras GaussianDropout)."""

    rate: Fraction

    examples: ClassVar[Sequence[Example]] = _examples({"rate": 0.4}, {"rate": 0.2, "seed": 3}, {"rate": 0.0})

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.noise("times normal", inputs[0], sqrt(self.rate / (1 - self.rate)), self.seed)


@LAYERS.register
class GaussianNoise(_Random):
    """During training, adds normal noise of standard deviation `stddev` (Keras GaussianNoise)."""

    stddev: Annotated[float, Number(0, 1)]

    examples: ClassVar[Sequence[Example]] = _examples({"stddev": 0.4}, {"stddev": 0.2, "seed": 3}, {"stddev": 0.0})

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.noise("plus normal", inputs[0], self.stddev, self.seed)
