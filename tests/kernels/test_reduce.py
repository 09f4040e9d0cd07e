"""Sums over a batch agree with NumPy's and do not depend on threads."""

import numpy as np
import pytest

from cnncli.kernels.batch import reduce
from cnncli.kernels.jit.runtime import Scratch, tensor
from tests.kernels.support import DTYPES, SHAPES, assert_close, execute, normal, unwritten
from tests.reference import dense as twin


def sum_rows(x: np.ndarray, threads: int = 2) -> np.ndarray:
    out = unwritten(x.dtype.name, x.shape[-1])
    execute(lambda scratch: reduce.sum_rows(tensor(x), tensor(out), scratch), threads)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sum_over_rows_agrees_with_numpy(dtype: str) -> None:
    for seed in range(SHAPES):
        rng = np.random.default_rng(seed)
        leading = tuple(int(size) for size in rng.choice([1, 2, 3, 5, 19], size=rng.integers(1, 4)))
        x = normal(rng, dtype, *leading, int(rng.choice([1, 3, 16, 65, 130])))
        assert_close(sum_rows(x), twin.sum_rows(x), x.size // x.shape[-1])


@pytest.mark.parametrize("shape", [(1, 40, 50, 200), (13, 300, 7), (8, 1)])
def test_one_and_two_threads_give_the_same_bits(shape: tuple[int, ...]) -> None:
    x = normal(np.random.default_rng(0), "float32", *shape)
    np.testing.assert_array_equal(sum_rows(x, 1), sum_rows(x, 2))


def test_eight_partial_sums_are_added_in_order() -> None:
    # Images 0 … 7 are a chunk each: 1e8 swallows each 1 in float32, so every other order of adding shows.
    x = np.array([1, 1e8, 1, 1, -1e8, 1, 0, 0], np.float32).reshape(8, 1)
    assert sum_rows(x)[0] == 1


def test_scratch_does_not_fall_when_the_batch_grows() -> None:
    used = []
    for batch in range(1, 12):
        scratch = Scratch()
        reduce.sum_rows(tensor(np.zeros((batch, 40))), tensor(np.zeros(40)), scratch)
        used.append(scratch.used)
    assert used == sorted(used)


def test_the_comparison_notices_a_row_counted_twice() -> None:
    x = normal(np.random.default_rng(0), "float32", 5, 9, 33)
    with pytest.raises(AssertionError):
        assert_close(sum_rows(x), twin.sum_rows(x) + x[0, 0], 45)
