from math import erfc, pi, sqrt

import numpy as np
import pytest

from cnncli.kernels.elementwise import activations
from cnncli.kernels.elementwise.activation_names import CONSTANTS, OF_INPUT, of_input, parts
from cnncli.kernels.jit.runtime import SPAN, run
from tests.kernels.agreement import DTYPES, agree, assert_agree, draw, same_bits_on_1_and_2_threads, shapes, tensors
from tests.reference import activations as twin

KINDS = [
    *activations.KINDS,
    *("leaky_relu(0.01)", "elu(0.7)", "clipped_relu(1.5, 0.25, 0.5)", "clipped_relu(2, 0, 1)", "celu(0.3)"),
    *("elu_of_input(-0.4)", "hard_shrink(1)", "soft_shrink(0)", "squareplus(0.1)", "threshold(-1, 2)"),
]
SAME = [{"relu", "clipped_relu"}, {"elu", "celu"}]
"""Kinds that are one function with their default constants."""


def textbook(kind, x):
    name, constants = parts(kind)
    return getattr(twin, name)(x.astype(np.float64), *constants)


def derivative(kind, x):
    name, constants = parts(kind)
    return twin.derivative(name, x.astype(np.float64), *constants)


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
        assert_agree(out, textbook(kind, x), shape)
        run(activations.forward(kind, *tensors(x, x)))
        assert x.tobytes() == out.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_backward_from_what_is_saved_is_the_derivative_at_the_input_also_in_place(kind, dtype):
    for shape, generator in shapes(2, [1, 2, 4]):
        x, grad = draw(generator, shape, dtype), draw(generator, shape, dtype)
        saved, out = x if of_input(kind) else forward(kind, x), np.full_like(x, 7)
        run(activations.backward(kind, *tensors(saved, grad, out)))
        assert_agree(out, grad * derivative(kind, x), shape)
        over_saved = saved.copy()
        run(activations.backward(kind, *tensors(over_saved, grad, over_saved)))
        run(activations.backward(kind, *tensors(saved, grad, grad)))
        assert over_saved.tobytes() == grad.tobytes() == out.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if of_input(kind)])
def test_slopes_are_the_derivative_beside_the_same_function(kind, dtype):
    for shape, generator in shapes(3, [1, 2, 4]):
        x, slopes = draw(generator, shape, dtype), np.full(shape, 7, dtype)
        out, expected = forward(kind, x), derivative(kind, x)
        run(activations.with_slopes(kind, *tensors(x, slopes)))
        assert x.tobytes() == out.tobytes()
        assert_agree(slopes, expected, shape)


@pytest.mark.parametrize("kind", KINDS)
def test_the_comparison_notices_a_wrong_function(kind):
    x = np.linspace(-8, 8, 50)
    others = [other for other in KINDS if other != kind and {kind, other} not in SAME]
    assert not any(agree(forward(kind, x), textbook(other, x)) for other in others)
    assert not agree(forward(kind, x.astype("float32")), textbook(kind, x) + 1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_nan_passes_and_spoils_nothing_else(kind, dtype):
    x = np.linspace(-9, 9, 37).astype(dtype)
    x[20] = np.nan
    y = forward(kind, x)
    assert np.flatnonzero(np.isnan(y)).tolist() == [20]


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_arguments_saturate_without_overflow(dtype):
    x = np.array([-1e30, -100, 0, 100, 1e30, -np.inf, np.inf, np.nan], dtype)
    assert_agree(forward("sigmoid", x), np.array([0, 0, 0.5, 1, 1, 0, 1, np.nan]))
    assert forward("sigmoid", x)[1] == pytest.approx(np.exp(-100.0), rel=1e-2)  # subnormal in float32
    assert_agree(forward("tanh", x), np.array([-1, -1, 0, 1, 1, -1, 1, np.nan]))
    assert np.array_equal(forward("relu", x), np.array([0, 0, 0, 100, 1e30, 0, np.inf, np.nan], dtype), equal_nan=True)
    assert_agree(forward("relu6", x), np.array([0, 0, 0, 6, 6, 0, 6, np.nan]))
    assert_agree(forward("hard_sigmoid", x), np.array([0, 0, 0.5, 1, 1, 0, 1, np.nan]))
    assert_agree(forward("elu", x), np.array([-1, -1, 0, 100, 1e30, -1, np.inf, np.nan]))
    assert_agree(forward("clipped_relu(50.0, 0.0, 1.0)", x), np.array([0, 0, 0, 50, 50, 0, 50, np.nan]))
    for kind in ("gelu", "silu", "hard_silu"):
        assert_agree(forward(kind, x[:5]), np.array([0, 0, 0, 100, 1e30]))
        slope = np.empty_like(x[:5])
        run(activations.backward(kind, *tensors(x[:5], np.ones_like(slope), slope)))
        assert_agree(slope, np.array([0, 0, 0.5, 1, 1]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_slopes_of_hostile_numbers_are_those_of_the_textbook(kind, dtype):
    limits, most = np.finfo(dtype), 80 if parts(kind)[0] == "exponential" else 1e15
    sizes = [0, limits.smallest_subnormal, limits.tiny, 1e-9, 1e-3, 0.5, 1, 5, 20, 80, 100, 1e4, 1e15]
    sizes = np.array([size for size in sizes if size <= most], dtype)
    x = np.concatenate([sizes, -sizes])
    with np.errstate(over="ignore"):
        y, ones, slope = forward(kind, x), np.ones_like(x), np.empty_like(x)
        run(activations.backward(kind, *tensors(x if of_input(kind) else y, ones, slope)))
        np.testing.assert_allclose(y, textbook(kind, x), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(slope, derivative(kind, x), rtol=1e-6, atol=1e-6)


def test_gelu_and_its_slope_far_below_0_have_the_digits_that_keras_has():
    x = np.linspace(-12, -2, 1001, dtype=np.float32)  # erfc: as TensorFlow's gelu
    wide = x.astype(np.float64)
    normal = np.array([erfc(-value / sqrt(2)) / 2 for value in wide])
    ones, slope = np.ones_like(x), np.empty_like(x)
    run(activations.backward("gelu", *tensors(x, ones, slope)))
    np.testing.assert_allclose(forward("gelu", x), wide * normal, rtol=2e-6)
    np.testing.assert_allclose(slope, normal + wide * np.exp(-(wide**2) / 2) / sqrt(2 * pi), rtol=2e-6)


def test_at_a_kink_the_slope_is_keras_one():
    # TensorFlow's ReluGrad, Relu6Grad and LeakyReluGrad ask for x > 0 and x < 6; clip_by_value lets its bounds pass.
    kinks = {"relu": [0], "relu6": [0, 6], "leaky_relu": [0], "hard_sigmoid": [-3, 3], "hard_silu": [-3, 3]}
    kinks |= {"clipped_relu(5, 0.25, 1)": [1, 5], "hard_tanh": [-1, 1], "hard_shrink": [-0.5, 0.5], "threshold": [0]}
    kinks |= {"soft_shrink": [-0.5, 0.5], "sparse_plus": [-1, 1], "sparse_sigmoid": [-1, 1], "celu": [0], "elu": [0]}
    slopes = {"leaky_relu": [0.2], "hard_silu": [0, 1], "clipped_relu(5, 0.25, 1)": [0, 1], "hard_tanh": [1, 1]}
    slopes |= {"sparse_plus": [0, 1], "celu": [1], "elu": [1]}
    for kind, places in kinks.items():
        x = np.array(places, np.float64)
        saved, out = x if of_input(kind) else forward(kind, x), np.empty_like(x)
        run(activations.backward(kind, *tensors(saved, np.ones_like(x), out)))
        assert out.tolist() == slopes.get(kind, [0] * len(x)), kind


def test_names_and_formulas_belong_together():
    assert activations.FORMULAS.keys() == CONSTANTS.keys()
    assert CONSTANTS.keys() >= OF_INPUT


def test_an_unknown_kind_is_refused_with_the_known_ones():
    x = np.zeros(3)
    with pytest.raises(ValueError, match=r"one of relu, relu6, .*; received 'rellu'"):
        activations.forward("rellu", *tensors(x, x))


@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_change_a_bit(kind):
    x = draw(np.random.default_rng(3), 3 * SPAN + 5, "float32")
    saved, out = x if of_input(kind) else forward(kind, x), np.empty_like(x)
    assert same_bits_on_1_and_2_threads(lambda: activations.forward(kind, *tensors(x, out)), out)
    assert same_bits_on_1_and_2_threads(lambda: activations.backward(kind, *tensors(saved, x, out)), out)
