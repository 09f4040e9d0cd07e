"""What networks in int8 compute, with NumPy: the integers are those of the C code."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cnncli.interop.exports.int8_network import LEAST, MOST, LookUp, Pool, Products, Sum, ToFloat, ToInt8
from cnncli.interop.exports.numpy_evaluation import Computing
from cnncli.interop.exports.numpy_functions import taps
from cnncli.ops.ir import Op
from cnncli.ops.window import Window

Array = np.ndarray[Any, Any]


def _products(op: Products, x: Array) -> Array:
    """In float64, which is exact up to 53 bits."""
    x = x.reshape(len(x), *op.image).astype(np.float64) - op.x_zero
    kernel, y = op.kernel.astype(np.float64), op.bias.astype(np.float64)
    for i, j, pixels in _cells(op.window, x):
        y = y + _of_groups(pixels, kernel[:, i, j], op.groups)
    y = _rounded(y.astype(np.int64) * op.multipliers.astype(np.int64), op.shifts)
    return _saturated(y + op.y_zero)


def _of_groups(pixels: Array, kernel: Array, groups: int) -> Array:
    if groups == len(kernel) == pixels.shape[-1]:
        return pixels * kernel[:, 0]
    parts = zip(np.split(pixels, groups, axis=-1), np.split(kernel, groups), strict=True)
    return np.concatenate([part @ own.T for part, own in parts], axis=-1)


def _cells(window: Window, x: Array, fill: float = 0.0) -> Iterator[tuple[int, int, Array]]:
    """The place of each cell of a window, and the pixels that it meets."""
    padding = tuple(zip(*window.padding_cells(*x.shape[1:3]), strict=True))
    found = taps(x, window.size, window.strides, padding, window.dilation, fill)  # type: ignore[no-untyped-call]
    yield from found


def _rounded(x: Array, shifts: Any) -> Array:
    """x / 2^shift, rounded; halves are rounded away from 0."""
    shifts = np.asarray(shifts, np.int64)
    half = np.int64(1) << (shifts - 1)
    found: Array = np.where(x < 0, -((half - x) >> shifts), (half + x) >> shifts)
    return found


def _saturated(x: Array) -> Array:
    found: Array = np.clip(x, LEAST, MOST)
    return found.astype(np.int8)


def _pooled(op: Pool, x: Array) -> Array:
    windows = np.stack([pixels for _, _, pixels in _cells(op.window, x.astype(np.float64), np.nan)])
    if op.kind == "max":
        found: Array = np.nanmax(windows, 0)
        return found.astype(np.int8)
    counts = (~np.isnan(windows)).sum(0)
    sums = np.nansum(windows, 0).astype(np.int64)
    means: Array = np.sign(sums) * ((np.abs(sums) + counts // 2) // counts)
    return means.astype(np.int8)


def _sum(op: Sum, a: Array, b: Array) -> Array:
    terms = zip((a, b), op.zeros, op.multipliers, strict=True)
    first, second = ((x.astype(np.int64) - zero) * multiplier for x, zero, multiplier in terms)
    return _saturated(_rounded(first + second, op.shift) + op.y_zero)


def _looked_up(op: LookUp, *inputs: Array) -> Array:
    parts = [table[x.astype(np.int64) - LEAST] for table, x in zip(op.tables, inputs, strict=True)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=op.axis + 1)


COMPUTING: Mapping[type[Op], Computing] = {
    LookUp: _looked_up,
    Pool: _pooled,
    Products: _products,
    Sum: _sum,
    ToFloat: lambda op, x: op.scale.numbers(x),
    ToInt8: lambda op, x: op.scale.int8(x),
}
