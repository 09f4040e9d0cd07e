"""Pooling window by window, in float64."""

from collections.abc import Iterator

import numpy as np

Pair = tuple[int, int]


def cells(shape: tuple[int, ...], pooled: Pair, window: tuple[Pair, Pair, Pair]) -> Iterator[tuple[int, int, list]]:
    """For each window its place and its cells inside the image: (cell number, row, column)."""
    (kh, kw), (sy, sx), (top, left) = window
    for oy in range(pooled[0]):
        for ox in range(pooled[1]):
            every = [(i * kw + j, oy * sy - top + i, ox * sx - left + j) for i in range(kh) for j in range(kw)]
            yield oy, ox, [(k, y, x) for k, y, x in every if 0 <= y < shape[1] and 0 <= x < shape[2]]


def max_forward(x: np.ndarray, pooled: Pair, window: tuple[Pair, Pair, Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Values and winners; np.argmax takes the first of equals and the first NaN, which is the rule."""
    out = np.zeros((x.shape[0], *pooled, x.shape[3]))
    winner = np.zeros(out.shape, np.int32)
    for oy, ox, inside in cells(x.shape, pooled, window):
        values = np.stack([x[:, y, col] for _, y, col in inside])
        best = values.argmax(0)
        winner[:, oy, ox] = np.array([k for k, _, _ in inside])[best]
        out[:, oy, ox] = np.take_along_axis(values, best[None], 0)[0]
    return out, winner


def max_backward(grad: np.ndarray, x: np.ndarray, window: tuple[Pair, Pair, Pair]) -> np.ndarray:
    """The gradient added to the cell that `max_forward` finds."""
    out = np.zeros(x.shape)
    _, winner = max_forward(x, grad.shape[1:3], window)
    for oy, ox, inside in cells(x.shape, grad.shape[1:3], window):
        for k, y, col in inside:
            out[:, y, col] += np.where(winner[:, oy, ox] == k, grad[:, oy, ox], 0)
    return out


def average_forward(x: np.ndarray, pooled: Pair, window: tuple[Pair, Pair, Pair]) -> np.ndarray:
    """The mean of the cells inside the image."""
    out = np.zeros((x.shape[0], *pooled, x.shape[3]))
    for oy, ox, inside in cells(x.shape, pooled, window):
        out[:, oy, ox] = np.mean([x[:, y, col] for _, y, col in inside], axis=0, dtype=np.float64)
    return out


def average_backward(grad: np.ndarray, shape: tuple[int, ...], window: tuple[Pair, Pair, Pair]) -> np.ndarray:
    """The gradient shared equally among the cells inside the image."""
    out = np.zeros(shape)
    for oy, ox, inside in cells(shape, grad.shape[1:3], window):
        for _, y, col in inside:
            out[:, y, col] += grad[:, oy, ox].astype(np.float64) / len(inside)
    return out
