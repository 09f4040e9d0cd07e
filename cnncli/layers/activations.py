"""Activation layers with arguments."""

from collections.abc import Sequence
from typing import Any, ClassVar

from cnncli.layers import activation_functions
from cnncli.layers.activation_functions import Elu, LeakyRelu, Relu
from cnncli.layers.declarations.declaration import NonNegative
from cnncli.layers.fields import normalize_axis
from cnncli.layers.layer import LAYERS, Example, Layer
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Value


def _examples(*arguments: dict[str, Any]) -> Sequence[Example]:
    return tuple(Example(each, [(3, 4, 5)]) for each in arguments)


@LAYERS.register
class ReLU(Layer):
    """ReLU: min(x, max_value) for x ≥ threshold, else negative_slope · (x − threshold) (Keras ReLU)."""

    max_value: NonNegative | None = None
    negative_slope: NonNegative = 0.0
    threshold: NonNegative = 0.0

    examples: ClassVar[Sequence[Example]] = _examples(
        {}, {"max_value": 6.0}, {"negative_slope": 0.1}, {"max_value": 0.7, "negative_slope": 0.2, "threshold": 0.3}
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return Relu(**self.settings()).apply(build, inputs[0])


@LAYERS.register
class LeakyReLU(Layer):
    """Leaky ReLU: x for x > 0, else negative_slope · x (Keras LeakyReLU)."""

    negative_slope: NonNegative = 0.3

    examples: ClassVar[Sequence[Example]] = _examples({}, {"negative_slope": 0.01})

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return LeakyRelu(**self.settings()).apply(build, inputs[0])


@LAYERS.register
class ELU(Layer):
    """Exponential linear unit: x for x > 0, else alpha · (eˣ − 1) (Keras ELU)."""

    alpha: float = 1.0

    examples: ClassVar[Sequence[Example]] = _examples({}, {"alpha": 0.5}, {"alpha": -0.5})

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return Elu(**self.settings()).apply(build, inputs[0])


@LAYERS.register
class Softmax(Layer):
    """Softmax along `axis`: exp(x)/Σexp(x); axis 0 is the batch axis, -1 the last axis (Keras Softmax)."""

    axis: int = -1

    examples: ClassVar[Sequence[Example]] = _examples({}, {"axis": 1}, {"axis": -2})

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.softmax(inputs[0], normalize_axis(self.axis, inputs[0].shape))


def ends_in_softmax(layer: Layer) -> bool:
    """Whether the last thing that a layer does is a softmax."""
    return isinstance(layer, Softmax) or isinstance(getattr(layer, "activation", None), activation_functions.Softmax)
