"""What the kernel tests share: running steps on arrays with the scratch they ask for, and the comparison."""

from collections.abc import Callable, Sequence

import numba
import numpy as np

from cnncli.kernels.runtime import Scratch, Step, run

DTYPES = ("float32", "float64")
SHAPES = 300
"""Random shapes that each kernel is compared on."""


def execute(plan: Callable[[Scratch], Sequence[Step]], threads: int = 2) -> None:
    """Run what `plan(scratch)` plans, with scratch memory full of NaN.

    Fails if the two passes ask for different sizes.
    """
    measured = Scratch(0, threads)
    plan(measured)
    memory = np.full(measured.used // 8 + 8, np.nan)
    scratch = Scratch(-(-memory.ctypes.data // 64) * 64, threads)
    steps = plan(scratch)
    assert scratch.used == measured.used
    available = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        run(steps)
    finally:
        numba.set_num_threads(available)


def normal(rng: np.random.Generator, dtype: str, *shape: int) -> np.ndarray:
    """Standard normal numbers."""
    return rng.standard_normal(shape).astype(dtype)


def unwritten(dtype: str, *shape: int) -> np.ndarray:
    """An output full of NaN: an element that a kernel forgets is seen."""
    return np.full(shape, np.nan, dtype)


def assert_close(actual: np.ndarray, expected: np.ndarray, terms: int = 1) -> None:
    """Equal but for the rounding of a sum of `terms` products of standard normal numbers."""
    tolerance = 8 * np.finfo(actual.dtype).eps * max(1, terms)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)
