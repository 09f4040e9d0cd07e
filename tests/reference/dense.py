"""Dense layers by NumPy's matrix product, in float64."""

import numpy as np


def forward(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """x · kernel + bias along the last axis."""
    out = x.astype(np.float64) @ kernel.astype(np.float64)
    return out if bias is None else out + bias


def grad_input(grad: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """grad · kernelᵀ."""
    return grad.astype(np.float64) @ kernel.astype(np.float64).T


def grad_weight(x: np.ndarray, grad: np.ndarray) -> np.ndarray:
    """The outer products of inputs and gradients, summed over all leading axes."""
    return np.einsum("ri,ru->iu", x.reshape(-1, x.shape[-1]).astype(np.float64), grad.reshape(-1, grad.shape[-1]))


def sum_rows(x: np.ndarray) -> np.ndarray:
    """The sum over all axes but the last."""
    return x.astype(np.float64).sum(axis=tuple(range(x.ndim - 1)))
