import numpy as np
import pytest

from cnncli.kernels import activations
from cnncli.kernels.runtime import SPAN, run
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.reference import activations as twin

KINDS = list(activations.KINDS)


def forward(kind, x):
    out = np.full_like(x, 7)
    run(activations.forward(kind, *tensors(x, out)))
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_forward_is_the_textbook_function_also_in_place(kind, dtype):
    for shape, generator in shapes(1, [1, 2, 4]):
        x = draw(generator, shape, dtype)
        out = forward(kind, x)
        assert_agree(out, getattr(twin, kind)(x.astype(np.float64)), shape)
        run(activations.forward(kind, *tensors(x, x)))
        assert x.tobytes() == out.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_backward_from_the_output_is_the_derivative_at_the_input_also_in_place(kind, dtype):
    for shape, generator in shapes(2, [1, 2, 4]):
        x, grad = draw(generator, shape, dtype), draw(generator, shape, dtype)
        y, out = forward(kind, x), np.full_like(x, 7)
        run(activations.backward(kind, *tensors(y, grad, out)))
        assert_agree(out, grad * twin.derivative(kind, x.astype(np.float64)), shape)
        over_y = y.copy()
        run(activations.backward(kind, *tensors(over_y, grad, over_y)))
        run(activations.backward(kind, *tensors(y, grad, grad)))
        assert over_y.tobytes() == grad.tobytes() == out.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_comparison_notices_a_wrong_function(kind):
    x = np.linspace(-2, 2, 50)
    others = [other for other in KINDS if other != kind]
    assert not any(agree(forward(kind, x), getattr(twin, other)(x)) for other in others)
    assert not agree(forward(kind, x.astype("float32")), getattr(twin, kind)(x) + 1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_arguments_saturate_without_overflow_and_nan_passes(dtype):
    x = np.array([-1e30, -100, 0, 100, 1e30, -np.inf, np.inf, np.nan], dtype)
    assert_agree(forward("sigmoid", x), np.array([0, 0, 0.5, 1, 1, 0, 1, np.nan]))
    assert forward("sigmoid", x)[1] == pytest.approx(np.exp(-100.0), rel=1e-2)  # subnormal in float32
    assert_agree(forward("tanh", x), np.array([-1, -1, 0, 1, 1, -1, 1, np.nan]))
    assert np.array_equal(forward("relu", x), np.array([0, 0, 0, 100, 1e30, 0, np.inf, np.nan], dtype), equal_nan=True)


def test_an_unknown_kind_is_refused_with_the_known_ones():
    x = np.zeros(3)
    with pytest.raises(ValueError, match="one of relu, sigmoid, tanh; received 'rellu'"):
        activations.forward("rellu", *tensors(x, x))


@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_change_a_bit(kind):
    x = draw(np.random.default_rng(3), 3 * SPAN + 5, "float32")
    y, out = forward(kind, x), np.empty_like(x)
    assert same_bits_on_1_and_2_threads(lambda: activations.forward(kind, *tensors(x, out)), out)
    assert same_bits_on_1_and_2_threads(lambda: activations.backward(kind, *tensors(y, x, out)), out)
