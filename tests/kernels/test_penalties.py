import numpy as np
import pytest

from cnncli.kernels.jit.runtime import SPAN, Scratch, run
from cnncli.kernels.losses import penalties
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.reference import updates as twin


def value(x, l1, l2, scale, shape=(1,)):
    memory, out = np.full(4096, np.nan), np.full(shape, 7, x.dtype)
    scratch = Scratch(memory.ctypes.data)
    run(penalties.value(*tensors(x, out), l1, l2, scale, scratch))
    assert scratch.used <= memory.nbytes
    return out


def gradient(x, l1, l2, scale):
    out = np.full_like(x, 7)
    run(penalties.gradient(*tensors(x, out), l1, l2, scale))
    return out


@pytest.mark.parametrize("dtype", DTYPES)
def test_value_and_gradient_agree_with_their_twins(dtype):
    for shape, generator in shapes(1, [1, 2, 4]):
        x, (l1, l2) = draw(generator, shape, dtype), generator.choice([0, 0.01, 0.3], 2)
        scale = float(generator.uniform(0.1, 2))
        exact = x.astype(np.float64)
        assert_agree(value(x, l1, l2, scale)[0], twin.penalty(exact, l1, l2, scale), shape)
        out = gradient(x, l1, l2, scale)
        assert_agree(out, twin.penalty_gradient(exact, l1, l2, scale), shape)
        run(penalties.gradient(*tensors(x, x), l1, l2, scale))
        assert x.tobytes() == out.tobytes()


def test_gradient_is_the_finite_difference_of_the_value():
    x, step = np.random.default_rng(2).normal(size=20), 1e-6
    for i, slope in enumerate(gradient(x, 0.1, 0.2, 0.5)):
        nudge = np.zeros(20)
        nudge[i] = step
        up, down = value(x + nudge, 0.1, 0.2, 0.5, ()), value(x - nudge, 0.1, 0.2, 0.5, ())
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_hand_computed_penalty_and_gradient():
    x = np.array([3.0, -4.0, 0.0])
    assert value(x, 0.1, 0.01, 2)[0] == pytest.approx(2 * (0.7 + 0.25))
    assert gradient(x, 0.1, 0.01, 2) == pytest.approx([2 * (0.1 + 0.06), 2 * (-0.1 - 0.08), 0])


def test_a_large_array_of_equal_float32_numbers_is_summed_without_drift():
    x = np.full(20 * SPAN + 7, 0.1, "float32")
    assert value(x, 1, 0, 1)[0] == pytest.approx(x.size * float(np.float32(0.1)), rel=1e-7)


def test_the_comparison_notices_a_missing_element():
    x = np.random.default_rng(3).normal(size=1000)
    assert agree(value(x, 0.1, 0.1, 1)[0], twin.penalty(x, 0.1, 0.1, 1))
    assert not agree(value(x, 0.1, 0.1, 1)[0], twin.penalty(x[:-1], 0.1, 0.1, 1))


def test_scratch_does_not_depend_on_the_size():
    used = []
    for size in (1, SPAN, 100 * SPAN):
        scratch, x, out = Scratch(), np.empty(size), np.empty(1)
        penalties.value(*tensors(x, out), 1, 1, 1, scratch)
        used.append(scratch.used)
    assert used[0] == used[1] == used[2] > 0


def test_threads_do_not_change_a_bit():
    x = draw(np.random.default_rng(4), 11 * SPAN + 5, "float32")
    out, total, memory = np.empty_like(x), np.empty(1, "float32"), np.empty(4096)
    assert same_bits_on_1_and_2_threads(lambda: penalties.gradient(*tensors(x, out), 0.1, 0.2, 1), out)

    def steps():
        return penalties.value(*tensors(x, total), 0.1, 0.2, 1, Scratch(memory.ctypes.data))

    assert same_bits_on_1_and_2_threads(steps, total)
