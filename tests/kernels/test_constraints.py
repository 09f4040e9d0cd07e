from itertools import combinations

import numpy as np
import pytest

from cnncli.kernels.jit.runtime import SPAN, run
from cnncli.kernels.optimizers import constraints
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.reference import updates as twin


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_constraint_agrees_with_its_twin_for_any_axes(dtype):
    for shape, generator in shapes(1, [1, 2, 3, 4]):
        w, rank = draw(generator, shape, dtype, scale=1), len(shape)
        axes = tuple(int(axis) for axis in generator.permutation(rank)[: generator.integers(0, rank + 1)])
        if generator.random() < 0.3:
            axes = tuple(axis - rank for axis in axes)
        limit, exact = float(generator.uniform(0.1, 3)), w.astype(np.float64)
        for steps, expected in [
            (lambda x, limit=limit, axes=axes: constraints.max_norm(x, limit, axes), twin.max_norm(exact, limit, axes)),
            (lambda x, axes=axes: constraints.unit_norm(x, axes), twin.unit_norm(exact, axes)),
            (
                lambda x, limit=limit, axes=axes: constraints.min_max_norm(x, limit / 2, limit, 0.4, axes),
                twin.min_max_norm(exact, limit / 2, limit, 0.4, axes),
            ),
            (constraints.non_neg, twin.non_neg(exact)),
        ]:
            found = w.copy()
            run(steps(*tensors(found)))
            assert_agree(found, expected, (shape, axes))


def test_every_choice_of_axes_of_a_convolution_kernel():
    generator = np.random.default_rng(2)
    for axes in [axes for count in range(5) for axes in combinations(range(4), count)]:
        w = generator.normal(size=(3, 2, 4, 5))
        expected = twin.unit_norm(w, axes)
        run(constraints.unit_norm(*tensors(w), axes))
        assert_agree(w, expected, axes)


def test_hand_computed_constraints():
    start = np.array([[3.0, 0.3], [-4.0, 0.4]])  # columns of length 5 and 0.5
    w = start.copy()
    run(constraints.max_norm(*tensors(w), 1, (0,)))
    assert w == pytest.approx(np.array([[0.6, 0.3], [-0.8, 0.4]]), rel=1e-6)
    w = start.copy()
    run(constraints.unit_norm(*tensors(w), (0,)))
    assert w == pytest.approx(np.array([[0.6, 0.6], [-0.8, 0.8]]), rel=1e-6)
    run(constraints.non_neg(*tensors(start)))
    assert start.tolist() == [[3, 0.3], [0, 0.4]]


def test_zeros_stay_zeros_and_nan_stays_nan():
    w = np.zeros((3, 2), "float32")
    run(constraints.unit_norm(*tensors(w), (0,)))
    run(constraints.max_norm(*tensors(w), 2, (0,)))
    assert not w.any()
    w[0, 0] = np.nan
    run(constraints.non_neg(*tensors(w)))
    run(constraints.max_norm(*tensors(w), 2, (0,)))
    assert np.isnan(w[:, 0]).all()
    assert not w[:, 1].any()


def test_an_axis_that_is_not_there_is_refused():
    w = np.zeros((3, 2))
    for axes in [(2,), (-3,)]:
        with pytest.raises(ValueError, match=r"received axes=.* for shape \(3, 2\)"):
            constraints.unit_norm(*tensors(w), axes)
    with pytest.raises(ValueError, match="at most 4"):
        constraints.unit_norm(*tensors(np.zeros((1,) * 5)), (0,))


def test_the_comparison_notices_other_axes():
    start = np.random.default_rng(3).normal(size=(3, 4))
    w = start.copy()
    run(constraints.unit_norm(*tensors(w), (0,)))
    assert agree(w, twin.unit_norm(start, (0,)))
    assert not agree(w, twin.unit_norm(start, (1,)))


def test_threads_do_not_change_a_bit():
    w = draw(np.random.default_rng(4), (5, SPAN), "float32")
    assert same_bits_on_1_and_2_threads(lambda: constraints.max_norm(*tensors(w), 1, (0,)), w)
    assert same_bits_on_1_and_2_threads(lambda: constraints.non_neg(*tensors(w)), w)
