"""Sums and means over axes, rsqrt and weights repeated over a batch, in float64."""

import numpy as np


def summed(x, axes):
    """The sum over `axes`, which are dropped."""
    for axis in sorted(axes, reverse=True):
        x = sum(np.moveaxis(x, axis, 0).astype(np.float64))
    return x


def mean(x, axes):
    """The mean over `axes`, which are dropped."""
    return summed(x, axes) / np.prod([x.shape[axis] for axis in axes])


def rsqrt(x, epsilon):
    return (x.astype(np.float64) + epsilon) ** -0.5


def rsqrt_gradient(grad, y):
    """By the derivative of x^(-1/2), x being y^(-2)."""
    return grad * (-0.5 * (y.astype(np.float64) ** -2) ** -1.5)


def weighted(kind, x, weight):
    """Each sample, and each of its places before the weight's axes, with the weight itself."""
    rows = x.reshape(-1, weight.size).astype(np.float64)
    found = [row * weight.ravel() if kind == "multiply" else row + weight.ravel() for row in rows]
    return np.array(found).reshape(x.shape)


def weight_gradient(kind, x, grad, weight):
    """What all places that a number of the weight goes to give it together."""
    rows, grads = (array.reshape(-1, weight.size).astype(np.float64) for array in (x, grad))
    return (rows * grads if kind == "multiply" else grads).sum(axis=0).reshape(weight.shape)
