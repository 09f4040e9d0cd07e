"""Optimizers, penalties, constraints: one element or one array at a time, in float64. Nothing is changed in place."""

import numpy as np

EPSILON = 1e-7


def sgd(w, g, m, rate, momentum, nesterov):
    """Returns (w, m)."""
    if m is None:
        return w - rate * g, None
    m = momentum * m - rate * g
    return w + (momentum * m - rate * g if nesterov else m), m


def adam(w, g, m, v, alpha, beta_1, beta_2, epsilon):
    """Kingma and Ba's form, b·m + (1 − b)·g. Returns (w, m, v)."""
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    return w - alpha * m / (np.sqrt(v) + epsilon), m, v


def penalty(x, l1, l2, scale):
    return scale * (l1 * np.abs(x).sum() + l2 * (x**2).sum())


def penalty_gradient(x, l1, l2, scale):
    return scale * (l1 * np.sign(x) + 2 * l2 * x)


def norm(w, axes):
    return np.sqrt((w**2).sum(axis=axes, keepdims=True))


def max_norm(w, max_value, axes):
    length = norm(w, axes)
    return w * np.clip(length, 0, max_value) / (EPSILON + length)


def unit_norm(w, axes):
    return w / (EPSILON + norm(w, axes))


def non_neg(w):
    return np.where(w < 0, 0.0, w)
