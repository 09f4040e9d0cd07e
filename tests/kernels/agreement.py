"""What the kernel tests share: random shapes, and what counts as agreement with a twin in float64."""

import numba
import numpy as np

from cnncli.kernels.jit.runtime import SPAN, run, tensor
from tests.kernels.support import DTYPES, SHAPES

__all__ = ["DTYPES", "agree", "assert_agree", "draw", "same_bits_on_1_and_2_threads", "shapes", "tensors"]

ROUNDING = {"float32": 2e-5, "float64": 1e-12}


def shapes(seed, ranks, count=SHAPES // 3, long_axis=None):
    """`count` shapes of the given ranks with a generator each; every 50th has a long axis, for more than one chunk."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        rank = int(generator.choice(ranks))
        shape = generator.integers(1, 8, rank)
        if number % 50 == 49:
            axis = int(generator.integers(rank)) if long_axis is None else long_axis
            shape[axis] = 1 + 2 * SPAN // np.prod(shape) + generator.integers(1, 50)
        yield tuple(int(length) for length in shape), np.random.default_rng([seed, number])


def draw(generator, shape, dtype, scale=2.0):
    """Normal numbers, some of them exactly 0."""
    values = generator.normal(0, scale, shape)
    return np.where(generator.random(shape) < 0.05, 0.0, values).astype(dtype)


def tensors(*arrays):
    return [tensor(array) for array in arrays]


def agree(actual, expected):
    """Within a few roundings of `actual`'s dtype, measured against the larger of 1 and the expected value."""
    bound = ROUNDING[actual.dtype.name]
    return actual.shape == np.shape(expected) and np.allclose(actual, expected, rtol=bound, atol=bound, equal_nan=True)


def assert_agree(actual, expected, about=""):
    assert agree(actual, expected), f"{about}: largest difference {np.abs(actual - expected).max()}"


def same_bits_on_1_and_2_threads(steps, *results):
    """Run `steps()` on one thread and on two from equal `results`; True when those end with the same bits."""
    start = [result.copy() for result in results]
    before, outcomes = numba.get_num_threads(), []
    try:
        for threads in (1, 2):
            for result, value in zip(results, start, strict=True):
                result[...] = value
            numba.set_num_threads(threads)
            plan = steps()
            run(plan)
            outcomes.append([result.tobytes() for result in results])
    finally:
        numba.set_num_threads(before)
    return max(step.chunks for step in plan) > 1 and outcomes[0] == outcomes[1]
