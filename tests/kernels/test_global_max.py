"""Global maxima and their gradients, which equal maxima share."""

import numpy as np
import pytest

from cnncli.kernels.jit.runtime import tensor
from cnncli.kernels.pooling import global_max
from tests.kernels.support import DTYPES, SHAPES, assert_close, execute, normal, unwritten


def forward(x: np.ndarray, threads: int = 2) -> np.ndarray:
    out = unwritten(x.dtype.name, len(x), x.shape[3])
    execute(lambda _: global_max.forward(tensor(x), tensor(out)), threads)
    return out


def backward(x: np.ndarray, y: np.ndarray, grad: np.ndarray, threads: int = 2) -> np.ndarray:
    out = unwritten(x.dtype.name, *x.shape)
    execute(lambda _: global_max.backward(tensor(x), tensor(y), tensor(grad), tensor(out)), threads)
    return out


def random_case(seed: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """An image of rounded numbers, so that there are ties, and a gradient."""
    rng = np.random.default_rng(seed)
    shape = *(int(size) for size in rng.integers(1, 7, 3)), int(rng.choice([1, 3, 8, 16, 17, 40]))
    return normal(rng, dtype, *shape).round(int(rng.integers(2))), normal(rng, dtype, shape[0], shape[3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_maximum_and_its_gradient_agree_with_the_definition(dtype: str) -> None:
    for seed in range(SHAPES):
        x, grad = random_case(seed, dtype)
        y = forward(x)
        np.testing.assert_array_equal(y, x.max((1, 2)))
        wins = x == x.max((1, 2), keepdims=True)
        shares = grad[:, None, None].astype(np.float64) / wins.sum((1, 2), keepdims=True)
        assert_close(backward(x, y, grad), np.where(wins, shares, 0))


def test_nan_is_the_maximum() -> None:
    x = np.array([1.0, np.nan, 3.0, 2.0]).reshape(1, 2, 2, 1)
    assert np.isnan(forward(x)).all()


def test_threads_do_not_change_a_bit() -> None:
    x, grad = random_case(3, "float32")
    y = forward(x, 1)
    np.testing.assert_array_equal(y, forward(x, 2))
    np.testing.assert_array_equal(backward(x, y, grad, 1), backward(x, y, grad, 2))


def test_the_comparison_notices_a_gradient_that_is_not_shared() -> None:
    x = np.ones((1, 2, 2, 1))
    with pytest.raises(AssertionError):
        assert_close(backward(x, np.ones((1, 1)), np.ones((1, 1))), np.ones((1, 2, 2, 1)))
