"""Layers declared by tests: of one operation, and normalizations and squeeze-and-excite made of known ones.

They show what a layer needs that is no more than a declaration; the product does not have them.
"""

from collections.abc import Callable
from typing import Any

from cnncli.layers.initializers import Zeros
from cnncli.layers.layer import Layer, Weight
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Shape, Value


def of(lowered: Callable[..., Value], **shapes: Shape) -> Layer:
    """A layer without fields, with weights of these shapes, lowered by `lowered(build, *inputs)`."""

    class Declared(Layer):
        """What a test declares."""

        arity = (1, None)

        def weights(self, *inputs: Shape) -> dict[str, Weight]:
            return {name: Weight(shape, Zeros()) for name, shape in shapes.items()}

        def lower(self, build: Builder, *inputs: Value) -> Value:
            return lowered(build, *inputs)

    return Declared()


def normalized(build: Builder, x: Value, axes: tuple[int, ...], epsilon: float) -> Value:
    """x less its mean, divided by the root of its variance, over `axes`."""
    centered = build.subtract(x, build.reduce("mean", x, axes))
    variance = build.reduce("mean", build.multiply(centered, centered), axes)
    return build.multiply(centered, build.rsqrt(variance, epsilon))


class LayerNormalization(Layer):
    """Normalization of the last axes of each sample (Keras LayerNormalization)."""

    axes: int = 1
    epsilon: float = 0.001

    def weights(self, *inputs: Shape) -> dict[str, Weight]:
        return {name: Weight(inputs[0][-self.axes :], Zeros()) for name in ("gamma", "beta")}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        rank = len(inputs[0].shape)
        y = normalized(build, inputs[0], tuple(range(rank - self.axes, rank)), self.epsilon)
        return build.shift(build.scale(y, build.weight("gamma")), build.weight("beta"))


class GroupNormalization(Layer):
    """Normalization of groups of channels of each sample (Keras GroupNormalization)."""

    groups: int = 32
    epsilon: float = 0.001

    def weights(self, *inputs: Shape) -> dict[str, Weight]:
        return {name: Weight(inputs[0][-1:], Zeros()) for name in ("gamma", "beta")}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        *places, channels = shape = inputs[0].shape
        grouped = build.reshape(inputs[0], (*places, self.groups, channels // self.groups))
        y = normalized(build, grouped, (*range(len(places)), len(places) + 1), self.epsilon)
        return build.shift(build.scale(build.reshape(y, shape), build.weight("gamma")), build.weight("beta"))


class SqueezeAndExcite(Layer):
    """Each channel of an image times what two dense layers make of all channels' means (Hu et al. 2018)."""

    squeezed: int = 2

    def weights(self, *inputs: Shape) -> dict[str, Weight]:
        channels = inputs[0][-1]
        return {
            "squeeze": Weight((channels, self.squeezed), Zeros()),
            "excite": Weight((self.squeezed, channels), Zeros()),
        }

    def lower(self, build: Builder, *inputs: Value) -> Value:
        means = build.reduce("mean", inputs[0], (0, 1), keep=False)
        hidden = build.activation(build.dense(means, build.weight("squeeze"), None), "relu")
        return build.multiply(inputs[0], build.activation(build.dense(hidden, build.weight("excite"), None), "sigmoid"))


def keras(case: dict[str, Any]) -> Layer:
    """The layer of a case of tests/fixtures/declared.json."""
    config = dict(case["config"])
    if case["layer"] == "GroupNormalization":
        return GroupNormalization(**config)
    axis = config.pop("axis", -1)
    return LayerNormalization(**config, axes=len(axis) if isinstance(axis, list) else 1)
