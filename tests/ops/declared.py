"""Layers declared by tests: of one operation, and squeeze-and-excite made of known ones.

They show what a layer needs that is no more than a declaration; the product does not have them.
"""

from collections.abc import Callable

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
