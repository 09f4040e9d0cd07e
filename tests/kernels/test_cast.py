"""Conversion to bfloat16 and back: to the nearest, ties to even.

`test_widths` runs this file on processors without an instruction for it, too.
"""

import numpy as np

from cnncli.kernels.elementwise.cast import cast
from cnncli.kernels.jit.runtime import run, tensor
from tests.reference import bfloat16


def numbers(count=50_003):
    """Numbers of all magnitudes: ties, infinities, zeros, the largest ones and denormal ones among them."""
    bits = np.random.default_rng(0).integers(0, 2**32, count, dtype=np.uint32)
    bits[::7] = bits[::7] & 0xFFFF0000 | 0x8000
    bits[:8] = [0, 0x80000000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x007FFFFF, 0x80400000, 0x00800000]
    found = bits.view(np.float32)
    return found[~np.isnan(found)]


def narrowed(x):
    out = np.zeros(x.shape, np.uint16)
    run(cast(tensor(x), tensor(out)._replace(dtype="bfloat16")))
    return out


def test_numbers_become_the_nearest_and_come_back_exactly():
    x = numbers()
    expected = bfloat16.narrow(x)
    np.testing.assert_array_equal(narrowed(x), expected)
    back = np.zeros(x.shape, np.float32)
    run(cast(tensor(expected)._replace(dtype="bfloat16"), tensor(back)))
    np.testing.assert_array_equal(back, bfloat16.widen(expected))


def test_nan_stays_nan():
    x = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0xFF800001] * 5, np.uint32).view(np.float32)
    assert np.isnan(bfloat16.widen(narrowed(x))).all()
