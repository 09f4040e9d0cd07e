"""Larger images, by the definition of each interpolation, in float64."""

import numpy as np


def matrix(cells: int, size: int, interpolation: str) -> np.ndarray:
    """(cells · size, cells): what each place of the large axis is made of. Centres of pixels lie at halves."""
    out = np.zeros((cells * size, cells))
    for place in range(cells * size):
        position = (place + 0.5) / size - 0.5
        if interpolation == "nearest":
            out[place, int(np.floor(position + 0.5))] = 1
        else:
            position = min(max(position, 0), cells - 1)
            for cell in range(cells):
                out[place, cell] = max(0, 1 - abs(position - cell))
    return out


def up_sample(x: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Rows, then columns."""
    rows, columns = (matrix(cells, s, interpolation) for cells, s in zip(x.shape[1:3], size, strict=True))
    return np.einsum("pi,qj,nijc->npqc", rows, columns, x.astype(np.float64))


def resized(cells: int, out: int, interpolation: str, antialias: bool) -> np.ndarray:
    """The matrix (out, cells) of tf.image.resize along one axis: rows of weights that sum to 1."""
    centers = (np.arange(out)[:, None] + 0.5) * cells / out - 0.5
    if interpolation == "nearest":
        return np.eye(cells)[np.clip(np.floor(centers[:, 0] + 0.5).astype(int), 0, cells - 1)]
    if interpolation == "bicubic" and not antialias:
        centers = np.floor(centers) + np.round((centers - np.floor(centers)) * 1024) / 1024
    x = np.abs(np.arange(cells) - centers) / (max(cells / out, 1) if antialias else 1)
    if interpolation == "bilinear":
        weights = np.maximum(0, 1 - x)
    elif interpolation == "bicubic":
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    else:
        radius = int(interpolation[-1])
        weights = np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)
    return weights / weights.sum(1, keepdims=True)
