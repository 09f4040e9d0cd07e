"""Arrays of bfloat16, which NumPy holds as uint16, for tests of the products of such numbers."""

import numpy as np

from cnncli.kernels.jit.runtime import Tensor
from tests.kernels.support import MARGIN

SPOILT = 0x7FC1
"""A NaN."""


def unwritten(*shape: int) -> np.ndarray:
    """An output full of NaN, and NaN around it."""
    whole = np.full(int(np.prod(shape)) + 2 * MARGIN, SPOILT, np.uint16)
    return whole[MARGIN:-MARGIN].reshape(shape)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal numbers, NaN around them in memory."""
    array = unwritten(*shape)
    array[...] = rounded(rng.standard_normal(shape))
    return array


def stored(x: np.ndarray) -> np.ndarray:
    """The nearest bfloat16 of numbers, with NaN around them in memory."""
    array = unwritten(*x.shape)
    array[...] = rounded(x)
    return array


def rounded(x: np.ndarray) -> np.ndarray:
    """The nearest bfloat16, ties to even, of numbers that are not NaN."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def widened(x: np.ndarray) -> np.ndarray:
    """The same numbers in float64."""
    return (x.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def tensor(x: np.ndarray) -> Tensor:
    """The `Tensor` of an array of bfloat16."""
    return Tensor(x.ctypes.data, x.shape, "bfloat16")


def assert_close(actual: np.ndarray, expected: np.ndarray, terms: int) -> None:
    """Equal but for the rounding of a sum of products in float32, and that of the sum to bfloat16."""
    assert_untouched(actual)
    tolerance = 8 * np.finfo(np.float32).eps * max(1, terms)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(widened(actual), expected, rtol=2.0**-8, atol=tolerance)


def assert_untouched(x: np.ndarray) -> None:
    """Nothing was written around the array."""
    assert (x.base[:MARGIN] == SPOILT).all()
    assert (x.base[-MARGIN:] == SPOILT).all()
