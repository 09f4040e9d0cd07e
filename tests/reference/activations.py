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
