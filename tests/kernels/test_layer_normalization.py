"""Normalization of rows and its gradients agree with the twin, whatever the length, and do not depend on threads."""

from typing import NamedTuple

import numpy as np
import pytest

from cnncli.kernels.jit.runtime import Scratch, tensor
from cnncli.kernels.normalization import layer_normalization
from cnncli.kernels.normalization.layer_normalization import Normalization
from tests.kernels.support import DTYPES, execute, normal, unwritten
from tests.reference import normalization as twin

EPSILON = 1e-3


class Case(NamedTuple):
    """Arrays of one normalization of the last axis; gamma or beta may be None."""

    x: np.ndarray
    grad: np.ndarray
    gamma: np.ndarray | None
    beta: np.ndarray | None
    centered: bool = True


def random_case(seed: int, dtype: str, shape: tuple[int, ...] | None = None) -> Case:
    rng = np.random.default_rng(seed)
    if shape is None:
        leading = tuple(int(size) for size in rng.choice([1, 2, 3, 5, 19], size=rng.integers(1, 4)))
        shape = (*leading, int(rng.choice([1, 3, 8, 16, 17, 32, 65, 130])))
    x = normal(rng, dtype, *shape)
    x += rng.standard_normal()
    gamma, beta = (normal(rng, dtype, shape[-1]) if rng.integers(3) else None for _ in range(2))
    return Case(x, normal(rng, dtype, *shape), gamma, beta, bool(rng.integers(3)))


def normalized(case: Case, threads: int = 2, in_place: bool = False):
    """y, y again, mean and inverse; gradients of x, gamma, beta."""
    dtype, length = case.x.dtype.name, case.x.shape[-1:]
    out, once_more, saved = (unwritten(dtype, *shape) for shape in (*[case.x.shape] * 2, (*case.x.shape[:-1], 2)))
    gamma, beta = (None if array is None else tensor(array) for array in (case.gamma, case.beta))
    given, x, grad = Normalization(gamma, beta, tensor(saved), EPSILON, case.centered), tensor(case.x), case.grad.copy()
    execute(lambda s: layer_normalization.forward(x, given, tensor(out), s), threads)
    execute(lambda s: layer_normalization.again(x, given, tensor(once_more), s), threads)
    grads = grad if in_place else unwritten(dtype, *case.x.shape), unwritten(dtype, *length), unwritten(dtype, *length)
    places = [tensor(array) for array in grads]
    execute(lambda s: layer_normalization.backward(x, tensor(grad), given, *places, s), threads)
    return (out, once_more, saved), grads


def apart(actual: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, in roundings of the largest number."""
    scale = max(1.0, np.abs(expected).max()) * np.finfo(actual.dtype).eps
    return float(np.abs(actual.reshape(expected.shape) - expected).max() / scale)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_and_gradients_agree_with_the_definition(dtype: str) -> None:
    for seed in range(100):
        case = random_case(seed, dtype)
        rows, grads = (array.reshape(-1, case.x.shape[-1]) for array in (case.x, case.grad))
        factors = 1.0 if case.gamma is None else case.gamma, 0.0 if case.beta is None else case.beta
        y, saved, expected = twin.of_rows(rows, grads, *factors, EPSILON, case.centered)
        (got_y, once_more, got_saved), gradients = normalized(case)
        # A row of few and nearly equal numbers is divided by nearly nothing: what is lost there is lost anyhow.
        scale = (1 + saved[:, 1].max()) * np.abs(np.append(case.x, [1])).max()
        assert apart(got_y, y) < 10 * scale
        assert apart(got_saved, saved) < 10 * scale**2
        np.testing.assert_array_equal(got_y, once_more)
        for got, wanted in zip(gradients, expected, strict=True):
            assert apart(got, wanted) < 10 * scale**2


@pytest.mark.parametrize("shape", [(13, 10, 50, 16), (9, 33, 7), (8, 1), (3, 5000)])
@pytest.mark.parametrize("in_place", [False, True])
def test_threads_and_the_place_of_the_gradient_do_not_change_a_bit(shape: tuple[int, ...], in_place: bool) -> None:
    case = random_case(1, "float32", shape)
    one, two = ([*first, *second] for first, second in (normalized(case, 1), normalized(case, 2, in_place)))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_alone_in_its_row_has_no_gradient_at_all(dtype: str) -> None:
    """It is its own mean: whatever it is, y is beta. A residue of rounding would be all that Adam sees."""
    case = random_case(2, dtype, (3, 7, 1))._replace(centered=True)
    case = case._replace(x=case.x * 1000 + 3)
    (y, _, saved), (grad_x, *_) = normalized(case)
    np.testing.assert_array_equal(saved[..., :1], case.x)
    np.testing.assert_array_equal(y, np.broadcast_to(0 if case.beta is None else case.beta, y.shape))
    assert not grad_x.any()


def test_a_mean_far_from_zero_costs_no_digits() -> None:
    rng = np.random.default_rng(0)
    x = np.ascontiguousarray(rng.normal(1e6, 1, (4, 300)))
    case = Case(x, rng.normal(size=x.shape), None, None)
    y, _, (grad_x, *_) = twin.of_rows(*case[:2], 1, 0, EPSILON, centered=True)
    (got_y, *_), (got_x, *_) = normalized(case)
    np.testing.assert_allclose(got_y, y, atol=1e-9)
    np.testing.assert_allclose(got_x, grad_x, atol=1e-9)


def test_nan_spoils_its_row_and_the_gradients_of_weights_and_no_other_row() -> None:
    case = random_case(0, "float32", (5, 4, 19))
    case.x[2, 1, 1] = np.nan
    (y, *_), (grad_x, *_) = normalized(case)
    for array in (y, grad_x):
        assert np.isnan(array[2, 1]).all()
        assert np.isfinite(np.delete(array.reshape(20, 19), 9, 0)).all()


def test_scratch_does_not_fall_when_the_batch_grows() -> None:
    used = []
    for batch in range(1, 12):
        case, scratch = random_case(0, "float32", (batch, 3, 5)), Scratch()
        given = Normalization(None, None, tensor(np.zeros((batch, 3, 2), np.float32)), EPSILON)
        layer_normalization.backward(tensor(case.x), tensor(case.grad), given, tensor(case.x), None, None, scratch)
        used.append(scratch.used)
    assert used == sorted(used)
