"""Convolution, ReLU and 2×2 max pooling one after the other, in float64."""

import numpy as np

from tests.reference import convolution, pooling

Pair = tuple[int, int]
SQUARES = ((2, 2), (2, 2), (0, 0))


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, pooled: Pair, geometry: tuple) -> np.ndarray:
    """The convolution's rows and columns that fill 2×2 squares."""
    return convolution.forward(x, kernel, bias, (2 * pooled[0], 2 * pooled[1]), geometry)


def forward(
    x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, pooled: Pair, geometry: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """The pooled map, and each pixel's winner: 0 … 3, or 4 where the maximum is not positive."""
    pixels = convolved(x, kernel, bias, pooled, geometry)
    out, winner = pooling.max_forward(np.where(pixels <= 0, 0, pixels), pooled, SQUARES)
    return out, np.where(out <= 0, 4, winner).astype(np.uint8)


def scattered(grad: np.ndarray, winner: np.ndarray) -> np.ndarray:
    """The gradient before pooling and ReLU: each number at its winner's place."""
    out = np.zeros((grad.shape[0], 2 * grad.shape[1], 2 * grad.shape[2], grad.shape[3]))
    for cell in range(4):
        out[:, cell // 2 :: 2, cell % 2 :: 2] = np.where(winner == cell, grad, 0)
    return out


def grad_weight(
    grad: np.ndarray, winner: np.ndarray, x: np.ndarray, kernel: np.ndarray, geometry: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of the kernel and of the bias."""
    whole = scattered(grad, winner)
    return convolution.grad_weight(whole, x, kernel, geometry), whole.sum((0, 1, 2))


def grad_input(grad: np.ndarray, winner: np.ndarray, x: np.ndarray, kernel: np.ndarray, geometry: tuple) -> np.ndarray:
    """The gradient of the image."""
    return convolution.grad_input(scattered(grad, winner), x, kernel, geometry)
