import numpy as np
import pytest

from cnncli.kernels.elementwise import log_softmax, softmax, sparsemax
from cnncli.kernels.jit.runtime import SPAN, run
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.reference import activations as twin

KINDS = {"softmax": softmax, "log_softmax": log_softmax, "sparsemax": sparsemax}


def forward(x, kind="softmax"):
    out = np.full_like(x, 7)
    run(KINDS[kind].forward(*tensors(x, out)))
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_forward_and_backward_are_the_textbook_softmax_also_in_place(dtype, kind):
    module, textbook, slope = KINDS[kind], getattr(twin, kind), getattr(twin, f"{kind}_backward")
    for shape, generator in shapes(1, [1, 2, 3, 4], long_axis=0):
        x, grad = draw(generator, shape, dtype), draw(generator, shape, dtype)
        y, out = forward(x, kind), np.full_like(x, 7)
        assert_agree(y, textbook(x.astype(np.float64)), shape)
        run(module.backward(*tensors(y, grad, out)))
        if shape[-1] < 1000:  # the twin writes out the Jacobian of a row
            assert_agree(out, slope(y.astype(np.float64), grad.astype(np.float64)), shape)
        run(module.forward(*tensors(x, x)))
        run(module.backward(*tensors(y, grad, grad)))
        assert x.tobytes() == y.tobytes()
        assert grad.tobytes() == out.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_backward_is_the_finite_difference_of_forward(kind):
    generator = np.random.default_rng(2)
    x, grad, out, step = generator.normal(size=(3, 5)), generator.normal(size=(3, 5)), np.empty((3, 5)), 1e-6
    run(KINDS[kind].backward(*tensors(forward(x, kind), grad, out)))
    for index in np.ndindex(x.shape):
        nudge = np.zeros_like(x)
        nudge[index] = step
        slope = ((forward(x + nudge, kind) - forward(x - nudge, kind)) * grad).sum() / (2 * step)
        assert out[index] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_huge_logits_do_not_overflow_and_a_nan_spoils_its_row_only():
    x = np.array([[1e30, 0, -1e30], [-np.inf, 0, 0], [np.nan, 0, 0], [0, np.nan, 1]], "float32")
    assert np.array_equal(forward(x), [[1, 0, 0], [0, 0.5, 0.5], [np.nan] * 3, [np.nan] * 3], equal_nan=True)


def test_the_same_of_its_logarithm_and_of_sparsemax():
    x = np.array([[1e30, 0, -1e30], [-np.inf, 0, 0], [100, 99.5, 0], [np.nan, 0, 0], [0, np.nan, 1]], "float32")
    half, nan = -np.log(np.float32(2)), [np.nan] * 3
    near = np.log(np.exp(0.5) / (1 + np.exp(0.5))), np.log(1 / (1 + np.exp(0.5)))
    logarithms = np.array([[0, -1e30, -2e30], [-np.inf, half, half], [*near, near[0] - 100], nan, nan], "float32")
    assert_agree(forward(x, "log_softmax"), logarithms)
    assert np.array_equal(
        forward(x, "sparsemax"), [[1, 0, 0], [0, 0.5, 0.5], [0.75, 0.25, 0], nan, nan], equal_nan=True
    )


def test_the_comparison_notices_a_wrong_axis():
    x = np.random.default_rng(3).normal(size=(4, 4))
    assert agree(forward(x), twin.softmax(x))
    assert not agree(forward(x), twin.softmax(x.T).T)


@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_change_a_bit(kind):
    x = draw(np.random.default_rng(4), (SPAN, 7), "float32")
    y, out = forward(x, kind), np.empty_like(x)
    assert same_bits_on_1_and_2_threads(lambda: KINDS[kind].forward(*tensors(x, out)), out)
    assert same_bits_on_1_and_2_threads(lambda: KINDS[kind].backward(*tensors(y, x, out)), out)
