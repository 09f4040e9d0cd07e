"""Translation of activations to ONNX operators."""

from collections.abc import Callable, Mapping
from math import inf

from cnncli.interop.onnx.graph import Graph
from cnncli.kernels.elementwise.activation_names import parts
from cnncli.ops.elementwise import Activation, Softmax
from cnncli.ops.ir import Call


def activation(graph: Graph, call: Call, op: Activation) -> None:
    """Append the nodes of an activation. Raises UsageError for one without an equivalent."""
    name, constants = parts(op.kind)
    graph.choice(call, ACTIVATIONS, name, "activation")(graph, call, *constants)


def _swish(graph: Graph, call: Call) -> None:
    x = graph.read(call)
    graph.emit(call, "Mul", [*x, graph.emit(call, "Sigmoid", x)])


def _log_sigmoid(graph: Graph, call: Call) -> None:
    negated = graph.emit(call, "Neg", graph.read(call))
    graph.emit(call, "Neg", [graph.emit(call, "Softplus", [negated])])


def _tanh_shrink(graph: Graph, call: Call) -> None:
    x = graph.read(call)
    graph.emit(call, "Sub", [*x, graph.emit(call, "Tanh", x)])


def _shrink(graph: Graph, call: Call, threshold: float, bias: float = 0.0) -> None:
    graph.emit(call, "Shrink", graph.read(call), lambd=threshold, bias=bias)


def _threshold(graph: Graph, call: Call, threshold: float, value: float) -> None:
    x = graph.read(call)
    above = graph.emit(call, "Greater", [*x, graph.constant(threshold)])
    graph.emit(call, "Where", [above, *x, graph.constant(value)])


def _clipped(graph: Graph, call: Call, most: float, slope: float, threshold: float) -> None:
    if slope or (threshold and most != inf):
        x = graph.read(call)
        above = graph.emit(call, "Greater", [*x, graph.constant(threshold)])
        most_of_x = x[0] if most == inf else graph.emit(call, "Min", [*x, graph.constant(most)])
        below = graph.emit(call, "Sub", [*x, graph.constant(threshold)]) if threshold else x[0]
        graph.emit(call, "Where", [above, most_of_x, graph.emit(call, "Mul", [below, graph.constant(slope)])])
    elif threshold:
        graph.emit(call, "ThresholdedRelu", graph.read(call), alpha=threshold)
    else:
        _bounded(graph, call, 0.0, most)


def _bounded(graph: Graph, call: Call, least: float, most: float) -> None:
    graph.emit(call, "Clip", [*graph.read(call), graph.constant(least), graph.constant(most)])


def _sparsemax(graph: Graph, call: Call) -> None:
    """x − τ where that is positive; τ is the greatest (sum of the k greatest − 1) / k."""
    (x,), length, rank = graph.read(call), call.output.shape[-1], len(call.output.shape)
    ordered = graph.emit(call, "TopK", [x, graph.constant([length])], axis=1)
    graph.note(unused=1)
    sums = graph.emit(call, "CumSum", [ordered, graph.constant(1)])
    less_1 = graph.emit(call, "Sub", [sums, graph.constant(1.0)])
    levels = graph.emit(call, "Div", [less_1, graph.of_channels(range(1, length + 1), rank)])
    level = graph.emit(call, "ReduceMax", [levels, graph.constant([1])], keepdims=1)
    graph.emit(call, "Relu", [graph.emit(call, "Sub", [x, level])])


def _squareplus(graph: Graph, call: Call, b: float) -> None:
    (x,) = graph.read(call)
    square = graph.emit(call, "Mul", [x, x])
    root = graph.emit(call, "Sqrt", [graph.emit(call, "Add", [square, graph.constant(b)])])
    graph.emit(call, "Mul", [graph.emit(call, "Add", [x, root]), graph.constant(0.5)])


def _sparse_plus(graph: Graph, call: Call) -> None:
    (x,) = graph.read(call)
    above = graph.emit(call, "Greater", [x, graph.constant(1.0)])
    half = graph.emit(call, "HardSigmoid", [x], alpha=0.5, beta=0.5)
    graph.emit(call, "Where", [above, x, graph.emit(call, "Mul", [half, half])])


def softmax(graph: Graph, call: Call, op: Softmax) -> None:
    """Append the nodes of an activation over the last axis, as `activation`."""
    if op.kind == "sparsemax":
        _sparsemax(graph, call)
    else:
        graph.emit(call, graph.choice(call, SOFTMAXES, op.kind, "activation"), graph.read(call), axis=1)


def _plain(operator: str, attribute: str = "", **attributes: float | str) -> Callable[..., object]:
    """Translate to one node with these attributes; `attribute` is set to the activation's constant."""

    def emit(graph: Graph, call: Call, *constants: float) -> object:
        own = dict(zip([attribute], constants, strict=True)) if attribute else {}
        return graph.emit(call, operator, graph.read(call), **own, **attributes)

    return emit


ACTIVATIONS: Mapping[str, Callable[..., object]] = {
    "relu": _plain("Relu"),
    "relu6": lambda graph, call: _clipped(graph, call, 6.0, 0.0, 0.0),
    "leaky_relu": _plain("LeakyRelu", "alpha"),
    "elu": _plain("Elu", "alpha"),
    "gelu": _plain("Gelu"),
    "silu": _swish,
    "hard_silu": _plain("HardSwish"),
    "sigmoid": _plain("Sigmoid"),
    "hard_sigmoid": _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    "tanh": _plain("Tanh"),
    "celu": _plain("Celu", "alpha"),
    "clipped_relu": _clipped,
    "elu_of_input": _plain("Elu", "alpha"),
    "exponential": _plain("Exp"),
    "gelu_tanh": _plain("Gelu", approximate="tanh"),
    "hard_shrink": _shrink,
    "hard_tanh": lambda graph, call: _bounded(graph, call, -1.0, 1.0),
    "log_sigmoid": _log_sigmoid,
    "mish": _plain("Mish"),
    "selu": _plain("Selu"),
    "soft_shrink": lambda graph, call, threshold: _shrink(graph, call, threshold, threshold),
    "softplus": _plain("Softplus"),
    "softsign": _plain("Softsign"),
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _plain("HardSigmoid", alpha=0.5, beta=0.5),
    "squareplus": _squareplus,
    "tanh_shrink": _tanh_shrink,
    "threshold": _threshold,
}
"""Translators of activations: append nodes to the graph, (graph, call, the activation's constants)."""
SOFTMAXES = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}
