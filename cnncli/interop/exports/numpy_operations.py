"""Operations as NumPy expressions, which call `numpy_functions`."""

import json
from collections.abc import Mapping, Sequence
from inspect import signature
from math import isinf
from typing import Any

from cnncli.interop.exports import numpy_functions
from cnncli.interop.exports.lines import Names, Translator
from cnncli.interop.inference import Inference
from cnncli.interop.resampling import matrices
from cnncli.kernels.elementwise.activation_names import parts
from cnncli.ops.arrange import Concatenate, Reshape
from cnncli.ops.batch_normalization import FixedNormalization
from cnncli.ops.conv import Conv2D
from cnncli.ops.dense import Dense
from cnncli.ops.depthwise import DepthwiseConv2D
from cnncli.ops.elementwise import Activation, Rsqrt, Softmax
from cnncli.ops.ir import Call, Op, Value
from cnncli.ops.merging import (
    Add,
    Affine,
    AffineChannels,
    Broadcast,
    Extreme,
    Multiply,
    Reduce,
    Subtract,
    SwapLast,
    Weighted,
)
from cnncli.ops.pooling import AveragePool2D, GlobalMaxPool2D, MaxPool2D
from cnncli.ops.resample import Frame, RepeatChannels, UpSample2D
from cnncli.ops.resize import Resample
from cnncli.ops.sample_normalization import GroupNormalization, LayerNormalization
from cnncli.ops.transpose import Conv2DTranspose
from cnncli.ops.window import Window

UFUNCS = {"tanh": "np.tanh", "exponential": "np.exp"}
SAME = {"elu_of_input": "elu"}
"""Activations that differ in their derivative only."""


def call_of(name: str, *arguments: str, **options: Any) -> str:
    """A call of one of `numpy_functions`, without options that have their default."""
    known = signature(getattr(numpy_functions, name)).parameters
    given = [f"{key}={value!r}" for key, value in options.items() if value != known[key].default]
    return f"{name}({', '.join([*arguments, *given])})"


def read(names: Names, call: Call) -> list[str]:
    """The inputs of a call: variables and weights."""
    return [_operand(names, value) for value in call.inputs]


def _operand(names: Names, value: Value) -> str:
    return names[value] if value.batched else f"w[{json.dumps(names.network.names[value])}]"


def _geometry(window: Window, call: Call) -> dict[str, Any]:
    before, after = window.padding_cells(*call.inputs[0].shape[:2])
    padding = tuple(zip(before, after, strict=True))
    return {"strides": window.strides, "padding": padding}


def _convolution(names: Names, call: Call, op: Conv2D) -> str:
    more = {**_geometry(op.window, call), "dilation": op.window.dilation}
    if op.groups > 1:
        return call_of("grouped_conv2d", *read(names, call), groups=op.groups, **more)
    return call_of("conv2d", *read(names, call), **more)


def _depthwise(names: Names, call: Call, op: DepthwiseConv2D) -> str:
    more = _geometry(op.window, call)
    return call_of("depthwise_conv2d", *read(names, call), **more, dilation=op.window.dilation)


def _transposed(names: Names, call: Call, op: Conv2DTranspose) -> str:
    window = op.window
    more = {"strides": window.strides, "before": window.padding_before(*op.size), "dilation": window.dilation}
    return call_of("conv2d_transpose", *read(names, call), size=op.size, **more)


def _dense(names: Names, call: Call, op: Dense) -> str:
    x, kernel, *bias = read(names, call)
    return " + ".join([f"{x} @ {kernel}", *bias])


def _largest(names: Names, call: Call, op: MaxPool2D) -> str:
    return call_of("max_pool2d", *read(names, call), repr(op.window.size), **_geometry(op.window, call))


def _averaged(names: Names, call: Call, op: AveragePool2D) -> str:
    (x,) = read(names, call)
    if op.window == Window(call.inputs[0].shape[:2]):  # type: ignore[arg-type]  # an image has two
        return f"{x}.mean(axis=(1, 2), keepdims=True)"
    return call_of("average_pool2d", x, repr(op.window.size), **_geometry(op.window, call))


def _normalized(names: Names, call: Call, op: FixedNormalization) -> str:
    x, mean, variance, *given = read(names, call)
    return call_of("batch_normalization", x, mean, variance, *_gamma_and_beta(op, given), epsilon=op.epsilon)


def _layer_normalized(names: Names, call: Call, op: LayerNormalization) -> str:
    x, *given = read(names, call)
    axes = repr(tuple(range(-op.axes, 0)) if op.axes > 1 else -1)
    name = "layer_normalization" if op.centered else "rms_normalization"
    return call_of(name, x, axes, *_gamma_and_beta(op, given), epsilon=op.epsilon)


def _group_normalized(names: Names, call: Call, op: GroupNormalization) -> str:
    x, *given = read(names, call)
    return call_of("group_normalization", x, repr(op.groups), *_gamma_and_beta(op, given), epsilon=op.epsilon)


def _gamma_and_beta(op: Any, given: Sequence[str]) -> list[str]:
    """The optional inputs of a normalization, as keyword arguments."""
    wanted = [*(["gamma"] if op.scale else []), *(["beta"] if op.center else [])]
    return [f"{name}={text}" for name, text in zip(wanted, given, strict=True)]


def _activation(names: Names, call: Call, op: Activation) -> str:
    name, constants = parts(op.kind)
    numbers = ["np.inf" if isinf(number) else number for number in constants]
    return f"{UFUNCS.get(name, SAME.get(name, name))}({', '.join(map(str, [*read(names, call), *numbers]))})"


def _joined(sign: str) -> Translator:
    return lambda names, call, op: f" {sign} ".join(read(names, call))


def _reshaped(names: Names, call: Call, op: Reshape) -> str:
    (x,) = read(names, call)
    return f"{x}.reshape(len({x}), {', '.join(map(str, op.shape))})"


def _concatenated(names: Names, call: Call, op: Concatenate) -> str:
    last = op.axis == len(call.output.shape) - 1
    return f"np.concatenate([{', '.join(read(names, call))}], axis={-1 if last else op.axis + 1})"


def _affine(names: Names, call: Call, op: Affine) -> str:
    (x,) = read(names, call)
    scaled = x if op.scale == 1 else f"{x} * {op.scale!r}"
    return f"{scaled} + {op.offset!r}" if op.offset else scaled


def _affine_channels(names: Names, call: Call, op: AffineChannels) -> str:
    (x,) = read(names, call)
    scaled = f"{x} * np.float32({list(op.scales)})"
    return f"{scaled} + np.float32({list(op.offsets)})" if any(op.offsets) else scaled


def _reduced(names: Names, call: Call, op: Reduce) -> str:
    inputs, axes = read(names, call), tuple(axis + 1 for axis in op.axes)
    terms = inputs[0] if len(inputs) == 1 else f"({' * '.join(inputs)})"
    return f"{terms}.{op.kind}(axis={axes}{', keepdims=True' if op.keep else ''})"


def _larger(names: Names, call: Call, op: UpSample2D) -> str:
    (x,) = read(names, call)
    if op.interpolation == "nearest":
        return f"{x}.repeat({op.size[0]}, axis=1).repeat({op.size[1]}, axis=2)"
    return _resampled(names, call, op)


def _resampled(names: Names, call: Call, op: Op) -> str:
    """With two matrices, which lie among the weights."""
    pair = [f"w[{json.dumps(name)}]" for name in matrix_names(names.network, call)]
    return f"resample({', '.join([*read(names, call), *pair])})"


def matrix_names(network: Inference, call: Call) -> tuple[str, str]:
    """The names of the two matrices of a resampling: a layer may have several."""
    before = network.calls[: network.calls.index(call)]
    number = sum(other.owner == call.owner and matrices(other) is not None for other in before)
    return f"{call.owner}/rows{number or ''}", f"{call.owner}/columns{number or ''}"


def _extreme(names: Names, call: Call, op: Extreme) -> str:
    return f"np.{op.kind}({', '.join(read(names, call))})"


def _weighted(names: Names, call: Call, op: Weighted) -> str:
    return f" {'*' if op.kind == 'multiply' else '+'} ".join(read(names, call))


def _of_x(template: str) -> Translator:
    return lambda names, call, op: template.format(read(names, call)[0])


TRANSLATORS: Mapping[type[Op], Translator] = {
    Activation: _activation,
    Add: _joined("+"),
    Affine: _affine,
    AffineChannels: _affine_channels,
    AveragePool2D: _averaged,
    Broadcast: lambda names, call, op: "np.broadcast_to({0}, (len({0}), *{1}))".format(*read(names, call), op.shape),
    Concatenate: _concatenated,
    Conv2D: _convolution,
    Conv2DTranspose: _transposed,
    Dense: _dense,
    DepthwiseConv2D: _depthwise,
    Extreme: _extreme,
    FixedNormalization: _normalized,
    Frame: lambda names, call, op: f"frame({read(names, call)[0]}, {op.rows}, {op.columns})",
    GlobalMaxPool2D: _of_x("{}.max(axis=(1, 2))"),
    GroupNormalization: _group_normalized,
    LayerNormalization: _layer_normalized,
    MaxPool2D: _largest,
    Multiply: _joined("*"),
    Reduce: _reduced,
    RepeatChannels: lambda names, call, op: f"{read(names, call)[0]}.repeat({op.times}, axis=-1)",
    Resample: _resampled,
    Reshape: _reshaped,
    Rsqrt: lambda names, call, op: f"1 / np.sqrt({read(names, call)[0]}{f' + {op.epsilon!r}' if op.epsilon else ''})",
    Softmax: lambda names, call, op: f"{op.kind}({read(names, call)[0]})",
    Subtract: _joined("-"),
    SwapLast: _of_x("np.swapaxes({}, -1, -2)"),
    UpSample2D: _larger,
    Weighted: _weighted,
}
