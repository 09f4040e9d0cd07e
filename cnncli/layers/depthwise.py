"""Depthwise and separable convolutions."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cnncli.layers.constraints import ConstraintField
from cnncli.layers.convolution import channels_of
from cnncli.layers.declarations.declaration import Pair, PositiveInt
from cnncli.layers.fields import DataFormat, Padding
from cnncli.layers.initializers import GlorotUniform, InitializerField
from cnncli.layers.kernel import BiasedLayer
from cnncli.layers.layer import LAYERS, Example, Weight
from cnncli.layers.regularizers import RegularizerField
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Shape, Value
from cnncli.ops.window import Window


def _example(image: Shape, **arguments: Any) -> Example:
    return Example({"kernel_size": 3, **arguments}, [image])


class _Depthwise(BiasedLayer):
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = "valid"
    depth_multiplier: PositiveInt = 1
    data_format: DataFormat = "channels_last"
    dilation_rate: Pair = (1, 1)
    depthwise_initializer: InitializerField = GlorotUniform()
    depthwise_regularizer: RegularizerField = None
    depthwise_constraint: ConstraintField = None

    @property
    def window(self) -> Window:
        """The window of the depthwise kernels. Strides may be combined with dilation, as in Keras (unlike Conv2D)."""
        return Window(self.kernel_size, self.strides, self.padding, self.dilation_rate)

    def depthwise_kernel(self, image: Shape) -> Weight:
        """The depthwise kernel: (height, width, channels, depth_multiplier)."""
        shape = (*self.kernel_size, channels_of(image), self.depth_multiplier)
        options = self.depthwise_regularizer, self.depthwise_constraint
        return Weight(shape, self.depthwise_initializer, *options, self.trainable)


@LAYERS.register
class DepthwiseConv2D(_Depthwise):
    """Convolves each channel of an image with its own `depth_multiplier` kernels (Keras DepthwiseConv2D)."""

    examples: ClassVar[Sequence[Example]] = (
        _example((6, 5, 3)),
        _example((7, 6, 2), padding="same", strides=2, activation="relu"),
        _example((6, 5, 17), padding="same", use_bias=False),
        _example((5, 6, 2), depth_multiplier=3, padding="same", activation="tanh"),
        _example((9, 8, 2), dilation_rate=[2, 3], depthwise_regularizer="l2"),
        _example((9, 8, 2), dilation_rate=2, strides=[2, 3], padding="same", kernel_size=[3, 2]),
        _example((6, 6, 2), kernel_size=5, padding="same", activation="softmax", bias_regularizer="l1"),
    )

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        outputs = channels_of(inputs[0]) * self.depth_multiplier
        return {"kernel": self.depthwise_kernel(inputs[0]), **self.bias_weight(outputs)}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        kernel, bias = build.weight("kernel"), build.optional_weight("bias")
        return self.activated(build, build.depthwise_conv2d(inputs[0], kernel, bias, self.window))


@LAYERS.register
class SeparableConv2D(_Depthwise):
    """A depthwise convolution followed by a pointwise (1×1) convolution (Keras SeparableConv2D)."""

    aliases = ("SeparableConvolution2D",)

    filters: PositiveInt
    pointwise_initializer: InitializerField = GlorotUniform()
    pointwise_regularizer: RegularizerField = None
    pointwise_constraint: ConstraintField = None

    examples: ClassVar[Sequence[Example]] = (
        _example((6, 5, 3), filters=4),
        _example((7, 6, 2), filters=3, padding="same", strides=2, activation="relu"),
        _example((5, 6, 2), filters=5, depth_multiplier=2, padding="same", use_bias=False),
        _example((8, 7, 2), filters=2, dilation_rate=2, pointwise_regularizer="l2", depthwise_regularizer="l1"),
    )

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        shape = (1, 1, channels_of(inputs[0]) * self.depth_multiplier, self.filters)
        options = self.pointwise_regularizer, self.pointwise_constraint
        pointwise = Weight(shape, self.pointwise_initializer, *options, self.trainable)
        depthwise = self.depthwise_kernel(inputs[0])
        return {"depthwise_kernel": depthwise, "pointwise_kernel": pointwise, **self.bias_weight(self.filters)}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        x = build.depthwise_conv2d(inputs[0], build.weight("depthwise_kernel"), None, self.window)
        y = build.conv2d(x, build.weight("pointwise_kernel"), build.optional_weight("bias"), Window((1, 1)))
        return self.activated(build, y)
