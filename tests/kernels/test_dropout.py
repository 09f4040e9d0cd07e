from functools import partial

import numpy as np
import pytest

from cnncli.kernels.batch import random
from cnncli.kernels.elementwise import dropout
from cnncli.kernels.jit.runtime import SPAN, Program, run
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.reference import random as twin


def apply(x, seed, step, rate, stream):
    out, clock = np.full_like(x, 7), np.array([seed, step, 0], np.int64)
    run(dropout.apply(*tensors(x, out, clock), rate, stream))
    return out


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_keeps_what_the_twin_keeps_also_in_place(dtype):
    for number, (shape, generator) in enumerate(shapes(1, [1, 2, 4])):
        if np.prod(shape) > 1000 and number > 60:
            continue  # the twin draws its words one by one
        x, rate = draw(generator, shape, dtype), float(generator.choice([0, 0.1, 0.5, 0.9]))
        seed, step, stream = (int(generator.integers(0, 2**top)) for top in (62, 40, 32))
        out = apply(x, seed, step, rate, stream)
        assert_agree(out, twin.dropout(x.astype(np.float64), seed, step, rate, stream), shape)
        clock = np.array([seed, step, 0])
        run(dropout.apply(*tensors(x, x, clock), rate, stream))
        assert x.tobytes() == out.tobytes()


def test_the_comparison_notices_another_mask():
    x = np.ones((5, 8))
    for other in [(2, 2, 0.5, 3), (1, 3, 0.5, 3), (1, 2, 0.6, 3), (1, 2, 0.5, 4)]:
        assert not agree(apply(x, 1, 2, 0.5, 3), twin.dropout(x, *other))


def test_the_share_kept_is_one_minus_the_rate_and_the_mean_stays():
    x = np.ones(200_000, "float32")
    for rate in (0.1, 0.5, 0.8):
        out = apply(x, 7, 1, rate, 0)
        deviation = np.sqrt(rate * (1 - rate) / x.size)
        assert (out == 0).mean() == pytest.approx(rate, abs=4 * deviation)
        assert out.mean(dtype=np.float64) == pytest.approx(1, abs=4 * deviation / (1 - rate))


@pytest.mark.parametrize(("rows", "size"), [(12, 7), (4, 3), (8, 16)])
def test_a_part_of_a_batch_keeps_what_the_batch_does(rows, size):
    whole = apply(np.ones((20, size), np.float32), 5, 6, 0.5, 9)
    x, clock = np.ones((20 - rows, size), np.float32), np.array([5, 6, rows])
    run(dropout.apply(*tensors(x, x, clock), 0.5, 9))
    assert x.tobytes() == whole[rows:].tobytes()


def test_rate_0_keeps_all_and_rate_1_drops_all_even_what_is_not_finite():
    x = np.array([1.5, -2, np.inf, np.nan, 0])
    assert np.array_equal(apply(x, 0, 0, 0.0, 0), x, equal_nan=True)
    assert not apply(x, 0, 0, 1.0, 0).any()
    with pytest.raises(ValueError, match=r"between 0 and 1; received 1\.5"):
        apply(x, 0, 0, 1.5, 0)


def test_one_plan_reads_the_clock_anew_and_gives_its_gradient_the_same_mask():
    x, out, grad, clock = np.ones(1000), np.empty(1000), np.full(1000, 3.0), np.array([5, 0, 0])
    program = Program(dropout.apply(*tensors(x, out, clock), 0.25, 9))
    backward = Program(dropout.apply(*tensors(grad, grad, clock), 0.25, 9))
    masks = []
    for step in range(3):
        clock[1], grad[:] = step, 3.0
        program.run()
        backward.run()
        assert np.array_equal(grad, 3 * out)
        masks.append(out != 0)
    for a, b in [(0, 1), (1, 2), (0, 2)]:
        assert (masks[a] == masks[b]).mean() == pytest.approx(0.75**2 + 0.25**2, abs=0.07)


def test_a_sample_keeps_its_mask_whatever_the_batch_holds_after_it():
    x = np.ones((40, 1000))
    assert np.array_equal(apply(x, 1, 2, 0.5, 3)[:7], apply(x[:7], 1, 2, 0.5, 3))


def test_threads_do_not_change_a_bit():
    x, out, clock = np.ones(3 * SPAN + 3, "float32"), np.empty(3 * SPAN + 3, "float32"), np.array([3, 4, 0])
    assert same_bits_on_1_and_2_threads(lambda: dropout.apply(*tensors(x, out, clock), 0.5, 1), out)


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_numbers_are_the_quantiles_of_the_words(dtype):
    x = draw(np.random.default_rng(5), 10_001, dtype)
    clock, exact = np.array([7, 3, 0]), x.astype(np.float64)
    normal = random.quantile((random.bits(11, 9, 3, x.size) + 0.5) / 2.0**32)
    assert np.abs(normal).max() > 3.5
    out = np.empty_like(x)
    for kind, expected in (("plus normal", exact + 0.3 * normal), ("times normal", exact * (1 + 0.3 * normal))):
        run(dropout.noise(kind, *tensors(x, out, clock), 9, 11, a=0.3))
        assert_agree(out, expected, kind)
        wide = draw(np.random.default_rng(6), (SPAN, 3), dtype)
        steps = partial(dropout.noise, kind, *tensors(wide, wide, clock), 9, 11, a=0.3)
        assert same_bits_on_1_and_2_threads(steps, wide)


def test_a_seed_replaces_that_of_the_clock():
    x, clock = np.ones(1000), np.array([11, 3, 0])
    own, of_clock = np.empty_like(x), np.empty_like(x)
    run(dropout.apply(*tensors(x, of_clock, clock), 0.5, 9))
    other = np.array([8, 3, 0])
    run(dropout.apply(*tensors(x, own, other), 0.5, 9, 11))
    assert own.tobytes() == of_clock.tobytes()
    run(dropout.noise("affine of kept", *tensors(x, own, other), 9, 11, 0.5, 3, -1, 7))
    np.testing.assert_array_equal(own, np.where(of_clock > 0, 2, 7))
    x *= np.nan
    run(dropout.noise("kept", *tensors(x, own, other), 9, 11, 0.5, 0, 4, 5))
    np.testing.assert_array_equal(own, np.where(of_clock > 0, 4, 5))
