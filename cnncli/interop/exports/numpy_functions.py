"""The operations of networks in NumPy, for people to read: `numpy_folder` copies into predict.py those of a network.

x is float32 with the batch axis first: images are (N, height, width, channels). No function needs another module than
NumPy and math.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import math

import numpy as np


def taps(x, size, strides, padding, dilation, fill=0.0):
    """Slide a window of `size` over images; for each of its cells, yield its place and the pixels that it meets."""
    x = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill)
    rows, columns = (
        (length - (cells - 1) * gap - 1) // step * step + 1
        for length, cells, gap, step in zip(x.shape[1:3], size, dilation, strides)
    )
    for i in range(size[0]):
        for j in range(size[1]):
            top, left = i * dilation[0], j * dilation[1]
            yield i, j, x[:, top : top + rows : strides[0], left : left + columns : strides[1]]


def conv2d(x, kernel, bias=0, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    """Convolution with a kernel (height, width, channels, filters): a sum of matrix products, one for each cell."""
    y = bias
    for i, j, pixels in taps(x, kernel.shape[:2], strides, padding, dilation):
        y = y + pixels @ kernel[i, j]
    return y


def grouped_conv2d(x, kernel, bias=0, groups=1, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    """Convolution of groups of channels, each with its share of the filters."""
    parts = zip(np.split(x, groups, axis=-1), np.split(kernel, groups, axis=-1))
    return np.concatenate([conv2d(part, own, 0, strides, padding, dilation) for part, own in parts], axis=-1) + bias


def depthwise_conv2d(x, kernel, bias=0, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    """Convolution of each channel by itself."""
    y = bias
    for i, j, pixels in taps(x, kernel.shape[:2], strides, padding, dilation):
        y = y + pixels * kernel[i, j].reshape(-1)
    return y


def conv2d_transpose(x, kernel, bias=0, size=(1, 1), strides=(1, 1), before=(0, 0), dilation=(1, 1)):
    """Transposed convolution to images of `size`, with a kernel (height, width, filters, channels): each pixel adds the
    kernel, times its value, to a larger image, of which the cells `before` are cut off.
    """
    rows, columns = ((length - 1) * step + 1 for length, step in zip(x.shape[1:3], strides))
    ends = (n + (cells - 1) * gap for n, cells, gap in zip((rows, columns), kernel.shape, dilation))
    whole = [max(end, cut + length) for end, cut, length in zip(ends, before, size)]
    y = np.zeros((len(x), *whole, kernel.shape[2]), np.float32)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            top, left = i * dilation[0], j * dilation[1]
            y[:, top : top + rows : strides[0], left : left + columns : strides[1]] += x @ kernel[i, j].T
    return y[:, before[0] : before[0] + size[0], before[1] : before[1] + size[1]] + bias


def max_pool2d(x, size, strides, padding=((0, 0), (0, 0))):
    """The maximum of each window."""
    y = -np.inf
    for _, _, pixels in taps(x, size, strides, padding, (1, 1), fill=-np.inf):
        y = np.maximum(y, pixels)
    return y


def average_pool2d(x, size, strides, padding=((0, 0), (0, 0))):
    """The mean of each window; cells outside of the image do not count."""
    inside = np.ones_like(x[:1, :, :, :1])
    total = sum(pixels for _, _, pixels in taps(x, size, strides, padding, (1, 1)))
    return total / sum(pixels for _, _, pixels in taps(inside, size, strides, padding, (1, 1)))


def frame(x, rows, columns):
    """Images with so many rows (above, below) and columns (left, right) of zeros around; negative numbers crop."""
    x = np.pad(x, ((0, 0), *((max(0, a), max(0, b)) for a, b in (rows, columns)), (0, 0)))
    (top, bottom), (left, right) = ((max(0, -a), max(0, -b)) for a, b in (rows, columns))
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def resample(x, rows, columns):
    """Each row and column of the result is a weighted sum of those of x; the weights are those of two matrices."""
    return np.einsum("yh,nhwc,xw->nyxc", rows, x, columns, optimize=True).astype(np.float32)


def batch_normalization(x, mean, variance, gamma=1.0, beta=0.0, epsilon=0.001):
    """Normalization of channels with the mean and variance of the training."""
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def layer_normalization(x, axes, gamma=1.0, beta=0.0, epsilon=0.001):
    """Normalization of each image along axes."""
    x = x - x.mean(axis=axes, keepdims=True)
    return x / np.sqrt((x * x).mean(axis=axes, keepdims=True) + epsilon) * gamma + beta


def rms_normalization(x, axes, gamma=1.0, epsilon=0.000001):
    """Division by the root mean square along axes."""
    return x / np.sqrt((x * x).mean(axis=axes, keepdims=True) + epsilon) * gamma


def group_normalization(x, groups, gamma=1.0, beta=0.0, epsilon=0.001):
    """Normalization of groups of channels of each image."""
    rows = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    rows = rows - rows.mean(axis=(1, 3), keepdims=True)
    rows = rows / np.sqrt((rows * rows).mean(axis=(1, 3), keepdims=True) + epsilon)
    return rows.reshape(x.shape) * gamma + beta


def softmax(x):
    """Probabilities with a sum of 1 along the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def sparsemax(x):
    """The nearest probabilities (Martins, Astudillo 2016): x − τ where that is positive, with a sum of 1."""
    sums = np.cumsum(-np.sort(-x, axis=-1), axis=-1)
    levels = (sums - 1) / np.arange(1, x.shape[-1] + 1, dtype=np.float32)
    return np.maximum(x - levels.max(axis=-1, keepdims=True), 0)


def relu(x):
    return np.maximum(x, 0)


def relu6(x):
    return np.clip(x, 0, 6)


def clipped_relu(x, most, slope, threshold):
    return np.where(x > threshold, np.minimum(x, most), (x - threshold) * slope)


def leaky_relu(x, slope):
    return np.where(x > 0, x, x * slope)


def elu(x, alpha):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def celu(x, alpha):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def selu(x):
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def gelu(x):
    """x · Φ(x), with the distribution function Φ of the normal distribution."""
    erf = np.vectorize(math.erf, otypes=[np.float32])
    return x * (1 + erf(x * 0.7071067811865476)) / 2


def gelu_tanh(x):
    return x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x**3))) / 2


def sigmoid(x):
    return (1 + np.tanh(x / 2)) / 2


def log_sigmoid(x):
    return -np.logaddexp(0, -x)


def hard_sigmoid(x):
    return np.clip(x + 3, 0, 6) / 6


def silu(x):
    return x * sigmoid(x)


def hard_silu(x):
    return x * hard_sigmoid(x)


def softplus(x):
    return np.logaddexp(0, x)


def mish(x):
    return x * np.tanh(softplus(x))


def squareplus(x, b):
    return (x + np.sqrt(x * x + b)) / 2


def softsign(x):
    return x / (1 + abs(x))


def sparse_plus(x):
    return np.where(x >= 1, x, np.maximum(x + 1, 0) ** 2 / 4)


def sparse_sigmoid(x):
    return np.clip((x + 1) / 2, 0, 1)


def hard_shrink(x, threshold):
    return np.where(abs(x) > threshold, x, 0)


def soft_shrink(x, threshold):
    return np.sign(x) * np.maximum(abs(x) - threshold, 0)


def tanh_shrink(x):
    return x - np.tanh(x)


def hard_tanh(x):
    return np.clip(x, -1, 1)


def threshold(x, least, value):
    return np.where(x > least, x, value)
