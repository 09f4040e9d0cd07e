"""Convolution by its definition: one loop per kernel tap and group over a zero-padded image, in float64."""

from collections.abc import Iterator

import numpy as np

Pair = tuple[int, int]


def taps(
    image: np.ndarray, kernel: np.ndarray, size: Pair, geometry: tuple
) -> Iterator[tuple[tuple[int, int], slice, slice, tuple[slice, slice]]]:
    """For each tap and group: (i, j), its input channels, its filters, and the padded pixels it reads."""
    strides, _, dilation, groups = geometry
    inner, filters = image.shape[3] // groups, kernel.shape[3] // groups
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            y, x = i * dilation[0], j * dilation[1]
            window = (
                slice(y, y + (size[0] - 1) * strides[0] + 1, strides[0]),
                slice(x, x + (size[1] - 1) * strides[1] + 1, strides[1]),
            )
            for g in range(groups):
                yield (i, j), slice(g * inner, (g + 1) * inner), slice(g * filters, (g + 1) * filters), window


def padded(image: np.ndarray, kernel: np.ndarray, size: Pair, geometry: tuple) -> np.ndarray:
    """The image with its zeros around it, as far as any tap reaches (and never smaller than the image needs)."""
    strides, padding, dilation, _ = geometry
    pads = [(0, 0)]
    for axis in range(2):
        reach = (size[axis] - 1) * strides[axis] + (kernel.shape[axis] - 1) * dilation[axis] + 1
        pads.append((padding[axis], max(0, reach - padding[axis] - image.shape[axis + 1])))
    return np.pad(image.astype(np.float64), [*pads, (0, 0)])


def forward(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, size: Pair, geometry: tuple) -> np.ndarray:
    """out[n, y, x, f] = bias[f] + Σ x[n, y·s + i·d - p, x·s + j·d - p, c] · kernel[i, j, c, f]."""
    source, weights = padded(x, kernel, size, geometry), kernel.astype(np.float64)
    out = np.zeros((x.shape[0], *size, kernel.shape[3]))
    for (i, j), channels, filters, window in taps(x, kernel, size, geometry):
        patch = source[:, window[0], window[1], channels]
        out[..., filters] += np.einsum("nyxc,cf->nyxf", patch, weights[i, j, :, filters])
    return out if bias is None else out + bias


def grad_input(grad: np.ndarray, x: np.ndarray, kernel: np.ndarray, geometry: tuple) -> np.ndarray:
    """Every tap's share of the gradient scattered back onto the pixels it read."""
    size = grad.shape[1:3]
    out = np.zeros_like(padded(x, kernel, size, geometry))
    for (i, j), channels, filters, window in taps(x, kernel, size, geometry):
        share = np.einsum("nyxf,cf->nyxc", grad[..., filters].astype(np.float64), kernel[i, j, :, filters])
        out[:, window[0], window[1], channels] += share
    top, left = geometry[1]
    return out[:, top : top + x.shape[1], left : left + x.shape[2]]


def grad_weight(grad: np.ndarray, x: np.ndarray, kernel: np.ndarray, geometry: tuple) -> np.ndarray:
    """Every tap's inputs times the gradient, summed over images and pixels."""
    size = grad.shape[1:3]
    source = padded(x, kernel, size, geometry)
    out = np.zeros(kernel.shape)
    for (i, j), channels, filters, window in taps(x, kernel, size, geometry):
        patch = source[:, window[0], window[1], channels]
        out[i, j, :, filters] = np.einsum("nyxc,nyxf->cf", patch, grad[..., filters].astype(np.float64))
    return out
