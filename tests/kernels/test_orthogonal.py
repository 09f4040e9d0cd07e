"""The penalty on angles between rows or columns against its definition in float64."""

import numpy as np
import pytest

from cnncli.kernels.jit.runtime import SPAN, Scratch, run
from cnncli.kernels.losses import orthogonal
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.reference import updates as twin


def plan(x, out, factor, rows):
    """The steps of the value, or of the gradient if `out` has the shape of x; and their scratch memory."""
    compute = orthogonal.gradient if out.shape == x.shape else orthogonal.value
    sized = Scratch()
    compute(*tensors(x, out), factor, rows, sized)
    memory = np.full(sized.used + 64, 0xFF, np.uint8)
    return compute(*tensors(x, out), factor, rows, Scratch(-(-memory.ctypes.data // 64) * 64)), memory


def computed(x, out, factor, rows):
    steps, memory = plan(x, out, factor, rows)
    run(steps)
    assert memory.size
    return out


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_value_and_gradient_agree_with_their_twins(dtype, rows):
    for shape, generator in shapes(1, [2], count=60):
        if np.prod(shape) > 5000:
            continue  # so many pairs
        x, exact = draw(generator, shape, dtype), None
        x[np.abs(x) < 0.05] += 0.1  # the sign of a product may not depend on rounding
        exact = x.astype(np.float64)
        assert_agree(computed(x, np.zeros(1, dtype), 0.7, rows)[0], twin.angles(exact, 0.7, rows), shape)
        assert_agree(computed(x, np.zeros_like(x), 0.7, rows), twin.angles_gradient(exact, 0.7, rows), shape)


@pytest.mark.parametrize("rows", [True, False])
def test_the_gradient_is_the_finite_difference_of_the_value(rows):
    x, step = np.random.default_rng(2).normal(size=(5, 4)), 1e-6
    gradient = computed(x, np.zeros_like(x), 0.7, rows)
    for index in np.ndindex(x.shape):
        nudge = np.zeros_like(x)
        nudge[index] = step
        above, below = (computed(x + sign * nudge, np.zeros(1), 0.7, rows)[0] for sign in (1, -1))
        assert gradient[index] == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-9)


def test_hand_computed_angles():
    x = np.array([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0]])  # one right angle, two of 45°
    assert computed(x, np.zeros(1), 1.0, rows=True)[0] == pytest.approx(2 * np.sqrt(0.5) / 3)
    assert computed(np.eye(4), np.zeros(1), 1.0, rows=False)[0] == 0
    assert not computed(np.eye(4), np.zeros((4, 4)), 1.0, rows=False).any()
    assert computed(np.ones((1, 4)), np.zeros(1), 1.0, rows=True)[0] == 0  # no pair


def test_a_row_of_zeros_is_at_right_angles_with_all_and_others_keep_theirs():
    x = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    assert computed(x, np.zeros(1), 1.0, rows=True)[0] == pytest.approx(np.sqrt(0.5) / 3)
    assert np.isfinite(computed(x, np.zeros_like(x), 1.0, rows=True)).all()


def test_the_comparison_notices_the_other_mode():
    x = np.random.default_rng(3).normal(size=(4, 4))
    assert not agree(computed(x, np.zeros_like(x), 1.0, rows=True), twin.angles_gradient(x, 1.0, rows=False))


@pytest.mark.parametrize("rows", [True, False])
def test_threads_do_not_change_a_bit(rows):
    x = draw(np.random.default_rng(4), (200, 300), "float32")
    assert x.size > SPAN
    for out in (np.zeros(1, "float32"), np.zeros_like(x)):
        steps, memory = plan(x, out, 0.7, rows)
        assert same_bits_on_1_and_2_threads(lambda steps=steps: steps, out)
        assert memory.size
