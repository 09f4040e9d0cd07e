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
