"""A model in PyTorch's words, as plain data: what `torch_peer` builds. PyTorch itself is not needed here.

PyTorch's images are channels first; channel order and the order of a flattened image differ from ours, the work does
not.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from cnncli.errors import UsageError
from cnncli.graph.model import Model, Node, lower
from cnncli.interop.torch_spatial import Module, border, convolution, padding, spatial
from cnncli.layers.core import Activation, Dense, Dropout, Flatten
from cnncli.layers.layer import Layer
from cnncli.layers.losses import Loss
from cnncli.layers.merging import Add, Concatenate
from cnncli.layers.pooling import AveragePooling2D, MaxPooling2D
from cnncli.ops.ir import Shape
from cnncli.ops.window import Window
from cnncli.training.optimizers import SGD, Adam, Optimizer

ACTIVATIONS = {"relu": "ReLU", "sigmoid": "Sigmoid", "tanh": "Tanh"}
FROM_LOGITS = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}
"""The losses that take logits, and the last activation that each makes needless."""


def translate(model: Model, loss: Loss, optimizer: Optimizer) -> dict[str, Any]:
    """The network, its loss and its optimizer, ready for JSON.

    `nodes`: in order, each with its inputs, how these are joined ("add", or the axis they are concatenated along), and
    the modules they then go through. Raises UsageError for what has no counterpart.
    """
    shapes = {name: value.shape for name, value in lower(model).outputs.items()}
    last = model.nodes[-1]
    nodes = [_node(node, [shapes[name] for name in node.inputs], final=node is last, loss=loss) for node in model.nodes]
    channels_first = [model.input_shape[-1], *model.input_shape[:-1]]
    return {
        "input_shape": channels_first,
        "nodes": nodes,
        "loss": _loss(loss),
        "optimizer": _optimizer(optimizer),
    }


def _node(node: Node, inputs: Sequence[Shape], *, final: bool, loss: Loss) -> dict[str, Any]:
    layer = node.layer
    held = [name for name, value in layer.values().items() if name.endswith(("_regularizer", "_constraint")) and value]
    if held:
        raise _no_counterpart(node, f"with {held[0]}")
    join = "add" if isinstance(layer, Add) else _axis(layer, inputs[0]) if isinstance(layer, Concatenate) else None
    modules = _modules(node, inputs[0])
    dropped = FROM_LOGITS.get(loss.kind) if final else None
    activation = getattr(layer, "activation", "linear")
    if final and dropped not in (None, activation):
        raise _no_counterpart(node, f"as the output of {type(loss).__name__}, without {dropped}")
    if activation not in ("linear", dropped):
        modules.append((ACTIVATIONS[activation], {}) if activation in ACTIVATIONS else ("Softmax", {"dim": 1}))
    return {"name": node.name, "inputs": list(node.inputs), "join": join, "modules": modules}


def _modules(node: Node, shape: Shape) -> list[Module]:
    """A layer without its activation."""
    layer = node.layer
    found = spatial(layer, shape)
    if found is not None:
        return found
    if isinstance(layer, MaxPooling2D | AveragePooling2D):
        return _pooling(node, layer, shape)
    if isinstance(layer, Dense) and len(shape) in (1, 3):
        return _dense(layer, shape)
    if isinstance(layer, Flatten):
        return [("Flatten", {})]
    if isinstance(layer, Dropout):
        return [("Dropout", {"p": layer.rate})]
    if isinstance(layer, Activation | Add | Concatenate):
        return []
    raise _no_counterpart(node)


def _dense(layer: Dense, shape: Shape) -> list[Module]:
    if len(shape) == 3:  # over the channels of each pixel
        return convolution(Window((1, 1)), shape, layer.units, bias=layer.use_bias)
    return [("Linear", {"in_features": shape[0], "out_features": layer.units, "bias": layer.use_bias})]


def _pooling(node: Node, layer: MaxPooling2D | AveragePooling2D, shape: Shape) -> list[Module]:
    window = layer.window
    before, after = padding(window, shape)
    arguments: dict[str, Any] = {"kernel_size": list(window.size), "stride": list(window.strides), "padding": before}
    extra: dict[str, Any] = {} if isinstance(layer, MaxPooling2D) else {"count_include_pad": False}
    name = "MaxPool2d" if isinstance(layer, MaxPooling2D) else "AvgPool2d"
    if before == after:
        return [(name, arguments | extra)]
    if _rounded_up(window, before, shape) == window.output(shape[0], shape[1]):
        return [(name, arguments | extra | {"ceil_mode": True})]
    if name == "AvgPool2d":
        raise _no_counterpart(node, f"with this padding of an image of {shape[0]}×{shape[1]}")
    return [border(before, after, float("-inf")), (name, arguments | {"padding": [0, 0]})]


def _rounded_up(window: Window, before: Sequence[int], shape: Shape) -> tuple[int, ...]:
    """PyTorch's size of a pooled image with ceil_mode: a window must begin in the image or the border before it."""
    sizes = []
    for length, size, stride, cells in zip(shape[:2], window.size, window.strides, before, strict=True):
        out = ceil((length + 2 * cells - size) / stride) + 1
        sizes.append(out - 1 if (out - 1) * stride >= length + cells else out)
    return tuple(sizes)


def _axis(layer: Concatenate, shape: Shape) -> int:
    """The axis, batch included, where the channels come first."""
    axis = layer.axis % (len(shape) + 1)
    return 1 if axis == len(shape) else axis + 1


def _loss(loss: Loss) -> Module:
    smoothing = getattr(loss, "label_smoothing", 0.0)
    if loss.kind == "cross_entropy":
        return "CrossEntropyLoss", {"label_smoothing": smoothing}
    return ("BCEWithLogitsLoss" if loss.kind == "binary_cross_entropy" else "MSELoss"), {}


def _optimizer(optimizer: Optimizer) -> Module:
    if isinstance(optimizer, Adam):
        betas, epsilon = [optimizer.beta_1, optimizer.beta_2], optimizer.epsilon
        return "Adam", {"lr": optimizer.learning_rate, "betas": betas, "eps": epsilon}
    if isinstance(optimizer, SGD):
        arguments: Mapping[str, Any] = {"lr": optimizer.learning_rate, "momentum": optimizer.momentum}
        return "SGD", {**arguments, "nesterov": optimizer.nesterov and optimizer.momentum > 0}
    raise UsageError(f"--against torch knows no counterpart of the optimizer {type(optimizer).__name__}")


def _no_counterpart(node: Node, how: str = "") -> UsageError:
    layer: Layer = node.layer
    return UsageError(
        f"--against torch knows no counterpart of {node.name} ({type(layer).__name__}){f' {how}' if how else ''}"
    )
