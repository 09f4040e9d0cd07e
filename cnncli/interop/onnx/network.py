"""Translation of a model to a graph of ONNX operators, as plain data for `proto`. Does not import ONNX.

Operations are translated rather than layers, so any layer made of supported operations works, third-party ones
included.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnncli.datasets.rescale import rescale_for, scaling
from cnncli.graph.model import Model
from cnncli.interop.inference import inference
from cnncli.interop.onnx.activations import activation, softmax
from cnncli.interop.onnx.graph import Graph
from cnncli.interop.resampling import matrices
from cnncli.ops.arrange import Concatenate, Reshape
from cnncli.ops.batch_normalization import FixedNormalization
from cnncli.ops.conv import Conv2D
from cnncli.ops.dense import Dense
from cnncli.ops.depthwise import DepthwiseConv2D
from cnncli.ops.elementwise import Activation, Rsqrt, Softmax
from cnncli.ops.ir import Call, Op
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
    common_shape,
)
from cnncli.ops.pooling import AveragePool2D, GlobalMaxPool2D, MaxPool2D
from cnncli.ops.resample import Frame, RepeatChannels, UpSample2D
from cnncli.ops.resize import Resample
from cnncli.ops.sample_normalization import GroupNormalization, LayerNormalization
from cnncli.ops.transpose import Conv2DTranspose
from cnncli.ops.window import Window
from cnncli.training.sections import CompileSection

OPSET = 20
"""The ONNX opset version: the first one with Gelu."""
ARITHMETIC = (Add, Subtract, Multiply, Extreme)
"""Operations that broadcast their inputs in ONNX."""
Translator = Callable[[Graph, Call, Any], object]


def translate(
    model: Model,
    compiled: CompileSection | None = None,
    *,
    rescale: float | str | None = None,
    dtype: str = "float32",
    peer: str = "onnxruntime",
) -> dict[str, Any]:
    """Return the inference graph as JSON-serializable data; training settings are ignored.

    `rescale`: that of the spec's `data`; the graph then takes images of `dtype`, uint8 or float32, as stored in files,
    and scales them itself. Otherwise it takes scaled float32 images.
    `input_shape`, `output_shape`: channels first. `input_type`: the dtype. `nodes`: in order, each with its operator,
    its layer, the names of its inputs and its output, and its attributes; some have further outputs, whose number is
    `unused`, and normalizations the `rank` of their values.
    `constants`: scalars and lists of them or of lists, int64 if all elements are int, otherwise float32. `weights`:
    float32, by the names in the model, each transformed by `.reshape(view).transpose(axes).reshape(shape)`. `output`:
    the name of the model's output; its input is "input".
    Raises UsageError for an operation without an equivalent, which says that `peer` has none.
    """
    graph = Graph(inference(model), ("--against", peer))
    if rescale is not None:
        graph.scale_input(dtype, *scaling(rescale_for(model, rescale), dtype))
    return describe(graph)


def describe(
    graph: Graph, *, channels_last: bool = False, more: "Mapping[type[Op], Translator] | None" = None
) -> dict[str, Any]:
    """Return the graph with all of its operations, as `translate`; an output image may have its channels last.

    `more`: translators of operations that ONNX does not have.
    """
    translators = {**TRANSLATORS, **(more or {})}
    for call in graph.calls:
        if type(call.op) not in translators:
            raise graph.refusal(call)
        translators[type(call.op)](graph, call, call.op)
    graph.finish(channels_last=channels_last)
    return {"opset": OPSET, **graph.description()}


def _convolution(graph: Graph, call: Call, op: Conv2D) -> None:
    kernel = graph.weight(call.inputs[1], (3, 2, 0, 1))
    _multiply(graph, call, "Conv", kernel, **_window(op.window, call), group=op.groups)


def _depthwise(graph: Graph, call: Call, op: DepthwiseConv2D) -> None:
    """A grouped convolution, with one group per channel of the image before channels are repeated."""
    height, width, *_ = call.inputs[1].shape
    channels = call.output.shape[-1]
    kernel = graph.weight(call.inputs[1], (2, 0, 1), view=(height, width, channels), shape=(channels, 1, height, width))
    groups = graph.source(call.inputs[0]).shape[-1]
    _multiply(graph, call, "Conv", kernel, **_window(op.window, call), group=groups)


def _transposed(graph: Graph, call: Call, op: Conv2DTranspose) -> None:
    window, before = op.window, op.window.padding_before(*op.size)
    image = call.inputs[0].shape[:2]
    cells = zip(image, window.strides, window.extent, op.size, before, strict=True)
    after = [(length - 1) * stride + extent - size - cut for length, stride, extent, size, cut in cells]
    _multiply(
        graph,
        call,
        "ConvTranspose",
        graph.weight(call.inputs[1], (3, 2, 0, 1)),
        kernel_shape=list(window.size),
        strides=list(window.strides),
        dilations=list(window.dilation),
        pads=[*before, *(max(0, cut) for cut in after)],
        output_padding=[max(0, -cut) for cut in after],
    )


def _dense(graph: Graph, call: Call, op: Dense) -> None:
    """A matrix product; a 1×1 convolution if the input has more axes.

    The rows of the kernel are permuted to the order in which the input was flattened.
    """
    x, kernel = call.inputs[:2]
    channels, units = kernel.shape
    if len(x.shape) == 1:
        shape = graph.flattened.get(x, x.shape)
        rank = len(shape)
        axes = (rank, rank - 1, *range(rank - 1))
        name = graph.weight(kernel, axes, view=(*shape, units), shape=(units, channels))
        _multiply(graph, call, "Gemm", name, transB=1)
    else:
        ones = [1] * (len(x.shape) - 1)
        name = graph.weight(kernel, (1, 0), shape=(units, channels, *ones))
        _multiply(graph, call, "Conv", name, kernel_shape=ones)


def _multiply(graph: Graph, call: Call, operator: str, kernel: str, **attributes: Any) -> None:
    """Append a node for the product (of any kind) of the input with a kernel, with the optional bias."""
    bias = [graph.weight(value) for value in call.inputs[2:]]
    graph.emit(call, operator, [graph.name(call, call.inputs[0]), kernel, *bias], **attributes)


def _window(window: Window, call: Call) -> dict[str, list[int]]:
    before, after = (list(cells) for cells in window.padding_cells(*call.inputs[0].shape[:2]))
    return {
        "kernel_shape": list(window.size),
        "strides": list(window.strides),
        "dilations": list(window.dilation),
        "pads": [*before, *after],
    }


def _largest(graph: Graph, call: Call, op: MaxPool2D) -> None:
    graph.emit(call, "MaxPool", graph.read(call), **_window(op.window, call))


def _averaged(graph: Graph, call: Call, op: AveragePool2D) -> None:
    height, width, _ = call.inputs[0].shape
    if op.window == Window((height, width)):
        graph.emit(call, "GlobalAveragePool", graph.read(call))
    else:
        graph.emit(call, "AveragePool", graph.read(call), **_window(op.window, call), count_include_pad=0)


def _largest_of_all(graph: Graph, call: Call, op: GlobalMaxPool2D) -> None:
    graph.emit(call, "Flatten", [graph.emit(call, "GlobalMaxPool", graph.read(call))])


def _normalized(graph: Graph, call: Call, op: FixedNormalization) -> None:
    x, mean, variance, *rest = call.inputs
    given = iter(rest)
    channels = x.shape[-1]
    gamma = graph.weight(next(given)) if op.scale else graph.constant([1.0] * channels)
    beta = graph.weight(next(given)) if op.center else graph.constant([0.0] * channels)
    inputs = [graph.name(call, x), gamma, beta, graph.weight(mean), graph.weight(variance)]
    graph.emit(call, "BatchNormalization", inputs, epsilon=op.epsilon)
    graph.note(rank=len(x.shape))


def _reshape(graph: Graph, call: Call, op: Reshape) -> None:
    """If only dense layers read a flattened image, their kernels are permuted; otherwise the image is transposed."""
    before, after = call.inputs[0].shape, call.output.shape
    (x,) = graph.read(call)
    if len(after) == 1 and call.output is not graph.output and graph.read_only_by(call.output, (Dense,)):
        graph.flattened[call.output] = before
        graph.emit(call, "Flatten", [x])
    else:
        graph.reshape(call, x, before, after)


def _affine(graph: Graph, call: Call, op: Affine) -> None:
    (x,) = graph.read(call)
    if op.scale != 1 or not op.offset:
        x = graph.emit(call, "Mul", [x, graph.constant(op.scale)])
    if op.offset:
        graph.emit(call, "Add", [x, graph.constant(op.offset)])


def _affine_channels(graph: Graph, call: Call, op: AffineChannels) -> None:
    """As a normalization by mean 0 and variance 1."""
    channels = len(op.scales)
    numbers = list(op.scales), list(op.offsets), [0.0] * channels, [1.0] * channels
    graph.emit(call, "BatchNormalization", [*graph.read(call), *map(graph.constant, numbers)], epsilon=0.0)
    graph.note(rank=len(call.output.shape))


def _concatenated(graph: Graph, call: Call, op: Concatenate) -> None:
    last = op.axis == len(call.output.shape) - 1
    graph.emit(call, "Concat", graph.read(call), axis=1 if last else op.axis + 2)


def _swapped(graph: Graph, call: Call, op: SwapLast) -> None:
    rank = len(call.output.shape)
    graph.emit(call, "Transpose", graph.read(call), perm=[0, rank, *range(2, rank), 1])


def _framed(graph: Graph, call: Call, op: Frame) -> None:
    (above, below), (left, right) = op.rows, op.columns
    graph.emit(call, "Pad", [*graph.read(call), graph.constant([0, 0, above, left, 0, 0, below, right])])


def _larger(graph: Graph, call: Call, op: UpSample2D) -> None:
    how = graph.choice(call, INTERPOLATIONS, op.interpolation, "interpolation")
    scales = graph.constant([1.0, 1.0, *map(float, op.size)])
    graph.emit(call, "Resize", [*graph.read(call), "", scales], **how)


def _resampled(graph: Graph, call: Call, op: Resample) -> None:
    """Products with a matrix from the left, of rows, and one from the right, of columns."""
    found = matrices(call)
    assert found is not None
    rows, columns = found
    y = graph.emit(call, "MatMul", [graph.constant(rows), *graph.read(call)])
    graph.emit(call, "MatMul", [y, graph.constant(list(map(list, zip(*columns, strict=True))))])


def _weighted(graph: Graph, call: Call, op: Weighted) -> None:
    x, weight = call.inputs
    operator = {"multiply": "Mul", "add": "Add"}[op.kind]
    graph.emit(call, operator, [graph.name(call, x), graph.aligned_weight(weight, len(x.shape))])


def _reduced(graph: Graph, call: Call, op: Reduce) -> None:
    names, shape = graph.read(call), call.inputs[0].shape
    x = names[0] if len(names) == 1 else graph.emit(call, "Mul", names)
    axes = graph.constant([_axis(axis, len(shape)) for axis in op.axes])
    y = graph.emit(call, {"mean": "ReduceMean", "sum": "ReduceSum"}[op.kind], [x, axes], keepdims=1)
    if not op.keep:
        kept = tuple(1 if axis in op.axes else length for axis, length in enumerate(shape))
        graph.reshape(call, y, kept, call.output.shape)


def _axis(axis: int, rank: int) -> int:
    """An axis, counted without the batch axis, in ONNX' order."""
    return 1 if axis == rank - 1 else axis + 2


def _rsqrt(graph: Graph, call: Call, op: Rsqrt) -> None:
    (x,) = graph.read(call)
    if op.epsilon:
        x = graph.emit(call, "Add", [x, graph.constant(op.epsilon)])
    graph.emit(call, "Reciprocal", [graph.emit(call, "Sqrt", [x])])


def _layer_normalized(graph: Graph, call: Call, op: LayerNormalization) -> None:
    """With the channels last, as the operator wants it; without centering, as arithmetic."""
    x, *given = call.inputs
    rank, name = len(x.shape), graph.name(call, x)
    if not op.centered:
        axes = graph.constant([_axis(axis, rank) for axis in range(rank - op.axes, rank)])
        squares = graph.emit(call, "ReduceMean", [graph.emit(call, "Mul", [name, name]), axes], keepdims=1)
        root = graph.emit(call, "Sqrt", [graph.emit(call, "Add", [squares, graph.constant(op.epsilon)])])
        _scaled_and_shifted(graph, call, graph.emit(call, "Div", [name, root]), op)
        return
    lengths = x.shape[rank - op.axes :]
    gamma = graph.weight(given[0]) if op.scale else graph.constant(_ones(lengths))
    beta = [graph.weight(given[-1])] if op.center else []
    inputs = [graph.channels_last(call, name, rank), gamma, *beta]
    y = graph.emit(call, "LayerNormalization", inputs, axis=-op.axes, epsilon=op.epsilon)
    graph.channels_first(call, y, rank)


def _ones(lengths: Sequence[int]) -> float | list[Any]:
    return [_ones(lengths[1:])] * lengths[0] if lengths else 1.0


def _group_normalized(graph: Graph, call: Call, op: GroupNormalization) -> None:
    """Normalization of each group as if it were a channel: GroupNormalization scales groups up to opset 20."""
    (x, *_), ones, zeros = call.inputs, [1.0] * op.groups, [0.0] * op.groups
    rows = graph.emit(call, "Reshape", [graph.name(call, x), graph.constant([0, op.groups, -1])])
    inputs = [rows, graph.constant(ones), graph.constant(zeros)]
    y = graph.emit(call, "InstanceNormalization", inputs, epsilon=op.epsilon)
    shape = graph.constant([0, x.shape[-1], *x.shape[:-1]])
    _scaled_and_shifted(graph, call, graph.emit(call, "Reshape", [y, shape]), op)


def _scaled_and_shifted(graph: Graph, call: Call, y: str, op: GroupNormalization | LayerNormalization) -> None:
    """Append what gamma and beta do to a normalized value."""
    (x, *given), operators = call.inputs, [*(["Mul"] if op.scale else []), *(["Add"] if op.center else [])]
    for operator, weight in zip(operators, given, strict=True):
        y = graph.emit(call, operator, [y, graph.aligned_weight(weight, len(x.shape))])


def _broadcast(graph: Graph, call: Call, op: Broadcast) -> None:
    """Nothing before operations that broadcast by themselves."""
    if call.output is not graph.output and all(
        _broadcasts(graph, call, reader) for reader in graph.network.reads(call.output)
    ):
        graph.skip(call, ARITHMETIC)
    else:
        graph.emit(call, "Expand", [*graph.read(call), graph.constant([1, op.shape[-1], *op.shape[:-1]])])


def _broadcasts(graph: Graph, call: Call, reader: Call) -> bool:
    """Whether a reader makes the same of the input of a broadcast as of its output."""
    read = [call.inputs[0] if value is call.output else graph.source(value) for value in reader.inputs]
    return isinstance(reader.op, ARITHMETIC) and common_shape(read) == reader.output.shape


def _repeated(graph: Graph, call: Call, op: RepeatChannels) -> None:
    """Nothing before depthwise convolutions, which are grouped ones."""
    if call.output is not graph.output and graph.read_only_by(call.output, (DepthwiseConv2D,)):
        graph.skip(call, (DepthwiseConv2D,))
    else:
        places = [place for place in range(call.inputs[0].shape[-1]) for _ in range(op.times)]
        graph.emit(call, "Gather", [*graph.read(call), graph.constant(places)], axis=1)


def _each(operator: str) -> Translator:
    """Translate to one node with unchanged inputs."""
    return lambda graph, call, op: graph.emit(call, operator, graph.read(call))


INTERPOLATIONS = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
}
EXTREMES = {"maximum": "Max", "minimum": "Min"}
TRANSLATORS: Mapping[type[Op], Translator] = {
    Activation: activation,
    Add: lambda graph, call, op: graph.emit(call, "Add" if len(call.inputs) == 2 else "Sum", graph.read(call)),
    Affine: _affine,
    AffineChannels: _affine_channels,
    AveragePool2D: _averaged,
    Broadcast: _broadcast,
    Concatenate: _concatenated,
    Conv2D: _convolution,
    Conv2DTranspose: _transposed,
    Dense: _dense,
    DepthwiseConv2D: _depthwise,
    Extreme: lambda graph, call, op: graph.emit(call, graph.choice(call, EXTREMES, op.kind, "kind"), graph.read(call)),
    FixedNormalization: _normalized,
    Frame: _framed,
    GroupNormalization: _group_normalized,
    GlobalMaxPool2D: _largest_of_all,
    LayerNormalization: _layer_normalized,
    MaxPool2D: _largest,
    Multiply: _each("Mul"),
    Reduce: _reduced,
    RepeatChannels: _repeated,
    Resample: _resampled,
    Reshape: _reshape,
    Rsqrt: _rsqrt,
    Softmax: softmax,
    Subtract: _each("Sub"),
    SwapLast: _swapped,
    UpSample2D: _larger,
    Weighted: _weighted,
}
"""Translators of operations: append nodes to the graph. The calls are not fused, so no operation has an activation."""
