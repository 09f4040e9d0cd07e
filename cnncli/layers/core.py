"""Dense, Flatten, Activation, Identity, ActivityRegularization."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar

from cnncli.layers.activation_functions import ACTIVATIONS, ActivationField
from cnncli.layers.declarations.declaration import NonNegative, PositiveInt
from cnncli.layers.fields import DataFormat
from cnncli.layers.kernel import KernelLayer
from cnncli.layers.layer import LAYERS, Example, Layer, Weight
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Shape, Value


@LAYERS.register
class Dense(KernelLayer):
    """A dense (fully connected) layer: activation(x · kernel + bias) over the last axis (Keras Dense)."""

    units: PositiveInt

    examples: ClassVar[Sequence[Example]] = (
        Example({"units": 4}, [(7,)]),
        Example({"units": 3, "activation": "tanh", "use_bias": False}, [(2, 3, 5)]),
        Example({"units": 3, "activation": "softmax", "kernel_regularizer": {"l2": {"l2": 0.02}}}, [(4,)]),
        Example({"units": 2, "activation": "sigmoid", "activity_regularizer": {"l1": {"l1": 0.1}}}, [(4,)]),
        Example(
            {"units": 5, "kernel_regularizer": {"orthogonal_regularizer": {"factor": 0.5, "mode": "columns"}}}, [(4,)]
        ),
        Example({"units": 5, "activation": "relu", "bias_regularizer": {"l1l2": {"l1": 0.1, "l2": 0.1}}}, [(3,)]),
    )

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        return self.kernel_and_bias((inputs[0][-1], self.units))

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return self.activated(build, build.dense(inputs[0], build.weight("kernel"), build.optional_weight("bias")))


@LAYERS.register
class Flatten(Layer):
    """Flattens the input to one axis, in row-major order (Keras Flatten)."""

    data_format: DataFormat = "channels_last"

    examples: ClassVar[Sequence[Example]] = (Example({}, [(3, 4, 2)]), Example({}, [(5,)]))

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.reshape(inputs[0], (prod(inputs[0].shape),))


@LAYERS.register
class Activation(Layer):
    """Applies an activation function (Keras Activation)."""

    activation: ActivationField

    examples: ClassVar[Sequence[Example]] = tuple(
        Example({"activation": {cls.__name__: arguments} if arguments else cls.__name__}, [(3, 4, 6)])
        for cls in ACTIVATIONS
        for arguments in cls.examples
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return self.activation.apply(build, inputs[0])


@LAYERS.register
class Identity(Layer):
    """The input, unchanged (Keras Identity)."""

    examples: ClassVar[Sequence[Example]] = (Example({}, [(3, 4, 2)]), Example({}, [(5,)]))

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return inputs[0]


@LAYERS.register
class ActivityRegularization(Layer):
    """The input; adds the penalty l1·Σ|x| + l2·Σx², divided by the batch size (Keras ActivityRegularization)."""

    l1: NonNegative = 0.0
    l2: NonNegative = 0.0

    examples: ClassVar[Sequence[Example]] = (
        Example({"l1": 0.1, "l2": 0.2}, [(3, 4, 2)]),
        Example({"l2": 0.3}, [(5,)]),
        Example({}, [(5,)]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        build.penalty(inputs[0], self.l1, self.l2)
        return inputs[0]
