"""Translation of a model to PyTorch modules, as plain data for `torch_peer`. Does not import PyTorch.

PyTorch's images are channels first; the order of channels and of flattened images differs, the amount of computation
does not.
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from cnncli.errors import UsageError
from cnncli.graph.model import Lowered, Model, Node, lower
from cnncli.interop.refusal import no_counterpart
from cnncli.interop.torch.activations import activation, relu
from cnncli.interop.torch.channels import TRANSLATORS as OF_CHANNELS
from cnncli.interop.torch.spatial import TRANSLATORS as SPATIAL
from cnncli.interop.torch.spatial import Module, border, convolution
from cnncli.layers import activation_functions
from cnncli.layers.activation_functions import Linear
from cnncli.layers.activations import ELU, LeakyReLU, ReLU, Softmax
from cnncli.layers.core import Activation, Dense, Flatten, Identity
from cnncli.layers.layer import Layer
from cnncli.layers.loss import Loss
from cnncli.layers.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from cnncli.layers.merging import Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract
from cnncli.layers.noise import Dropout
from cnncli.layers.normalization import BatchNormalization
from cnncli.layers.pooling import AveragePooling2D, MaxPooling2D
from cnncli.layers.resizing import SMOOTH, UpSampling2D
from cnncli.ops.ir import Shape
from cnncli.ops.window import Window
from cnncli.training.optimizers.optimizers import SGD, WITHOUT_EFFECT, Adam, AdamW, Optimizer
from cnncli.training.optimizers.schedules import Schedule
from cnncli.training.sections import CompileSection

TRANSLATORS = {**SPATIAL, **OF_CHANNELS}
JOINS: dict[type[Layer], str] = {
    layer: layer.__name__.lower() for layer in (Add, Subtract, Multiply, Average, Maximum, Minimum)
}
"""How layers combine their inputs, as named in `torch_peer`."""


def translate(model: Model, compiled: CompileSection | None) -> dict[str, Any]:
    """Return the network as JSON-serializable data, with loss and optimizer if it is trained.

    `nodes`: in order, each with its inputs, how these are combined (one of JOINS, or the axis of a concatenation), and
    the modules applied to the result. `targets`: the kind of targets of the loss. Raises UsageError for anything
    without an equivalent.
    """
    lowered = lower(model)
    shapes = {name: value.shape for name, value in lowered.outputs.items()}
    nodes = []
    for node in model.nodes:
        if compiled is not None:
            _check_trained(node)
        last = compiled is not None and node is model.nodes[-1]
        taker = compiled.loss if compiled is not None and last and not _gives_logits(lowered, compiled.loss) else None
        nodes.append(_node(node, [shapes[name] for name in node.inputs], taker))
    return {
        "input_shape": [model.input_shape[-1], *model.input_shape[:-1]],
        "nodes": nodes,
        **({} if compiled is None else _training(compiled)),
    }


def _training(compiled: CompileSection) -> dict[str, Any]:
    return {
        "loss": _loss(compiled.loss),
        "targets": compiled.loss.outputs.name.lower(),
        "optimizer": _optimizer(compiled.optimizer),
    }


def _gives_logits(lowered: Lowered, loss: Loss) -> bool:
    """Whether the model's output is logits, without a softmax or sigmoid whose input the loss would use."""
    return loss.of_logits and lowered.output not in lowered.builder.logits


def _node(node: Node, inputs: Sequence[Shape], taker: Loss | None) -> dict[str, Any]:
    """Translate a node, without its activation if the loss `taker` includes it: PyTorch's losses take logits."""
    layer = node.layer
    join = _axis(layer.axis, inputs[0]) if isinstance(layer, Concatenate) else JOINS.get(type(layer))
    if len({len(shape) for shape in inputs}) > 1:
        raise _no_counterpart(node, "of inputs of different rank")
    modules = _modules(node, inputs[0])
    over_channels = isinstance(layer, Softmax) and isinstance(layer.axis, int) and _axis(layer.axis, inputs[0]) == 1
    function = activation_functions.Softmax() if over_channels else getattr(layer, "activation", Linear())
    needless = "linear" if taker is None else taker.activation
    if needless not in ("linear", str(function)):
        raise _no_counterpart(node, f"as the output of {type(taker).__name__}, without {needless}")
    if str(function) not in ("linear", needless):
        module = activation(function, lambda axis: _axis(axis, inputs[0]))
        if module is None:
            raise _no_counterpart(node, f"with activation {function}")
        modules.append(module)
    return {"name": node.name, "inputs": list(node.inputs), "join": join, "modules": modules}


def _check_trained(node: Node) -> None:
    """Raise UsageError for training options of a layer that have no equivalent."""
    layer = node.layer
    held = [
        name for name, value in layer.settings().items() if name.endswith(("_regularizer", "_constraint")) and value
    ]
    if held:
        raise _no_counterpart(node, f"with {held[0]}")
    if isinstance(layer, BatchNormalization) and not layer.trainable:
        raise _no_counterpart(node, "with trainable: false")


def _modules(node: Node, shape: Shape) -> list[Module]:
    """Translate a layer without its activation."""
    layer = node.layer
    if type(layer) in TRANSLATORS:
        return TRANSLATORS[type(layer)](layer, shape)
    if type(layer) not in MODULES:
        raise _no_counterpart(node)
    return MODULES[type(layer)](node, layer, shape)


def _dense(node: Node, layer: Dense, shape: Shape) -> list[Module]:
    if len(shape) == 2:
        raise _no_counterpart(node)
    if len(shape) == 3:  # applied to the channels of each pixel
        return convolution(Window((1, 1)), shape, layer.units, bias=layer.use_bias)
    return [("Linear", {"in_features": shape[0], "out_features": layer.units, "bias": layer.use_bias})]


def _normalization(node: Node, layer: BatchNormalization, shape: Shape) -> list[Module]:
    """PyTorch has both gamma and beta or neither; its moving variance is unbiased, which does not affect timing."""
    if layer.center != layer.scale:
        raise _no_counterpart(node, "with only one of center and scale")
    if layer.axis not in (-1, len(shape)):
        raise _no_counterpart(node, f"with axis={layer.axis}")
    arguments = {"num_features": shape[-1], "eps": layer.epsilon, "momentum": 1 - layer.momentum}
    name = "BatchNorm2d" if len(shape) == 3 else "BatchNorm1d"
    return [(name, arguments | {"affine": layer.scale})]


def _relu(node: Node, layer: ReLU, shape: Shape) -> list[Module]:
    module = relu(layer)
    if module is None:
        arguments = f"max_value={layer.max_value}, negative_slope={layer.negative_slope}, threshold={layer.threshold}"
        raise _no_counterpart(node, f"with {arguments}")
    return [module]


def _softmax(node: Node, layer: Softmax, shape: Shape) -> list[Module]:
    if not isinstance(layer.axis, int):
        raise _no_counterpart(node, "along several axes")
    axis = _axis(layer.axis, shape)
    return [("Softmax", {"dim": axis})] if axis > 1 else []  # over the channels it is an activation


def _pooling(node: Node, layer: MaxPooling2D | AveragePooling2D, shape: Shape) -> list[Module]:
    window = layer.window
    before, after = (list(cells) for cells in window.padding_cells(*shape[:2]))
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
    """PyTorch's size of a pooled image with ceil_mode: a window must begin in the image or the padding before it."""
    sizes = []
    for length, size, stride, cells in zip(shape[:2], window.size, window.strides, before, strict=True):
        out = ceil((length + 2 * cells - size) / stride) + 1
        sizes.append(out - 1 if (out - 1) * stride >= length + cells else out)
    return tuple(sizes)


def _axis(axis: int, shape: Shape) -> int:
    """The axis in channels-first order, batch axis included."""
    axis %= len(shape) + 1
    return 1 if axis == len(shape) else axis + 1


def _loss(loss: Loss) -> Module:
    if type(loss) not in LOSSES or loss.weight != 1:
        raise no_counterpart("torch", f"the loss {loss.title}" + (" with a weight" if loss.weight != 1 else ""))
    return LOSSES[type(loss)](loss)


def _binary(loss: BinaryCrossentropy) -> Module:
    if loss.label_smoothing:
        raise no_counterpart("torch", "the loss BinaryCrossentropy with label_smoothing")
    return "BCEWithLogitsLoss", {}


def _sparse(loss: SparseCategoricalCrossentropy) -> Module:
    if loss.ignore_class is not None:
        raise no_counterpart("torch", "the loss SparseCategoricalCrossentropy with ignore_class")
    return "CrossEntropyLoss", {"label_smoothing": 0.0}


def _optimizer(optimizer: Optimizer) -> Module:
    kind = type(optimizer)
    if kind not in OPTIMIZERS:
        raise no_counterpart("torch", f"the optimizer {kind.__name__}")
    if isinstance(optimizer.learning_rate, Schedule):
        raise no_counterpart("torch", f"the optimizer {kind.__name__} with a schedule")
    known, translate_own = OPTIMIZERS[kind]
    for name, field in optimizer.fields.items():
        if name not in ("learning_rate", *WITHOUT_EFFECT, *known) and getattr(optimizer, name) != field.default:
            raise no_counterpart("torch", f"the optimizer {kind.__name__} with {name}")
    return translate_own(optimizer)


def _adam(optimizer: Adam) -> Module:
    """Adam with weight decay is PyTorch's AdamW."""
    betas = [optimizer.beta_1, optimizer.beta_2]
    arguments = {"lr": optimizer.learning_rate, "betas": betas, "eps": optimizer.epsilon}
    decay = optimizer.weight_decay
    return ("Adam", arguments) if decay is None else ("AdamW", {**arguments, "weight_decay": decay})


def _sgd(optimizer: SGD) -> Module:
    """PyTorch adds weight decay to the gradient, which is not equivalent."""
    if optimizer.weight_decay:
        raise no_counterpart("torch", "the optimizer SGD with weight_decay")
    nesterov = optimizer.nesterov and optimizer.momentum > 0
    return "SGD", {"lr": optimizer.learning_rate, "momentum": optimizer.momentum, "nesterov": nesterov}


def _no_counterpart(node: Node, how: str = "") -> UsageError:
    return no_counterpart("torch", f"{node.name} ({type(node.layer).__name__}){f' {how}' if how else ''}")


def _larger(node: Node, layer: UpSampling2D, shape: Shape) -> list[Module]:
    if layer.interpolation in SMOOTH:  # PyTorch's bicubic kernel is another
        raise _no_counterpart(node, f"with interpolation={layer.interpolation}")
    size = [length * times for length, times in zip(shape[:2], layer.size, strict=True)]
    return [("Upsample", {"size": size, "mode": layer.interpolation})]


def _nothing(node: Node, layer: Layer, shape: Shape) -> list[Module]:
    return []


MODULES: dict[type[Layer], Callable[[Node, Any, Shape], list[Module]]] = {
    Activation: _nothing,
    AveragePooling2D: _pooling,
    BatchNormalization: _normalization,
    Concatenate: _nothing,
    Dense: _dense,
    Dropout: lambda node, layer, shape: [("Dropout", {"p": layer.rate})],
    Identity: _nothing,
    ELU: lambda node, layer, shape: [("ELU", {"alpha": layer.alpha})],
    Flatten: lambda node, layer, shape: [("Flatten", {})],
    LeakyReLU: lambda node, layer, shape: [("LeakyReLU", {"negative_slope": layer.negative_slope})],
    MaxPooling2D: _pooling,
    ReLU: _relu,
    Softmax: _softmax,
    UpSampling2D: _larger,
    **dict.fromkeys(JOINS, _nothing),
}
"""Translation of each layer, without activation and combination of inputs: (node, layer, shape) → modules."""
LOSSES: dict[type[Loss], Callable[[Any], Module]] = {
    BinaryCrossentropy: _binary,
    CategoricalCrossentropy: lambda loss: ("CrossEntropyLoss", {"label_smoothing": loss.label_smoothing}),
    MeanAbsoluteError: lambda loss: ("L1Loss", {}),
    MeanSquaredError: lambda loss: ("MSELoss", {}),
    SparseCategoricalCrossentropy: _sparse,
}
"""Translation of each loss; losses of probabilities become losses of logits."""
OF_ADAM = ("beta_1", "beta_2", "epsilon", "weight_decay")
OPTIMIZERS: dict[type[Optimizer], tuple[Sequence[str], Callable[[Any], Module]]] = {
    Adam: (OF_ADAM, _adam),
    AdamW: (OF_ADAM, _adam),
    SGD: (("momentum", "nesterov", "weight_decay"), _sgd),
}
"""Translation of each optimizer, and the arguments copied besides the learning rate; others keep their defaults."""
