"""Convolutional layers."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cnncli.errors import ShapeError
from cnncli.layers.declarations.declaration import Pair, PositiveInt
from cnncli.layers.fields import DataFormat, Padding
from cnncli.layers.kernel import KernelLayer
from cnncli.layers.layer import LAYERS, Example, Weight
from cnncli.ops.builder import Builder
from cnncli.ops.conv import checked_image
from cnncli.ops.ir import Shape, Value
from cnncli.ops.window import Window


def _example(image: Shape, **arguments: Any) -> Example:
    return Example({"filters": 4, "kernel_size": 3, **arguments}, [image])


@LAYERS.register
class Conv2D(KernelLayer):
    """2D convolution of an image (height, width, channels) with `filters` kernels (Keras Conv2D)."""

    aliases = ("Convolution2D",)

    filters: PositiveInt
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = "valid"
    data_format: DataFormat = "channels_last"
    dilation_rate: Pair = (1, 1)
    groups: PositiveInt = 1

    examples: ClassVar[Sequence[Example]] = (
        _example((7, 6, 2)),
        _example((7, 6, 2), padding="same", strides=2, activation="relu"),
        _example((8, 9, 1), padding="same", strides=[2, 3], kernel_size=[3, 2], use_bias=False),
        _example((9, 8, 2), dilation_rate=2, activation="tanh"),
        _example((9, 8, 2), dilation_rate=[1, 2], padding="same", kernel_size=4, activation="sigmoid"),
        _example((6, 6, 4), groups=2, padding="same", kernel_regularizer="l2"),
        _example((5, 5, 4), groups=4, kernel_size=1, strides=3, activity_regularizer={"l2": {"l2": 0.1}}),
        _example((5, 6, 3), kernel_size=2, activation="softmax", bias_regularizer={"l1": {"l1": 0.05}}),
    )

    def contradiction(self) -> str:
        if message := strides_and_dilation(self.strides, self.dilation_rate):
            return message
        if self.filters % self.groups:
            return f"filters must be divisible by groups; received filters={self.filters}, groups={self.groups}"
        return ""

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        channels = channels_of(inputs[0])
        if channels % self.groups:
            raise ShapeError(
                f"the input's channels must be divisible by groups; received {channels} channels, groups={self.groups}"
            )
        return self.kernel_and_bias((*self.kernel_size, channels // self.groups, self.filters))

    def lower(self, build: Builder, *inputs: Value) -> Value:
        window = Window(self.kernel_size, self.strides, self.padding, self.dilation_rate)
        y = build.conv2d(inputs[0], build.weight("kernel"), build.optional_weight("bias"), window, self.groups)
        return self.activated(build, y)


def strides_and_dilation(strides: tuple[int, int], dilation_rate: tuple[int, int]) -> str:
    """The error message for a layer that allows only one of the two above 1; "" if there is no conflict."""
    if strides == (1, 1) or dilation_rate == (1, 1):
        return ""
    return (
        "strides > 1 can't be combined with dilation_rate > 1; received "
        f"strides={list(strides)}, dilation_rate={list(dilation_rate)}"
    )


def channels_of(image: Shape) -> int:
    """The number of channels of an image shape. Raises ShapeError for any other shape."""
    return checked_image(image)[2]
