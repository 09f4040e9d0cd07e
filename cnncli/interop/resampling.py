"""Resamplings as matrices: each row and column of the result is a weighted sum of those of an image."""

from cnncli.ops.ir import Call
from cnncli.ops.resample import UpSample2D
from cnncli.ops.resize import Resample, Taps

Matrix = list[list[float]]


def matrices(call: Call) -> tuple[Matrix, Matrix] | None:
    """The matrices of rows and of columns, (results, cells); None for another operation."""
    taps = taps_of(call)
    if taps is None:
        return None
    rows, columns = (_matrix(own, cells) for own, cells in zip(taps, call.inputs[0].shape, strict=False))
    return rows, columns


def taps_of(call: Call) -> tuple[Taps, Taps] | None:
    """What each row and each column of the result reads; None for another operation."""
    op = call.op
    if isinstance(op, UpSample2D) and op.interpolation != "nearest":
        rows, columns = (op.taps(cells, axis) for axis, cells in enumerate(call.inputs[0].shape[:2]))
        return rows, columns
    return (op.rows, op.columns) if isinstance(op, Resample) else None


def _matrix(taps: Taps, cells: int) -> Matrix:
    return [[0.0] * first + list(own) + [0.0] * (cells - first - len(own)) for first, own in taps]
