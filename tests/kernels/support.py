"""What the kernel tests share: running steps on arrays with the scratch they ask for, and the comparison."""

import os
from collections.abc import Callable, Sequence
from math import prod

import numba
import numpy as np

from cnncli.kernels.jit.runtime import Scratch, Step, run

DTYPES = ("float32", "float64")
SHAPES = 100 if "NUMBA_CPU_NAME" in os.environ else 300
"""Random shapes that each kernel is compared on; fewer where a narrower width is tested as well."""
MARGIN = 64
"""Elements of NaN before and after each array: what is read there spoils the result, what is written there is seen."""


def execute(plan: Callable[[Scratch], Sequence[Step]], threads: int = 2, *, lasting: bool = False) -> None:
    """Run what `plan(scratch)` plans, with scratch memory full of NaN.

    Fails if the two passes ask for different sizes, or if a step writes before or after the scratch.
    """
    measured = Scratch(lasting=lasting)
    plan(measured)
    used = measured.used + threads * measured.used_by_thread
    memory = np.full(used // 8 + 2 * MARGIN, np.nan)
    first = -(-(memory.ctypes.data // 8 + MARGIN // 2) // 8) * 8 - memory.ctypes.data // 8
    base = memory.ctypes.data + 8 * first
    scratch = Scratch(base, base + measured.used, measured.used_by_thread, lasting=lasting)
    steps = plan(scratch)
    assert (scratch.used, scratch.used_by_thread) == (measured.used, measured.used_by_thread)
    available = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        run(steps)
    finally:
        numba.set_num_threads(available)
    assert np.isnan(memory[:first]).all()
    assert np.isnan(memory[first + used // 8 :]).all()


def normal(rng: np.random.Generator, dtype: str, *shape: int) -> np.ndarray:
    """Standard normal numbers, NaN around them in memory."""
    array = unwritten(dtype, *shape)
    array[...] = rng.standard_normal(shape)
    return array


def unwritten(dtype: str, *shape: int) -> np.ndarray:
    """An output full of NaN, and NaN around it: an element that a kernel forgets is seen."""
    whole = np.full(prod(shape) + 2 * MARGIN, np.nan, dtype)
    return whole[MARGIN:-MARGIN].reshape(shape)


def assert_close(actual: np.ndarray, expected: np.ndarray, terms: int = 1) -> None:
    """Equal but for the rounding of a sum of `terms` products of standard normal numbers.

    Fails, too, if something was written around an array of `unwritten`.
    """
    whole = actual.base
    if whole is not None and whole.size == actual.size + 2 * MARGIN:
        assert np.isnan([whole[:MARGIN], whole[-MARGIN:]]).all()
    tolerance = 8 * np.finfo(actual.dtype).eps * max(1, terms)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)
