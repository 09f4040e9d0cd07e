"""Batch normalization from its formulas, in float64: all axes but the last, with the biased variance."""

import numpy as np


def moments(x):
    """The mean and the biased variance of each channel."""
    rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
    mean = rows.mean(axis=0)
    return mean, ((rows - mean) ** 2).mean(axis=0)


def normalized(x, mean, variance, gamma, beta, epsilon):
    return (x.astype(np.float64) - mean) / np.sqrt(variance + epsilon) * gamma + beta


def gradients(x, grad, gamma, epsilon):
    """Those of x, gamma and beta through the chain x → mean, variance → x̂ → y, term by term."""
    mean, variance = moments(x)
    rows, grads = (array.reshape(-1, x.shape[-1]).astype(np.float64) for array in (x, grad))
    count, inverse = len(rows), 1 / np.sqrt(variance + epsilon)
    centered = rows - mean
    grad_normalized = grads * gamma
    grad_variance = (grad_normalized * centered).sum(axis=0) * -0.5 * inverse**3
    grad_mean = -(grad_normalized * inverse).sum(axis=0) + grad_variance * -2 * centered.mean(axis=0)
    grad_x = grad_normalized * inverse + grad_variance * 2 * centered / count + grad_mean / count
    return grad_x.reshape(x.shape), (grads * centered * inverse).sum(axis=0), grads.sum(axis=0)


def of_rows(x, grad, gamma, beta, epsilon, centered):
    """Rows, each by its own mean (or 0) and variance: y, mean and inverse (R, 2), and the gradients as above."""
    x, grad = x.astype(np.float64), grad.astype(np.float64)
    mean = x.mean(1, keepdims=True) * centered
    inverse = 1 / np.sqrt(((x - mean) ** 2).mean(1, keepdims=True) + epsilon)
    normal, scaled = (x - mean) * inverse, grad * gamma
    jacobian = -normal[:, :, None] * normal[:, None] / x.shape[1] - centered / x.shape[1] + np.eye(x.shape[1])
    grad_x = np.einsum("ri,rij->rj", scaled, jacobian) * inverse
    return normal * gamma + beta, np.hstack([mean, inverse]), (grad_x, (grad * normal).sum(0), grad.sum(0))
