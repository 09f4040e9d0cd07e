import numpy as np
import pytest

from cnncli.kernels.elementwise import axes
from cnncli.kernels.jit.runtime import SPAN, run
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.kernels.support import unwritten
from tests.reference import reduction


def summed(x, divisor=1.0, *factor):
    """Over axes 1 and 3 of x, or x · factor, (A, far, middle, near, inner)."""
    out = unwritten(x.dtype.name, x.shape[0], x.shape[2], x.shape[4])
    run(axes.reduce(*tensors(x, out), axes.Lengths(*x.shape[1:]), divisor, *tensors(*factor)))
    return out


def summed_over_the_middle(x):
    return summed(x[:, None, None])[:, 0]


def swapped(x):
    out = unwritten(x.dtype.name, *x.shape[:-2], x.shape[-1], x.shape[-2])
    run(axes.swap(*tensors(x, out)))
    return out


@pytest.mark.parametrize("dtype", DTYPES)
def test_summing_over_the_middle_axis(dtype):
    for (outer, times, inner), generator in shapes(1, [3]):
        many = draw(generator, (outer, times, inner), dtype)
        assert_agree(summed_over_the_middle(many), reduction.summed(many, [1]), many.shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_summing_over_two_axes_apart(dtype):
    for shape, generator in shapes(5, [5]):
        x = draw(generator, shape, dtype)
        assert_agree(summed(x), reduction.summed(x, [1, 3]), shape)
        assert_agree(summed(x, shape[1] * shape[3]), reduction.mean(x, [1, 3]), shape)
        factor = draw(generator, shape, dtype)
        assert summed(x, 3.0, factor).tobytes() == summed(x * factor, 3.0).tobytes(), shape


@pytest.mark.parametrize("dtype", DTYPES)
def test_swapping_the_last_two_axes(dtype):
    for shape, generator in shapes(2, [2, 3, 4]):
        x = draw(generator, shape, dtype)
        assert np.array_equal(swapped(x), np.swapaxes(x, -1, -2))


def test_a_nan_goes_where_it_belongs():
    x = np.ones((3, 4, 5))
    x[1, 2, 3] = np.nan
    assert np.argwhere(np.isnan(summed_over_the_middle(x))).tolist() == [[1, 3]]
    assert np.argwhere(np.isnan(swapped(x))).tolist() == [[1, 3, 2]]


def test_a_sum_of_many_loses_no_digits():
    x = np.full((1, 1 << 20, 1), 0.1, "float32")
    assert summed_over_the_middle(x)[0, 0] == np.float32(x[0, 0, 0] * float(1 << 20))


def test_the_comparison_notices_another_axis():
    x = np.random.default_rng(3).normal(size=(4, 4, 4))
    assert not agree(summed_over_the_middle(x), x.sum(axis=2))
    five = np.random.default_rng(3).normal(size=(3, 3, 3, 3, 3))
    assert not any(agree(summed(five), reduction.summed(five, others)) for others in ([1, 2], [2, 3], [1, 4], [0, 3]))


@pytest.mark.parametrize("inner", [1, 33])
def test_threads_do_not_change_a_bit(inner):
    x = draw(np.random.default_rng(4), (40, SPAN // 16, inner), "float32")
    one, other = x[:, 0].copy(), np.empty((40, inner, SPAN // 16), "float32")
    assert same_bits_on_1_and_2_threads(
        lambda: axes.reduce(*tensors(x, one), axes.Lengths(1, 1, SPAN // 16, inner)), one
    )
    assert same_bits_on_1_and_2_threads(
        lambda: axes.reduce(*tensors(x, one), axes.Lengths(1, 1, SPAN // 16, inner), 1.0, *tensors(x)), one
    )
    halves, of_halves = x.reshape(20, 2, 2, -1, inner), np.empty((20, 2, inner), "float32")
    lengths = axes.Lengths(*halves.shape[1:])
    assert same_bits_on_1_and_2_threads(lambda: axes.reduce(*tensors(halves, of_halves), lengths), of_halves)
    assert same_bits_on_1_and_2_threads(lambda: axes.swap(*tensors(x, other)), other)
