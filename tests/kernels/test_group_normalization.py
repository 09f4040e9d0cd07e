"""Normalization of groups of channels and its gradients agree with the twin, and do not depend on threads."""

from typing import NamedTuple

import numpy as np
import pytest

from cnncli.kernels.jit.runtime import tensor
from cnncli.kernels.normalization import group_normalization
from cnncli.kernels.normalization.group_normalization import Normalization
from tests.kernels.support import DTYPES, execute, normal, unwritten
from tests.kernels.test_layer_normalization import EPSILON, apart
from tests.reference import normalization as twin


class Case(NamedTuple):
    """Arrays of one normalization of images (N, P, C); gamma or beta may be None."""

    x: np.ndarray
    grad: np.ndarray
    gamma: np.ndarray | None
    beta: np.ndarray | None
    groups: int


def random_case(seed: int, dtype: str, shape: tuple[int, int, int] | None = None, groups: int = 0) -> Case:
    rng = np.random.default_rng(seed)
    groups = groups or int(rng.choice([1, 2, 3, 16]))
    if shape is None:
        shape = int(rng.choice([1, 2, 5, 19])), int(rng.choice([1, 3, 20])), int(rng.choice([1, 3, 5, 16])) * groups
    x = normal(rng, dtype, *shape)
    x += rng.standard_normal(shape[-1])
    gamma, beta = (normal(rng, dtype, shape[-1]) if rng.integers(3) else None for _ in range(2))
    return Case(x, normal(rng, dtype, *shape), gamma, beta, groups)


def normalized(case: Case, threads: int = 2, in_place: bool = False):
    """y, y again, mean and inverse; gradients of x, gamma, beta."""
    (batch, _, depth), dtype = case.x.shape, case.x.dtype.name
    out, again, saved = (unwritten(dtype, *shape) for shape in (*[case.x.shape] * 2, (batch, 2, case.groups)))
    gamma, beta = (None if array is None else tensor(array) for array in (case.gamma, case.beta))
    given, x, grad = Normalization(gamma, beta, tensor(saved), EPSILON), tensor(case.x), case.grad.copy()
    execute(lambda s: group_normalization.forward(x, given, tensor(out), s), threads)
    execute(lambda s: group_normalization.again(x, given, tensor(again), s), threads)
    grads = grad if in_place else unwritten(dtype, *case.x.shape), unwritten(dtype, depth), unwritten(dtype, depth)
    places = [tensor(array) for array in grads]
    execute(lambda s: group_normalization.backward(x, tensor(grad), given, *places, s), threads)
    return (out, again, saved), grads


def expected(case: Case):
    """What `normalized` gives, by the rows' twin."""
    batch, cells, depth = case.x.shape

    def rows(array):
        parts = np.broadcast_to(array, case.x.shape).reshape(batch, cells, case.groups, -1)
        return parts.swapaxes(1, 2).reshape(batch * case.groups, -1)

    def back(array):
        return array.reshape(batch, case.groups, cells, -1).swapaxes(1, 2).reshape(batch, cells, depth)

    gamma, beta = 1.0 if case.gamma is None else case.gamma, 0.0 if case.beta is None else case.beta
    y, saved, (grad_x, *_) = twin.of_rows(
        rows(case.x), rows(case.grad), rows(gamma), rows(beta), EPSILON, centered=True
    )
    plain = back(twin.of_rows(rows(case.x), rows(case.grad), 1.0, 0.0, EPSILON, centered=True)[0])
    of_weights = (case.grad * plain).sum((0, 1)), case.grad.sum((0, 1), np.float64)
    saved = saved.reshape(batch, case.groups, 2).swapaxes(1, 2)
    return (back(y), back(y), saved), (back(grad_x), *of_weights)


@pytest.mark.parametrize("dtype", DTYPES)
def test_groups_and_gradients_agree_with_the_definition(dtype: str) -> None:
    for seed in range(50):
        case = random_case(seed, dtype)
        found, gradients = normalized(case)
        wanted, wanted_gradients = expected(case)
        # A group of few and nearly equal numbers is divided by nearly nothing: what is lost there is lost anyhow.
        scale = (1 + wanted[2][:, 1].max()) * np.abs(np.append(case.x, [1])).max()
        for got, array in zip((*found, *gradients), (*wanted, *wanted_gradients), strict=True):
            assert apart(got, array) < 10 * scale**2


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(("shape", "groups"), [((13, 400, 16), 4), ((9, 33, 7), 7), ((8, 1, 6), 3), ((3, 7, 5000), 2)])
def test_threads_and_the_place_of_the_gradient_do_not_change_a_bit(shape, groups, in_place) -> None:
    case = random_case(1, "float32", shape, groups)
    one, two = ([*first, *second] for first, second in (normalized(case, 1), normalized(case, 2, in_place)))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_alone_in_its_group_has_no_gradient_at_all(dtype: str) -> None:
    case = random_case(2, dtype, (3, 1, 7), 7)
    case = case._replace(x=case.x * 1000 + 3)
    (y, _, saved), (grad_x, *_) = normalized(case)
    np.testing.assert_array_equal(saved[:, 0], case.x[:, 0])
    np.testing.assert_array_equal(y, np.broadcast_to(0 if case.beta is None else case.beta, y.shape))
    assert not grad_x.any()


def test_nan_spoils_its_group_and_the_gradients_of_weights_and_no_other_group() -> None:
    case = random_case(0, "float32", (3, 4, 6), 2)
    case.x[2, 1, 1] = np.nan
    (y, *_), (grad_x, *_) = normalized(case)
    for array in (y, grad_x):
        assert np.isnan(array[2, :, :3]).all()
        assert np.isfinite(array[:2]).all() and np.isfinite(array[2, :, 3:]).all()
