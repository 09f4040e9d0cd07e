"""The naive twin of every layer: its formula in float64 NumPy, from the twins of the kernels."""

from functools import reduce
from math import ceil

import numpy as np

from cnncli.layers.fields import ACTIVATIONS, OTHER_NAMES
from tests.reference import activations, convolution, dense, pooling


def padding_and_output(size, window, strides, dilation, padding):
    """Per axis: the padding before, and the number of positions, by Keras' formulas."""
    extent = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    if padding == "valid":
        return (0, 0), tuple((n - e) // s + 1 for n, e, s in zip(size, extent, strides, strict=True))
    out = tuple(ceil(n / s) for n, s in zip(size, strides, strict=True))
    total = [max(0, (o - 1) * s + e - n) for n, e, s, o in zip(size, extent, strides, out, strict=True)]
    return tuple(t // 2 for t in total), out


def activated(y, name):
    return y if name == "linear" else getattr(activations, name)(y)


def relu(layer, x):
    most = np.inf if layer.max_value is None else layer.max_value
    return activations.clipped_relu(x, most, layer.negative_slope, layer.threshold)


def folded(join):
    """Joins the first input with the others in order; axes of length 1 stand behind the batch axis where some lack."""

    def twin(layer, *xs):
        rank = max(x.ndim for x in xs)
        return reduce(join, [x.reshape(len(x), *[1] * (rank - x.ndim), *x.shape[1:]) for x in xs])

    return twin


def conv2d(layer, x, kernel, bias=None):
    before, out = padding_and_output(x.shape[1:3], layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    geometry = (layer.strides, before, layer.dilation_rate, layer.groups)
    return activated(convolution.forward(x, kernel, bias, out, geometry), layer.activation)


def pool(forward):
    def twin(layer, x):
        strides = layer.strides or layer.pool_size
        before, out = padding_and_output(x.shape[1:3], layer.pool_size, strides, (1, 1), layer.padding)
        return forward(x, out, (layer.pool_size, strides, before))

    return twin


def batch_normalization(layer, x, *weights):
    """At inference: by the running mean and variance."""
    *gamma_and_beta, mean, variance = weights
    y = (x - mean) / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        y = y * gamma_and_beta[0]
    return y + gamma_and_beta[-1] if layer.center else y


TWINS = {
    "BatchNormalization": batch_normalization,
    "Conv2D": conv2d,
    "Dense": lambda layer, x, kernel, bias=None: activated(dense.forward(x, kernel, bias), layer.activation),
    "MaxPooling2D": pool(lambda x, out, window: pooling.max_forward(x, out, window)[0]),
    "AveragePooling2D": pool(pooling.average_forward),
    "Flatten": lambda layer, x: x.reshape(len(x), -1),
    "Activation": lambda layer, x: activated(x, layer.activation),
    "Dropout": lambda layer, x: x,
    "ReLU": relu,
    "LeakyReLU": lambda layer, x: activations.leaky_relu(x, layer.negative_slope),
    "ELU": lambda layer, x: activations.elu(x, layer.alpha),
    "Softmax": lambda layer, x: np.moveaxis(activations.softmax(np.moveaxis(x, layer.axis, -1)), -1, layer.axis),
    "Rescaling": lambda layer, x: x * layer.scale + layer.offset,
    "Add": folded(np.add),
    "Subtract": folded(np.subtract),
    "Multiply": folded(np.multiply),
    "Average": lambda layer, *xs: folded(np.add)(layer, *xs) / len(xs),
    "Maximum": folded(np.maximum),
    "Minimum": folded(np.minimum),
    "Concatenate": lambda layer, *xs: np.concatenate(xs, layer.axis),
}
"""By class name: (layer, *inputs, *weights) → the output at inference."""

OPTIONS = {
    "BatchNormalization": {
        "axis": [-1, 3],
        "momentum": [0.99, 0.5],
        "epsilon": [0.001, 0.3],
        "center": [True, False],
        "scale": [True, False],
        "trainable": [True, False],
        "gamma_regularizer": [None, {"L2": {"l2": 0.1}}],
        "beta_regularizer": [None, {"L1": {"l1": 0.1}}],
    },
    "Conv2D": {
        "kernel_size": [1, 3, [2, 3], 4],
        "strides": [1, 2, [1, 3]],
        "padding": ["valid", "same"],
        "dilation_rate": [1, 2, [2, 1]],
        "groups": [1, 2],
        "activation": ["linear", "relu", "sigmoid", "tanh", "softmax"],
        "use_bias": [True, False],
        "trainable": [True, False],
        "kernel_regularizer": [None, {"L2": {"l2": 0.05}}, {"L1L2": {"l1": 0.1, "l2": 0.2}}],
        "bias_regularizer": [None, {"L1": {"l1": 0.1}}],
        "activity_regularizer": [None, {"L2": {"l2": 0.3}}],
    },
    "Dense": {
        "activation": ["linear", "relu", "sigmoid", "tanh", "softmax"],
        "use_bias": [True, False],
        "trainable": [True, False],
        "kernel_regularizer": [None, {"L1": {"l1": 0.05}}],
        "bias_regularizer": [None, {"L2": {"l2": 0.1}}],
        "activity_regularizer": [None, {"L1": {"l1": 0.3}}, {"L1L2": {"l1": 0.1, "l2": 0.2}}],
    },
    "MaxPooling2D": {
        "pool_size": [1, 2, 3, [2, 3]],
        "strides": [None, 1, 2, [3, 1]],
        "padding": ["valid", "same"],
    },
    "AveragePooling2D": {
        "pool_size": [1, 2, 3, [2, 3]],
        "strides": [None, 1, 2, [3, 1]],
        "padding": ["valid", "same"],
    },
    "Dropout": {"rate": [0.0, 0.25, 0.9]},
    "Activation": {"activation": [*ACTIVATIONS, *OTHER_NAMES]},
    "ReLU": {"max_value": [None, 0.0, 0.5, 6.0], "negative_slope": [0.0, 0.25], "threshold": [0.0, 0.4]},
    "LeakyReLU": {"negative_slope": [0.3, 0.0, 1.5]},
    "ELU": {"alpha": [1.0, 0.0, 0.3]},
    "Softmax": {"axis": [-1, 1, 2, -2, 3]},
    "Rescaling": {"scale": [0.25, -3, 0.0], "offset": [0.0, 0.5]},
    "Concatenate": {"axis": [1, 3, -1, -2]},
}
"""By class name: the values of each option that changes the numbers; tried in pairs."""

BASES = {
    "BatchNormalization": ({}, [(3, 2, 5)]),
    "Conv2D": ({"filters": 4}, [(6, 7, 4)]),
    "Dense": ({"units": 3}, [(4,)]),
    "MaxPooling2D": ({}, [(6, 7, 2)]),
    "AveragePooling2D": ({}, [(6, 7, 2)]),
    "Dropout": ({}, [(4, 5)]),
    "Activation": ({}, [(3, 4)]),
    "ReLU": ({}, [(3, 4)]),
    "LeakyReLU": ({}, [(3, 4)]),
    "ELU": ({}, [(3, 4)]),
    "Softmax": ({}, [(3, 4, 2)]),
    "Rescaling": ({}, [(3, 4)]),
    "Concatenate": ({}, [(3, 3, 3), (3, 3, 3)]),
}
"""By class name: the required arguments and the input shapes that the options are tried with."""
