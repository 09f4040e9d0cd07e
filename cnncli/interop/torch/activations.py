"""Translation of activations to PyTorch modules."""

from collections.abc import Callable, Mapping
from typing import Any

from cnncli.interop.torch.spatial import Module
from cnncli.layers.activation_functions import ActivationFunction
from cnncli.layers.activations import ReLU

MODULES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "celu": ("CELU", {"alpha": "alpha"}),
    "elu": ("ELU", {"alpha": "alpha"}),
    "glu": ("GLU", {"dim": "axis"}),
    "hard_shrink": ("Hardshrink", {"lambd": "threshold"}),
    "hard_sigmoid": ("Hardsigmoid", {}),
    "hard_silu": ("Hardswish", {}),
    "hard_tanh": ("Hardtanh", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": "negative_slope"}),
    "log_sigmoid": ("LogSigmoid", {}),
    "log_softmax": ("LogSoftmax", {"dim": "axis"}),
    "mish": ("Mish", {}),
    "relu6": ("ReLU6", {}),
    "selu": ("SELU", {}),
    "sigmoid": ("Sigmoid", {}),
    "silu": ("SiLU", {}),
    "soft_shrink": ("Softshrink", {"lambd": "threshold"}),
    "softmax": ("Softmax", {"dim": "axis"}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
    "tanh_shrink": ("Tanhshrink", {}),
    "threshold": ("Threshold", {"threshold": "threshold", "value": "default_value"}),
}
"""The class of each activation, and its arguments as the activation's fields; relu and gelu have functions."""


def activation(function: ActivationFunction, axis: Callable[[int], int]) -> Module | None:
    """The module of an activation, None without an equivalent; `axis` translates an axis to channels first."""
    arguments: dict[str, Any] = function.settings()
    if function.name == "relu":
        return relu(ReLU(**arguments))
    if function.name == "gelu":
        return "GELU", {"approximate": "tanh"} if arguments["approximate"] else {}
    if function.name not in MODULES:
        return None
    module, fields = MODULES[function.name]
    arguments |= {"axis": axis(arguments["axis"])} if "axis" in arguments else {}
    return module, {name: arguments[field] for name, field in fields.items()}


def relu(layer: ReLU) -> Module | None:
    """The module of a ReLU with arguments; None without an equivalent."""
    most, slope, threshold = layer.max_value, layer.negative_slope, layer.threshold
    if most is None and not threshold:
        return ("LeakyReLU", {"negative_slope": slope}) if slope else ("ReLU", {})
    if most is None and not slope:
        return "Threshold", {"threshold": threshold, "value": 0.0}
    if most and not slope and not threshold:
        return ("ReLU6", {}) if most == 6 else ("Hardtanh", {"min_val": 0.0, "max_val": most})
    return None
