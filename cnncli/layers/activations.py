"""Activation layers with arguments."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from cnncli.layers import activation_functions
from cnncli.layers.activation_functions import Elu, LeakyRelu, Relu
from cnncli.layers.constraints import ConstraintField
from cnncli.layers.declarations.declaration import NonNegative
from cnncli.layers.declarations.field_types import Integer, Maybe
from cnncli.layers.declarations.list_types import OneOrMore
from cnncli.layers.fields import Axes, normalize_axes
from cnncli.layers.initializers import InitializerField, Zeros
from cnncli.layers.layer import LAYERS, Example, Layer, Weight
from cnncli.layers.regularizers import RegularizerField
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Shape, Value


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
    """Softmax along `axis`, one or several: exp(x)/Σexp(x); 0 is the batch axis, -1 the last axis (Keras Softmax)."""

    axis: Axes = -1

    examples: ClassVar[Sequence[Example]] = (
        *_examples({}, {"axis": 1}, {"axis": -2}, {"axis": [1, 2]}, {"axis": [3, 1]}),
        Example({"axis": -2}, [(3, 4, 1)]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.along_axes("softmax", inputs[0], normalize_axes(self.axis, inputs[0].shape))


@LAYERS.register
class PReLU(Layer):
    """Leaky ReLU with learned slopes `alpha`: x for x > 0, else alpha · x; one along `shared_axes` (Keras PReLU)."""

    alpha_initializer: InitializerField = Zeros()
    alpha_regularizer: RegularizerField = None
    alpha_constraint: ConstraintField = None
    shared_axes: Annotated[tuple[int, ...] | None, Maybe(OneOrMore(Integer(1)))] = None
    trainable: bool = True

    examples: ClassVar[Sequence[Example]] = _examples(
        {},
        {"shared_axes": [1, 2]},
        {"shared_axes": 1},
        {"shared_axes": [1, 3], "alpha_regularizer": {"l2": {"l2": 0.1}}},
        {"shared_axes": [1, 2, 3]},
        {"shared_axes": [1, 2], "trainable": False},
    )

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        shared = self._shared(inputs[0])
        shape = tuple(1 if axis in shared else length for axis, length in enumerate(inputs[0]))
        options = self.alpha_regularizer, self.alpha_constraint
        return {"alpha": Weight(shape, self.alpha_initializer, *options, self.trainable)}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        x, shared = inputs[0], self._shared(inputs[0].shape)
        below = build.activation(build.affine(x, -1.0), "relu")
        own = [axis for axis in range(len(x.shape)) if axis not in shared]
        order = [*shared, *own]  # the axes that alpha has come last
        alpha = build.reshape(build.weight("alpha"), tuple(x.shape[axis] for axis in own) or (1,))
        moved = build.permute(below, order)
        rows = moved if own else build.reshape(moved, (*moved.shape, 1))
        scaled = build.reshape(build.scale(rows, alpha), moved.shape)
        back = build.permute(scaled, [order.index(axis) for axis in range(len(order))])
        return build.subtract(build.activation(x, "relu"), back)

    def _shared(self, shape: Shape) -> tuple[int, ...]:
        return () if self.shared_axes is None else normalize_axes(self.shared_axes, shape)


def ends_in_softmax(layer: Layer) -> bool:
    """Whether the last thing that a layer does is a softmax."""
    return isinstance(layer, Softmax) or isinstance(getattr(layer, "activation", None), activation_functions.Softmax)
