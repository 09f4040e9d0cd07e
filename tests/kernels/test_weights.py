"""A weight repeated over a batch agrees with its twin, whatever its length, and does not depend on threads."""

import numpy as np
import pytest

from cnncli.kernels.elementwise import weights
from cnncli.kernels.jit.runtime import SPAN, Scratch, tensor
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, shapes
from tests.kernels.support import execute, unwritten
from tests.reference import reduction


def applied(kind, x, weight, out=None, threads=2):
    out = unwritten(x.dtype.name, *x.shape) if out is None else out
    execute(lambda scratch: weights.apply(kind, tensor(x), tensor(weight), tensor(out), scratch), threads)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", weights.FORMULAS)
def test_each_row_goes_with_the_weight_into_a_new_array_or_over_itself(kind, dtype):
    for shape, generator in shapes(6, [2, 3, 4], long_axis=0):
        axes = int(generator.integers(1, len(shape)))
        x, weight = draw(generator, shape, dtype), draw(generator, shape[-axes:], dtype)
        out = applied(kind, x, weight)
        assert_agree(out, reduction.weighted(kind, x, weight), shape)
        assert applied(kind, x, weight, out=x).tobytes() == out.tobytes()


@pytest.mark.parametrize("kind", weights.FORMULAS)
@pytest.mark.parametrize("channels", [3, 16, 1000])
def test_threads_do_not_change_a_bit(kind, channels):
    generator = np.random.default_rng(7)
    x, weight = draw(generator, (3 * SPAN // channels + 5, channels), "float32"), draw(generator, channels, "float32")
    assert applied(kind, x, weight, threads=1).tobytes() == applied(kind, x, weight, threads=2).tobytes()
    plan = weights.apply(kind, tensor(x), tensor(weight), tensor(x), Scratch())
    assert plan[-1].chunks > 1


def test_a_nan_of_the_weight_goes_to_its_place_in_every_row():
    weight = np.array([1.0, np.nan, 2.0])
    assert np.isnan(applied("add", np.ones((4, 3)), weight)).tolist() == [[False, True, False]] * 4


def test_the_comparison_notices_the_weight_in_another_order():
    generator = np.random.default_rng(8)
    x, weight = draw(generator, (5, 7), "float64"), draw(generator, 7, "float64")
    for kind in weights.FORMULAS:
        assert not agree(applied(kind, x, weight), reduction.weighted(kind, x, np.roll(weight, 1)))
