"""Activations and softmax, each from its textbook formula, in float64."""

from math import erf, inf, pi, sqrt

import numpy as np


def relu(x):
    return np.where(np.isnan(x) | (x > 0), x, 0.0)


def sigmoid(x):
    # Written without exp: 1 / (1 + e⁻ˣ) = (1 + tanh(x/2)) / 2 loses the left tail, so that one uses eˣ itself.
    return np.where(x < -20, np.exp(np.minimum(x, 0)), (1 + np.tanh(x / 2)) / 2)


def tanh(x):
    return np.tanh(x)


def relu6(x):
    return np.clip(x, 0, 6)


def leaky_relu(x, slope=0.2):
    return np.where(x < 0, slope * x, x)


def elu(x, alpha=1.0):
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


def hard_sigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


def normal(x):
    """The distribution function of the standard normal."""
    return np.vectorize(lambda z: (1 + erf(z / sqrt(2))) / 2, otypes=[float])(x)


def gelu(x):
    return x * normal(x)


def silu(x):
    return x * sigmoid(x)


def hard_silu(x):
    return x * hard_sigmoid(x)


def clipped_relu(x, most=inf, slope=0.0, threshold=0.0):
    """Keras' ReLU with all its arguments."""
    below = slope * (x - threshold) if slope else np.where(np.isnan(x), x, 0.0)
    return np.where(x > threshold, np.minimum(x, most), below)


def celu(x, alpha=1.0):
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0) / alpha), x)


def elu_of_input(x, alpha=-1.0):
    return elu(x, alpha)


def selu(x):
    return SELU[0] * elu(x, SELU[1])


def exponential(x):
    return np.exp(x)


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(curve(x)))


def curve(x):
    """The cubic that approximates artanh(erf(x/√2))."""
    return sqrt(2 / pi) * (x + 0.044715 * x**3)


def softplus(x):
    return np.logaddexp(x, 0)


def log_sigmoid(x):
    return -np.logaddexp(-x, 0)


def mish(x):
    return x * np.tanh(softplus(x))


def softsign(x):
    return x / (1 + np.abs(x))


def hard_tanh(x):
    return np.clip(x, -1, 1)


def hard_shrink(x, threshold=0.5):
    return np.where(np.isnan(x) | (np.abs(x) > threshold), x, 0.0)


def soft_shrink(x, threshold=0.5):
    return np.where(x > threshold, x - threshold, np.where(x < -threshold, x + threshold, 0.0 * x))


def tanh_shrink(x):
    return x - np.tanh(x)


def sparse_plus(x):
    return np.where(x <= -1, 0.0, np.where(x < 1, (x + 1) ** 2 / 4, x))


def sparse_sigmoid(x):
    return np.clip((x + 1) / 2, 0, 1)


def squareplus(x, b=4.0):
    with np.errstate(over="ignore"):
        root = np.sqrt(x**2 + b)
    return np.where(x < 0, b / (root + np.abs(x)), root + x) / 2


def threshold(x, threshold=0.0, value=-1.0):
    return np.where(np.isnan(x) | (x > threshold), x, value)


SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
"""Scale and alpha."""
DERIVATIVES = {
    "relu": lambda x: np.where(x > 0, 1.0, 0.0),
    "relu6": lambda x: np.where((x > 0) & (x < 6), 1.0, 0.0),
    "leaky_relu": lambda x, slope=0.2: np.where(x > 0, 1.0, slope),
    "elu": lambda x, alpha=1.0: np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0))),
    "sigmoid": lambda x: 1 / (4 * np.cosh(x / 2) ** 2),
    "hard_sigmoid": lambda x: np.where(np.abs(x) < 3, 1 / 6, 0.0),
    "tanh": lambda x: 1 / np.cosh(x) ** 2,
    "gelu": lambda x: normal(x) + x * np.exp(-(x**2) / 2) / sqrt(2 * pi),
    "silu": lambda x: sigmoid(x) + x / (4 * np.cosh(x / 2) ** 2),
    "hard_silu": lambda x: np.where(x >= 3, 1.0, np.where(x <= -3, 0.0, x / 3 + 0.5)),
    "celu": lambda x, alpha=1.0: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0) / alpha)),
    "elu_of_input": lambda x, alpha=-1.0: np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0))),
    "exponential": np.exp,
    "gelu_tanh": lambda x: (
        (1 + np.tanh(curve(x))) / 2 + x / 2 * (1 - np.tanh(curve(x)) ** 2) * sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2)
    ),
    "hard_shrink": lambda x, threshold=0.5: np.where(np.abs(x) > threshold, 1.0, 0.0),
    "hard_tanh": lambda x: np.where(np.abs(x) <= 1, 1.0, 0.0),
    "log_sigmoid": lambda x: sigmoid(-x),
    "mish": lambda x: np.tanh(softplus(x)) + x * sigmoid(x) / np.cosh(np.minimum(softplus(x), 300)) ** 2,
    "selu": lambda x: SELU[0] * np.where(x >= 0, 1.0, SELU[1] * np.exp(np.minimum(x, 0))),
    "soft_shrink": lambda x, threshold=0.5: np.where(np.abs(x) > threshold, 1.0, 0.0),
    "softplus": sigmoid,
    "softsign": lambda x: 1 / (1 + np.abs(x)) ** 2,
    "sparse_plus": lambda x: np.clip((x + 1) / 2, 0, 1),
    "sparse_sigmoid": lambda x: np.where(np.abs(x) < 1, 0.5, 0.0),
    "squareplus": lambda x, b=4.0: squareplus(x, b) / np.sqrt(x**2 + b),
    "tanh_shrink": lambda x: np.tanh(x) ** 2,
    "threshold": lambda x, threshold=0.0, value=-1.0: np.where(x > threshold, 1.0, 0.0),
    "clipped_relu": lambda x, most=inf, slope=0.0, threshold=0.0: np.where(
        x > threshold, np.where(x <= most, 1.0, 0.0), np.where(x < threshold, slope, 0.0)
    ),
}


def derivative(kind, x, *constants):
    """f′ from x itself, not from the output."""
    return DERIVATIVES[kind](x, *constants)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(y, grad):
    """The Jacobian diag(y) − y yᵀ of each row, times grad."""
    out = np.zeros_like(y)
    for index in np.ndindex(y.shape[:-1]):
        row = y[index]
        out[index] = (np.diag(row) - np.outer(row, row)) @ grad[index]
    return out


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def log_softmax_backward(y, grad):
    return grad - np.exp(y) * grad.sum(axis=-1, keepdims=True)


def sparsemax(x):
    """By sorting, as in the article."""
    z = -np.sort(-x, axis=-1)
    thresholds = (np.cumsum(z, axis=-1) - 1) / np.arange(1, x.shape[-1] + 1)
    support = (z > thresholds).sum(axis=-1, keepdims=True)
    return np.maximum(x - np.take_along_axis(thresholds, support - 1, axis=-1), 0)


def sparsemax_backward(y, grad):
    chosen = y > 0
    return np.where(chosen, grad - (grad * chosen).sum(axis=-1, keepdims=True) / chosen.sum(axis=-1, keepdims=True), 0)
