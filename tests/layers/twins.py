"""The naive twin of every layer: its formula in float64 NumPy, from the twins of the kernels."""

from functools import reduce
from math import ceil

import numpy as np

from cnncli.layers.activation_functions import ACTIVATIONS
from tests.reference import activations, convolution, dense, pooling, resampling


def padding_and_output(size, window, strides, dilation, padding):
    """Per axis: the padding before, and the number of positions, by Keras' formulas."""
    extent = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    if padding == "valid":
        return (0, 0), tuple((n - e) // s + 1 for n, e, s in zip(size, extent, strides, strict=True))
    out = tuple(ceil(n / s) for n, s in zip(size, strides, strict=True))
    total = [max(0, (o - 1) * s + e - n) for n, e, s, o in zip(size, extent, strides, out, strict=True)]
    return tuple(t // 2 for t in total), out


def activated(y, function):
    arguments = function.settings()
    if function.name in ("softmax", "log_softmax", "sparsemax"):
        return along(arguments["axis"], getattr(activations, function.name), y)
    if function.name == "glu":
        a, b = np.split(y, 2, arguments["axis"])
        return a * activations.sigmoid(b)
    if function.name == "relu":
        return relu(function, y)
    if function.name == "gelu":
        return (activations.gelu_tanh if function.approximate else activations.gelu)(y)
    return y if function.name == "linear" else getattr(activations, function.name)(y, *arguments.values())


def relu(layer, x):
    most = np.inf if layer.max_value is None else layer.max_value
    return activations.clipped_relu(x, most, layer.negative_slope, layer.threshold)


def along(axis, function, x):
    return np.moveaxis(function(np.moveaxis(x, axis, -1)), -1, axis)


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
    axes = positive(layer.axis, x)
    *gamma_and_beta, mean, variance = weights
    mean, variance = (each.reshape(*[1] * axes[0], -1, *[1] * (x.ndim - axes[0] - 1)) for each in (mean, variance))
    return scaled(layer, (x - mean) / np.sqrt(variance + layer.epsilon), axes, gamma_and_beta)


def depthwise(layer, x, kernel, bias=None):
    """A convolution in as many groups as there are channels, without the activation."""
    before, out = padding_and_output(x.shape[1:3], layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    return convolution.forward(x, kernel, bias, out, (layer.strides, before, layer.dilation_rate, x.shape[3]))


def separable_conv2d(layer, x, depthwise_kernel, pointwise_kernel, bias=None):
    y = np.einsum("nyxc,cf->nyxf", depthwise(layer, x, depthwise_kernel), pointwise_kernel[0, 0])
    return activated(y if bias is None else y + bias, layer.activation)


def conv2d_transpose(layer, x, kernel, bias=None):
    """Every pixel scatters the kernel onto the output; what lies in the padding is cut off."""
    sizes, starts = [], []
    for axis in range(2):
        pixels, stride = x.shape[axis + 1], layer.strides[axis]
        extent = (layer.kernel_size[axis] - 1) * layer.dilation_rate[axis] + 1
        extra = layer.output_padding[axis] if layer.output_padding else None
        if layer.padding == "valid":
            sizes.append((pixels - 1) * stride + (max(extent, stride) if extra is None else extent + extra))
            starts.append(0)
        else:
            sizes.append(pixels * stride if extra is None else (pixels - 1) * stride + extent % 2 + extra)
            starts.append(max(0, (pixels - 1) * stride + extent - sizes[-1]) // 2)
    out = np.zeros((len(x), *sizes, kernel.shape[2]))
    for y, col, i, j in np.ndindex(*x.shape[1:3], *kernel.shape[:2]):
        row = y * layer.strides[0] + i * layer.dilation_rate[0] - starts[0]
        column = col * layer.strides[1] + j * layer.dilation_rate[1] - starts[1]
        if 0 <= row < sizes[0] and 0 <= column < sizes[1]:
            out[:, row, column] += x[:, y, col] @ kernel[i, j].T
    return activated(out if bias is None else out + bias, layer.activation)


def up_sampling2d(layer, x):
    if layer.interpolation in ("nearest", "bilinear"):
        return resampling.up_sample(x, layer.size, layer.interpolation)
    sizes = zip(x.shape[1:3], layer.size, strict=True)
    rows, columns = (resampling.resized(n, n * times, layer.interpolation, antialias=False) for n, times in sizes)
    return np.einsum("pi,qj,nijc->npqc", rows, columns, x)


def cropping2d(layer, x):
    (top, bottom), (left, right) = layer.cropping
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def center_crop(layer, x):
    top, left = (x.shape[1] - layer.height) // 2, (x.shape[2] - layer.width) // 2
    return x[:, top : top + layer.height, left : left + layer.width]


def unit_normalization(layer, x):
    return x / np.sqrt((x**2).sum(layer.axis, keepdims=True))


def local_response_normalization(layer, x):
    """Channel by channel; of an even number of neighbours, the odd one is after it."""
    channels, y = x.shape[-1], np.empty_like(x)
    for c in range(channels):
        near = range(max(0, c - (layer.size - 1) // 2), min(channels, c + layer.size // 2 + 1))
        squares = (x[..., list(near)] ** 2).sum(-1)
        y[..., c] = x[..., c] / (layer.bias + layer.alpha / layer.size * squares) ** layer.beta
    return y


def centered_and_divided(x, axes, epsilon):
    x = x - x.mean(axes, keepdims=True)
    return x / np.sqrt((x**2).mean(axes, keepdims=True) + epsilon)


def scaled(layer, x, axes, weights):
    """x · gamma + beta, along `axes`, as the layer has them."""
    weights, shape = list(weights), [n if axis in axes else 1 for axis, n in enumerate(x.shape)]
    x = x * weights.pop(0).reshape(shape) if layer.scale else x
    return x + weights.pop(0).reshape(shape) if layer.center else x


def positive(axes, x):
    return tuple(sorted(axis % x.ndim for axis in ([axes] if isinstance(axes, int) else axes)))


def layer_normalization(layer, x, *weights):
    axes = positive(layer.axis, x)
    return scaled(layer, centered_and_divided(x, axes, layer.epsilon), axes, weights)


def group_normalization(layer, x, *weights):
    """Each group of channels by itself, as a layer normalization of its part."""
    (axis,) = positive(layer.axis, x)
    groups = x.shape[axis] if layer.groups == -1 else layer.groups
    rest = tuple(range(1, x.ndim))
    parts = [centered_and_divided(part, rest, layer.epsilon) for part in np.split(x, groups, axis)]
    return scaled(layer, np.concatenate(parts, axis), [axis], weights)


def rms_normalization(layer, x, scale):
    return x / np.sqrt((x**2).mean(positive(layer.axis, x), keepdims=True) + layer.epsilon) * scale


def normalization(layer, x):
    shape = [1] * x.ndim
    if isinstance(layer.mean, tuple):
        shape[max(positive(layer.axis, x))] = -1
    mean, variance = (np.array(numbers).reshape(shape) for numbers in (layer.mean, layer.variance))
    root = np.maximum(np.sqrt(variance), 1e-7)
    return mean + x * root if layer.invert else (x - mean) / root


def adaptive(fold):
    """Each cell of the result folds rows ⌊iH/OH⌋ to ⌈(i+1)H/OH⌉, and columns likewise."""

    def twin(layer, x):
        sizes = [
            [(int(np.floor(i * n / m)), int(np.ceil((i + 1) * n / m))) for i in range(m)]
            for n, m in zip(x.shape[1:3], layer.output_size, strict=True)
        ]
        return np.stack([np.stack([fold(x[:, a:b, c:d], (1, 2)) for c, d in sizes[1]], 1) for a, b in sizes[0]], 1)

    return twin


def resizing(layer, x):
    height, width = x.shape[1:3]
    if layer.crop_to_aspect_ratio:
        rows, columns = (
            min(height, width * layer.height // layer.width),
            min(width, height * layer.width // layer.height),
        )
        top, left = (height - rows) // 2, (width - columns) // 2
        x = x[:, top : top + rows, left : left + columns]
    if layer.pad_to_aspect_ratio:
        rows = max(height, width * layer.height // layer.width) - height
        columns = max(width, height * layer.width // layer.height) - width
        sides = [(0, 0), (rows // 2,) * 2, (columns // 2,) * 2, (0, 0)]
        x = np.pad(x, sides, constant_values=layer.fill_value)
    sizes = zip(x.shape[1:3], (layer.height, layer.width), strict=True)
    rows, columns = (resampling.resized(n, m, layer.interpolation, layer.antialias) for n, m in sizes)
    return np.einsum("pi,qj,nijc->npqc", rows, columns, x)


def dot(layer, a, b):
    axes = layer.axes if isinstance(layer.axes, tuple) else (layer.axes,) * 2
    if layer.normalize:
        a, b = (x / np.sqrt((x**2).sum(axis, keepdims=True)) for x, axis in zip((a, b), axes, strict=True))
    made = np.stack(
        [
            np.tensordot(*pair, [[each % (len(x.shape)) - 1] for each, x in zip(axes, (a, b), strict=True)])
            for pair in zip(a, b, strict=True)
        ]
    )
    return made.reshape(len(a), -1) if made.ndim == 1 else made


def softmax(layer, x):
    powers = np.exp(x)
    return powers / powers.sum(layer.axis, keepdims=True)


TWINS = {
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "GroupNormalization": group_normalization,
    "RMSNormalization": rms_normalization,
    "Normalization": normalization,
    "LayerScale": lambda layer, x, gamma: x * gamma,
    "StochasticDepth": lambda layer, x: x,
    "AdaptiveAveragePooling2D": adaptive(np.mean),
    "AdaptiveMaxPooling2D": adaptive(np.max),
    "Resizing": resizing,
    "Dot": dot,
    "Conv2D": conv2d,
    "Dense": lambda layer, x, kernel, bias=None: activated(dense.forward(x, kernel, bias), layer.activation),
    "MaxPooling2D": pool(lambda x, out, window: pooling.max_forward(x, out, window)[0]),
    "AveragePooling2D": pool(pooling.average_forward),
    "Flatten": lambda layer, x: x.reshape(len(x), -1),
    "Reshape": lambda layer, x: x.reshape(len(x), *layer.target_shape),
    "Permute": lambda layer, x: x.transpose(0, *layer.dims),
    "RepeatVector": lambda layer, x: np.stack([x] * layer.n, 1),
    "Identity": lambda layer, x: x,
    "ActivityRegularization": lambda layer, x: x,
    "SpatialDropout2D": lambda layer, x: x,
    "AlphaDropout": lambda layer, x: x,
    "GaussianDropout": lambda layer, x: x,
    "GaussianNoise": lambda layer, x: x,
    "PReLU": lambda layer, x, alpha: np.maximum(x, 0) + alpha * np.minimum(x, 0),
    "LocalResponseNormalization": local_response_normalization,
    "UnitNormalization": unit_normalization,
    "CenterCrop": center_crop,
    "Activation": lambda layer, x: activated(x, layer.activation),
    "Dropout": lambda layer, x: x,
    "ReLU": relu,
    "LeakyReLU": lambda layer, x: activations.leaky_relu(x, layer.negative_slope),
    "ELU": lambda layer, x: activations.elu(x, layer.alpha),
    "Softmax": softmax,
    "Rescaling": lambda layer, x: x * np.array(layer.scale) + np.array(layer.offset),
    "Add": folded(np.add),
    "Subtract": folded(np.subtract),
    "Multiply": folded(np.multiply),
    "Average": lambda layer, *xs: folded(np.add)(layer, *xs) / len(xs),
    "Maximum": folded(np.maximum),
    "Minimum": folded(np.minimum),
    "Concatenate": lambda layer, *xs: np.concatenate(xs, layer.axis),
    "DepthwiseConv2D": lambda layer, *given: activated(depthwise(layer, *given), layer.activation),
    "SeparableConv2D": separable_conv2d,
    "Conv2DTranspose": conv2d_transpose,
    "GlobalAveragePooling2D": lambda layer, x: x.mean((1, 2), keepdims=layer.keepdims),
    "GlobalMaxPooling2D": lambda layer, x: x.max((1, 2), keepdims=layer.keepdims),
    "ZeroPadding2D": lambda layer, x: np.pad(x, [(0, 0), *layer.padding, (0, 0)]),
    "Cropping2D": cropping2d,
    "UpSampling2D": up_sampling2d,
}
"""By class name: (layer, *inputs, *weights) → the output at inference."""

DEPTHWISE = {
    "strides": [1, 2, [1, 3]],
    "padding": ["valid", "same"],
    "depth_multiplier": [1, 2],
    "dilation_rate": [1, 2, [2, 1]],
    "use_bias": [True, False],
    "trainable": [True, False],
    "depthwise_regularizer": [None, {"L2": {"l2": 0.05}}],
    "bias_regularizer": [None, {"L1": {"l1": 0.1}}],
}

GAMMA_AND_BETA = {
    "epsilon": [0.001, 0.3],
    "center": [True, False],
    "scale": [True, False],
    "trainable": [True, False],
    "gamma_regularizer": [None, {"L2": {"l2": 0.1}}],
    "beta_regularizer": [None, {"L1": {"l1": 0.1}}],
}

OPTIONS = {
    "LayerNormalization": {**GAMMA_AND_BETA, "axis": [-1, 1, 2, [1, 2], [1, 3], [2, -1], [1, 2, 3]]},
    "GroupNormalization": {**GAMMA_AND_BETA, "groups": [-1, 1, 2], "axis": [-1, 1, -2]},
    "RMSNormalization": {"axis": [-1, [2, 3], [1, 2, 3]], "epsilon": [1e-6, 0.3], "trainable": [True, False]},
    "Normalization": {
        "axis": [-1, 1, [2, 1], [3, 1], None],
        "mean": [0.5, -3, 0.0],
        "variance": [1, 0.25],
        "invert": [False, True],
    },
    "AdaptiveAveragePooling2D": {"output_size": [1, 2, [3, 4], [6, 7], [8, 5]]},
    "AdaptiveMaxPooling2D": {"output_size": [1, 2, [3, 4], [6, 7], [8, 5]]},
    "Resizing": {
        "height": [1, 4, 11],
        "width": [3, 7],
        "interpolation": ["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"],
        "antialias": [False, True],
        "crop_to_aspect_ratio": [False, True],
        "pad_to_aspect_ratio": [False],
        "fill_mode": ["constant"],
        "fill_value": [0.0, 0.5],
    },
    "Dot": {"axes": [1, -1, [2, 2], [1, -2], [-1, 3]], "normalize": [False, True]},
    "LayerScale": {"init_values": [1e-6, 1.0], "projection_dim": [5], "trainable": [True, False]},
    "StochasticDepth": {"drop_path_rate": [0.0, 0.25, 0.9]},
    "BatchNormalization": {
        **GAMMA_AND_BETA,
        "axis": [-1, 3, 1, -2],
        "momentum": [0.99, 0.5],
        "synchronized": [True, False],
        "activity_regularizer": [None, {"L2": {"l2": 0.3}}],
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
        "kernel_regularizer": [None, {"L1": {"l1": 0.05}}, {"OrthogonalRegularizer": {"factor": 0.5}}],
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
    "Dropout": {"rate": [0.0, 0.25, 0.9], "noise_shape": [None, [None, 1, 5], [None, None, 1]], "seed": [None, 4]},
    "SpatialDropout2D": {"rate": [0.0, 0.25, 0.9], "seed": [None, 4]},
    "AlphaDropout": {
        "rate": [0.0, 0.25, 0.9],
        "noise_shape": [None, [None, 1, None], [None, 4, 1]],
        "seed": [None, -4],
    },
    "GaussianDropout": {"rate": [0.0, 0.25, 0.9], "seed": [None, 4]},
    "GaussianNoise": {"stddev": [0.0, 0.25, 1.0], "seed": [None, 4]},
    "ActivityRegularization": {"l1": [0.0, 0.2], "l2": [0.0, 0.3]},
    "PReLU": {
        "shared_axes": [None, 1, 2, 3, [1, 2], [1, 3], [2, 3], [1, 2, 3]],
        "alpha_regularizer": [None, {"L2": {"l2": 0.1}}],
        "trainable": [True, False],
    },
    "Reshape": {"target_shape": [[24], [4, 3, 2], [2, -1], [2, 3, 2, 2]]},
    "Permute": {"dims": [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]]},
    "RepeatVector": {"n": [1, 2, 5]},
    "LocalResponseNormalization": {"size": [1, 2, 5, 9], "alpha": [0.0001, 3.0], "beta": [0.5, 1.0], "bias": [2.0]},
    "UnitNormalization": {"axis": [-1, 1, 2, [1, 2], [1, 3], [2, -1], [1, 2, 3]]},
    "CenterCrop": {"height": [1, 2, 5], "width": [1, 3, 6]},
    "Activation": {"activation": [name for name in ACTIVATIONS.spellings if name != "threshold"]},
    "ReLU": {"max_value": [None, 0.0, 0.5, 6.0], "negative_slope": [0.0, 0.25], "threshold": [0.0, 0.4]},
    "LeakyReLU": {"negative_slope": [0.3, 0.0, 1.5]},
    "ELU": {"alpha": [1.0, 0.0, 0.3, -1.5]},
    "Softmax": {"axis": [-1, 1, 2, -2, 3, [1, 2], [1, 3], [2, 3], [3, 2, 1], [2]]},
    "Rescaling": {"scale": [0.25, -3, 0.0, [1, "1/2", -3, 4]], "offset": [0.0, 0.5, [0, 1, 2, 3]]},
    "Concatenate": {"axis": [1, 3, -1, -2]},
    "DepthwiseConv2D": {
        **DEPTHWISE,
        "kernel_size": [1, 3, [2, 3], 5],
        "activation": ["linear", "relu", "sigmoid", "tanh", "softmax"],
        "activity_regularizer": [None, {"L2": {"l2": 0.3}}],
    },
    "SeparableConv2D": {
        **DEPTHWISE,
        "kernel_size": [3, [2, 3]],
        "activation": ["linear", "relu", "tanh"],
        "pointwise_regularizer": [None, {"L1L2": {"l1": 0.1, "l2": 0.2}}],
        "activity_regularizer": [None, {"L1": {"l1": 0.1}}],
    },
    "Conv2DTranspose": {
        "kernel_size": [1, 3, [2, 3], 4],
        "strides": [1, 2, [2, 3]],
        "padding": ["valid", "same"],
        "output_padding": [None],
        "dilation_rate": [1, 2, [2, 1]],
        "activation": ["linear", "relu", "sigmoid", "tanh", "softmax"],
        "use_bias": [True, False],
        "trainable": [True, False],
        "kernel_regularizer": [None, {"L2": {"l2": 0.05}}],
        "bias_regularizer": [None, {"L1": {"l1": 0.1}}],
        "activity_regularizer": [None, {"L2": {"l2": 0.3}}],
    },
    "GlobalAveragePooling2D": {"keepdims": [True, False]},
    "GlobalMaxPooling2D": {"keepdims": [True, False]},
    "ZeroPadding2D": {"padding": [0, 2, [1, 0], [[0, 3], [2, 1]]]},
    "Cropping2D": {"cropping": [0, 1, [2, 0], [[0, 3], [2, 1]]]},
    "UpSampling2D": {
        "size": [1, 2, 3, [1, 4]],
        "interpolation": ["nearest", "bilinear", "bicubic", "lanczos3", "LANCZOS5"],
    },
}
"""By class name: the values of each option that changes the numbers; tried in pairs."""

BASES = {
    "LayerNormalization": ({}, [(3, 2, 5)]),
    "GroupNormalization": ({}, [(4, 2, 6)]),
    "RMSNormalization": ({}, [(3, 2, 5)]),
    "Normalization": ({}, [(3, 2, 4)]),
    "AdaptiveAveragePooling2D": ({}, [(6, 7, 3)]),
    "AdaptiveMaxPooling2D": ({}, [(6, 7, 3)]),
    "Resizing": ({}, [(6, 7, 2)]),
    "Dot": ({}, [(3, 3), (3, 3, 3)]),
    "LayerScale": ({}, [(3, 2, 5)]),
    "StochasticDepth": ({}, [(4, 5)]),
    "BatchNormalization": ({}, [(3, 2, 5)]),
    "Conv2D": ({"filters": 4}, [(6, 7, 4)]),
    "Dense": ({"units": 3}, [(4,)]),
    "MaxPooling2D": ({}, [(6, 7, 2)]),
    "AveragePooling2D": ({}, [(6, 7, 2)]),
    "Dropout": ({}, [(4, 5)]),
    "SpatialDropout2D": ({}, [(3, 4, 5)]),
    "AlphaDropout": ({}, [(4, 5)]),
    "GaussianDropout": ({}, [(4, 5)]),
    "GaussianNoise": ({}, [(4, 5)]),
    "ActivityRegularization": ({}, [(4, 5)]),
    "PReLU": ({}, [(2, 3, 4)]),
    "Reshape": ({}, [(2, 3, 4)]),
    "Permute": ({}, [(2, 3, 4)]),
    "RepeatVector": ({}, [(5,)]),
    "LocalResponseNormalization": ({"size": 3}, [(3, 4, 5)]),
    "UnitNormalization": ({}, [(3, 4, 2)]),
    "CenterCrop": ({}, [(5, 6, 3)]),
    "Activation": ({}, [(3, 4)]),
    "ReLU": ({}, [(3, 4)]),
    "LeakyReLU": ({}, [(3, 4)]),
    "ELU": ({}, [(3, 4)]),
    "Softmax": ({}, [(3, 4, 2)]),
    "Rescaling": ({}, [(3, 4)]),
    "Concatenate": ({}, [(3, 3, 3), (3, 3, 3)]),
    "DepthwiseConv2D": ({}, [(9, 10, 2)]),
    "SeparableConv2D": ({"filters": 3}, [(6, 7, 2)]),
    "Conv2DTranspose": ({"filters": 3}, [(3, 4, 2)]),
    "GlobalAveragePooling2D": ({}, [(3, 4, 5)]),
    "GlobalMaxPooling2D": ({}, [(3, 4, 5)]),
    "ZeroPadding2D": ({}, [(3, 2, 3)]),
    "Cropping2D": ({}, [(5, 6, 3)]),
    "UpSampling2D": ({}, [(3, 2, 3)]),
}
"""By class name: the required arguments and the input shapes that the options are tried with."""
