"""A product with folded weights is the product with the given ones, normalized."""

from typing import NamedTuple

import numpy as np
import pytest

from cnncli.kernels.jit.runtime import tensor
from cnncli.kernels.normalization import fold
from cnncli.kernels.normalization.batch_normalization import Normalization
from cnncli.kernels.normalization.fold import Weights
from tests.kernels.support import DTYPES, SHAPES, execute, normal, unwritten
from tests.reference import normalization as twin

EPSILON = 1e-3


class Case(NamedTuple):
    """Arrays of one folding; kernel: (outer, filters, inner). Of bias, gamma and beta each may be None."""

    kernel: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    bias: np.ndarray | None
    gamma: np.ndarray | None
    beta: np.ndarray | None


def random_case(seed: int, dtype: str, shape: tuple[int, ...] | None = None) -> Case:
    rng = np.random.default_rng(seed)
    if shape is None:
        outer, filters, inner = rng.choice([1, 2, 9, 75]), rng.choice([1, 3, 16, 17, 65]), rng.choice([1, 1, 2, 19])
        shape = int(outer), int(filters), int(inner)
    mean, variance = normal(rng, dtype, shape[1]), np.abs(normal(rng, dtype, shape[1]))
    others = (normal(rng, dtype, shape[1]) if rng.integers(3) else None for _ in range(3))
    return Case(normal(rng, dtype, *shape), mean, variance, *others)


def folded(case: Case, threads: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """The new kernel and bias."""
    dtype = case.kernel.dtype.name
    kernel, bias = unwritten(dtype, *case.kernel.shape), unwritten(dtype, *case.mean.shape)
    bias_before, gamma, beta = (None if array is None else tensor(array) for array in case[3:])
    before, after = Weights(tensor(case.kernel), bias_before), Weights(tensor(kernel), tensor(bias))
    mean, variance, inner = tensor(case.mean), tensor(case.variance), case.kernel.shape[2]
    normalization = Normalization(gamma, beta, mean, EPSILON)
    execute(lambda s: fold.fold(before, normalization, mean, variance, after, inner, s), threads)
    for array in (kernel, bias):
        assert np.isfinite(array).all()
        assert np.isnan(array.base[:1]).all()
    return kernel, bias


def product(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | float) -> np.ndarray:
    return np.einsum("noi,ofi->nf", x, kernel.astype(np.float64)) + bias


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_with_folded_weights_is_the_product_normalized(dtype: str) -> None:
    for seed in range(SHAPES):
        case = random_case(seed, dtype)
        outer, _, inner = case.kernel.shape
        x = np.random.default_rng(seed).normal(size=(4, outer, inner))
        bias, gamma, beta = (
            default if array is None else array for array, default in zip(case[3:], (0.0, 1.0, 0.0), strict=True)
        )
        expected = twin.normalized(product(x, case.kernel, bias), case.mean, case.variance, gamma, beta, EPSILON)
        scale = np.abs(1 / np.sqrt(case.variance + EPSILON) * gamma).max() * outer * inner
        bound = 16 * np.finfo(dtype).eps * max(1, scale)
        np.testing.assert_allclose(product(x, *folded(case)), expected, rtol=0, atol=bound)


def test_weights_folded_by_hand() -> None:
    kernel = np.array([[[1.0], [2.0]], [[3.0], [4.0]]])
    mean, variance = np.array([1.0, 2.0]), np.array([4.0, 0.25]) - EPSILON
    case = Case(kernel, mean, variance, np.array([3.0, 0.0]), np.array([1.0, 3.0]), np.array([0.0, 5.0]))
    new, bias = folded(case)
    np.testing.assert_allclose(new[..., 0], [[0.5, 12], [1.5, 24]], rtol=1e-15)
    np.testing.assert_allclose(bias, [1, -7], rtol=1e-15)


@pytest.mark.parametrize("shape", [(700, 130, 1), (9, 40, 130), (1, 50000, 1)])
def test_one_and_two_threads_give_the_same_bits(shape: tuple[int, ...]) -> None:
    case = random_case(3, "float32", shape)
    for one, two in zip(folded(case, 1), folded(case, 2), strict=True):
        np.testing.assert_array_equal(one, two)
