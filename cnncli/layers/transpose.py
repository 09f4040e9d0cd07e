"""The transposed convolution."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from cnncli.layers.convolution import channels_of, strides_and_dilation
from cnncli.layers.declarations.declaration import Pair, PositiveInt
from cnncli.layers.declarations.field_types import Integer
from cnncli.layers.declarations.list_types import PairOf
from cnncli.layers.fields import DataFormat, Padding
from cnncli.layers.kernel import KernelLayer
from cnncli.layers.layer import LAYERS, Example, Weight
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Shape, Value
from cnncli.ops.window import Window


def _example(image: Shape, **arguments: Any) -> Example:
    return Example({"filters": 3, "kernel_size": 3, **arguments}, [image])


@LAYERS.register
class Conv2DTranspose(KernelLayer):
    """Transposed 2D convolution, which enlarges an image by `strides` (Keras Conv2DTranspose).

    With n input pixels along an axis and k = (kernel_size − 1) · dilation_rate + 1, the output has n · strides pixels
    for padding "same" and (n − 1) · strides + max(k, strides) for "valid"; if `output_padding` is given,
    (n − 1) · strides + k mod 2 + output_padding for "same" and (n − 1) · strides + k + output_padding for "valid".
    """

    aliases = ("Convolution2DTranspose",)

    filters: PositiveInt
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = "valid"
    output_padding: Annotated[tuple[int, int], PairOf(Integer(0))] | None = None
    data_format: DataFormat = "channels_last"
    dilation_rate: Pair = (1, 1)

    examples: ClassVar[Sequence[Example]] = (
        _example((4, 3, 2)),
        _example((3, 4, 2), strides=2, padding="same", activation="relu"),
        _example((3, 2, 2), strides=[2, 3], kernel_size=2, activation="tanh"),
        _example((3, 2, 2), strides=3, kernel_size=1, activation="sigmoid", kernel_regularizer="l2"),
        _example((3, 4, 2), strides=2, output_padding=1, padding="same", use_bias=False),
        _example((3, 3, 2), strides=[2, 3], output_padding=[0, 2], activity_regularizer="l2"),
        _example((3, 4, 2), dilation_rate=[2, 1], padding="same", activation="softmax"),
    )

    def contradiction(self) -> str:
        if message := strides_and_dilation(self.strides, self.dilation_rate):
            return message
        if self.output_padding is None:
            return ""
        received = f"received output_padding={list(self.output_padding)}, strides={list(self.strides)}"
        if any(extra >= stride for extra, stride in zip(self.output_padding, self.strides, strict=True)):
            return f"output_padding must be less than strides; {received}"
        sizes = zip(self.output_padding, self.window.extent, strict=True)
        if self.padding == "same" and any(extra + extent % 2 == 0 for extra, extent in sizes):
            return (
                f"output_padding must be ≥ 1 if padding is 'same' and the kernel size is even; {received}, "
                f"kernel_size={list(self.kernel_size)}"
            )
        return ""

    @property
    def window(self) -> Window:
        """The window of the convolution whose transpose this is."""
        return Window(self.kernel_size, self.strides, self.padding, self.dilation_rate)

    def size(self, image: Shape) -> tuple[int, int]:
        """Height and width of the output for an input image."""
        return self._length(image[0], 0), self._length(image[1], 1)

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        shape = (*self.kernel_size, self.filters, channels_of(inputs[0]))
        return {"kernel": self.kernel_weight(shape), **self.bias_weight(self.filters)}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        kernel, bias = build.weight("kernel"), build.optional_weight("bias")
        y = build.conv2d_transpose(inputs[0], kernel, bias, self.window, self.size(inputs[0].shape))
        return self.activated(build, y)

    def _length(self, pixels: int, axis: int) -> int:
        """Output pixels along an axis (keras/src/backend/common/backend_utils.py)."""
        stride, extent = self.strides[axis], self.window.extent[axis]
        same = self.padding == "same"
        if self.output_padding is None:
            return pixels * stride if same else (pixels - 1) * stride + max(extent, stride)
        return (pixels - 1) * stride + (extent % 2 if same else extent) + self.output_padding[axis]
