"""Translation of spatial layers to PyTorch: convolutions, pooling, padding, cropping and upsampling."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnncli.layers.convolution import Conv2D
from cnncli.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from cnncli.layers.layer import Layer
from cnncli.layers.pooling import GlobalAveragePooling2D, GlobalMaxPooling2D
from cnncli.layers.resizing import Cropping2D, ZeroPadding2D
from cnncli.layers.transpose import Conv2DTranspose
from cnncli.ops.ir import Shape
from cnncli.ops.window import Window

Module = tuple[str, dict[str, Any]]
"""A class of torch.nn and its arguments."""


def convolution(window: Window, shape: Shape, filters: int, *, bias: bool, groups: int = 1) -> list[Module]:
    """A convolution, preceded by explicit padding if it is asymmetric."""
    before, after = (list(cells) for cells in window.padding_cells(*shape[:2]))
    even = before == after
    arguments = {
        "in_channels": shape[2],
        "out_channels": filters,
        "kernel_size": list(window.size),
        "stride": list(window.strides),
        "padding": before if even else [0, 0],
        "dilation": list(window.dilation),
        "groups": groups,
        "bias": bias,
    }
    return [*([] if even else [border(before, after, 0.0)]), ("Conv2d", arguments)]


def border(before: Sequence[int], after: Sequence[int], value: float) -> Module:
    """Constant padding, (above, left) and (below, right); negative numbers crop."""
    return "ConstantPad2d", {"padding": [before[1], after[1], before[0], after[0]], "value": value}


def _convolution(layer: Conv2D, shape: Shape) -> list[Module]:
    window = Window(layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)
    return convolution(window, shape, layer.filters, bias=layer.use_bias, groups=layer.groups)


def _depthwise(layer: DepthwiseConv2D, shape: Shape) -> list[Module]:
    filters = shape[2] * layer.depth_multiplier
    return convolution(layer.window, shape, filters, bias=layer.use_bias, groups=shape[2])


def _separable(layer: SeparableConv2D, shape: Shape) -> list[Module]:
    filters = shape[2] * layer.depth_multiplier
    return [
        *convolution(layer.window, shape, filters, bias=False, groups=shape[2]),
        *convolution(Window((1, 1)), (*shape[:2], filters), layer.filters, bias=layer.use_bias),
    ]


def _transposed(layer: Conv2DTranspose, shape: Shape) -> list[Module]:
    """PyTorch crops symmetrically; where Keras crops one more cell on the right or below, a border does so."""
    window, size = layer.window, layer.size(shape)
    first = window.padding_before(*size)
    cells = zip(shape[:2], window.strides, window.extent, size, first, strict=True)
    more = [wanted - ((length - 1) * s + extent - 2 * cut) for length, s, extent, wanted, cut in cells]
    arguments = {
        "in_channels": shape[2],
        "out_channels": layer.filters,
        "kernel_size": list(window.size),
        "stride": list(window.strides),
        "padding": list(first),
        "output_padding": [max(0, cells) for cells in more],
        "dilation": list(window.dilation),
        "bias": layer.use_bias,
    }
    less = [min(0, cells) for cells in more]
    return [("ConvTranspose2d", arguments), *([border([0, 0], less, 0.0)] if any(less) else [])]


def _averaged(layer: GlobalAveragePooling2D, shape: Shape) -> list[Module]:
    return [("AdaptiveAvgPool2d", {"output_size": [1, 1]}), *([] if layer.keepdims else [("Flatten", {})])]


def _largest(layer: GlobalMaxPooling2D, shape: Shape) -> list[Module]:
    return [("AdaptiveMaxPool2d", {"output_size": [1, 1]}), *([] if layer.keepdims else [("Flatten", {})])]


def _padded(layer: ZeroPadding2D, shape: Shape) -> list[Module]:
    (top, bottom), (left, right) = layer.padding
    return [border((top, left), (bottom, right), 0.0)]


def _cropped(layer: Cropping2D, shape: Shape) -> list[Module]:
    (top, bottom), (left, right) = layer.cropping
    return [border((-top, -left), (-bottom, -right), 0.0)]


TRANSLATORS: Mapping[type[Layer], Callable[[Any, Shape], list[Module]]] = {
    Conv2D: _convolution,
    DepthwiseConv2D: _depthwise,
    SeparableConv2D: _separable,
    Conv2DTranspose: _transposed,
    GlobalAveragePooling2D: _averaged,
    GlobalMaxPooling2D: _largest,
    ZeroPadding2D: _padded,
    Cropping2D: _cropped,
}
