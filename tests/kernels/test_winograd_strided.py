"""Winograd's convolution with strides of 2 agrees with the definition, keeps zeros, and does not depend on threads."""

from functools import partial

import numpy as np
import pytest

from cnncli.kernels.conv import winograd, winograd_gradient
from cnncli.kernels.conv.geometry import Geometry, suits_strided_winograd
from tests.kernels import convolutions
from tests.kernels.convolutions import Case
from tests.kernels.support import DTYPES, assert_close, normal
from tests.reference import activations as twins
from tests.reference import convolution

STRIDED = Geometry((2, 2), (1, 1))


def case_of(
    rng: np.random.Generator, batch: int, image: tuple[int, int], depth: tuple[int, int], dtype: str = "float32"
) -> Case:
    """A 3×3 convolution with strides of 2, padded or not, on both sides or on one."""
    padding = tuple(int(size) for size in rng.integers(0, 3, 2))
    after = rng.integers(0, 3, 2)
    out = [(size + before + more - 3) // 2 + 1 for size, before, more in zip(image, padding, after, strict=True)]
    channels, filters = depth
    return Case(
        normal(rng, dtype, batch, *image, channels),
        normal(rng, dtype, 3, 3, channels, filters),
        normal(rng, dtype, filters) if rng.integers(2) else None,
        normal(rng, dtype, batch, *out, filters),
        Geometry((2, 2), padding),  # type: ignore[arg-type]
    )


def random_case(seed: int, dtype: str = "float32") -> Case:
    rng = np.random.default_rng(seed)
    image = int(rng.integers(3, 18)), int(rng.integers(3, 18))
    depth = tuple(int(size) for size in rng.choice([1, 3, 8, 16, 17, 33], 2))
    return case_of(rng, int(rng.choice([1, 2, 3, 9])), image, depth, dtype)  # type: ignore[arg-type]


def large_case(batch: int) -> Case:
    case = case_of(np.random.default_rng(1), 11, (45, 38), (33, 40))
    return case._replace(x=case.x[:batch], grad=case.grad[:batch])


forward = partial(convolutions.forward, winograd.forward)
grad_input = partial(convolutions.grad_input, winograd.grad_input)
grad_weight = partial(convolutions.grad_weight, winograd_gradient.grad_weight)
OPERATIONS = (forward, grad_input, grad_weight)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_three_agree_with_the_definition(dtype: str) -> None:
    for seed in range(60):
        case = random_case(seed, dtype)
        x, kernel, bias, grad, geometry = case
        assert_close(forward(case), convolution.forward(x, kernel, bias, grad.shape[1:3], geometry), case.terms)
        assert_close(grad_input(case), convolution.grad_input(grad, x, kernel, geometry), case.terms)
        assert_close(grad_weight(case), convolution.grad_weight(grad, x, kernel, geometry), case.terms)


def test_the_gradients_are_the_adjoints_of_the_forward_pass() -> None:
    for seed in range(50):
        case = random_case(seed, "float64")._replace(bias=None)
        out = forward(case)
        product, scale = np.vdot(out, case.grad), 1e-12 * (1 + np.linalg.norm(out) * np.linalg.norm(case.grad))
        assert abs(np.vdot(case.x, grad_input(case)) - product) < scale
        assert abs(np.vdot(case.kernel, grad_weight(case)) - product) < scale


def test_an_activation_and_its_slopes_go_over_every_pixel_once() -> None:
    for case in [*(random_case(seed) for seed in range(20)), large_case(3)]:
        plain = forward(case)
        np.testing.assert_allclose(forward(case, activation="silu"), twins.silu(plain), rtol=1e-5, atol=1e-6)
        slopes = convolutions.slopes(winograd.forward, case, "silu")
        np.testing.assert_allclose(slopes, twins.derivative("silu", plain), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backward", [False, True])
def test_what_is_exactly_zero_stays_so(backward: bool) -> None:
    case = large_case(2)._replace(bias=None)
    for array in (case.x, case.grad):
        array[:, 3:14], array[:, :, 12:] = 0, 0
    x, kernel, bias, grad, geometry = case
    if backward:
        expected, found = convolution.grad_input(grad, x, kernel, geometry), grad_input(case)
    else:
        expected, found = convolution.forward(x, kernel, bias, grad.shape[1:3], geometry), forward(case)
    assert (expected == 0).sum() > 1000
    np.testing.assert_array_equal(found[expected == 0], 0)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_and_two_threads_give_the_same_bits(operation) -> None:
    for case in (large_case(1), large_case(11)):
        np.testing.assert_array_equal(operation(case, 1), operation(case, 2))


@pytest.mark.parametrize("operation", [forward, grad_input])
def test_an_image_alone_gives_the_same_bits_as_in_a_batch(operation) -> None:
    np.testing.assert_array_equal(operation(large_case(1)), operation(large_case(11))[:1])
    deep = case_of(np.random.default_rng(2), 5, (13, 18), (136, 200))
    for batch in (1, 2, 3):  # by filters, too
        few = deep._replace(x=deep.x[:batch], grad=deep.grad[:batch])
        np.testing.assert_array_equal(operation(few), operation(deep)[:batch])


def test_the_weight_gradient_of_many_weights_is_summed_in_blocks() -> None:
    case = case_of(np.random.default_rng(0), 2, (12, 9), (160, 300))
    found = grad_weight(case, 1)
    assert_close(found, convolution.grad_weight(case.grad, case.x, case.kernel, case.geometry), case.terms)
    assert grad_weight(case, 2).tobytes() == found.tobytes()


@pytest.mark.parametrize("portion", [1, 2, 3])
def test_the_weight_gradient_does_not_depend_on_how_many_images_are_taken_at_a_time(portion: int) -> None:
    for size in (6, 11):
        case = case_of(np.random.default_rng(portion), 40, (size, size), (16, 24))
        np.testing.assert_array_equal(grad_weight(case, portion=portion), grad_weight(case))


@pytest.mark.parametrize(
    ("kernel", "geometry", "out", "dtype", "answer"),
    [
        ((3, 3, 64, 128), STRIDED, (8, 8, 128), "float32", True),
        ((3, 3, 64, 128), STRIDED, (8, 8, 128), "bfloat16", False),
        ((3, 3, 32, 64), STRIDED, (8, 8, 64), "float32", False),
        ((3, 3, 64, 128), Geometry((1, 1), (1, 1)), (8, 8, 128), "float32", False),
        ((3, 3, 64, 128), Geometry((2, 1), (1, 1)), (8, 8, 128), "float32", False),
        ((5, 5, 64, 128), STRIDED, (8, 8, 128), "float32", False),
        ((3, 3, 64, 128), STRIDED, (3, 8, 128), "float32", False),
    ],
)
def test_it_is_chosen_by_shape_and_dtype_alone(kernel, geometry, out, dtype: str, answer: bool) -> None:
    assert suits_strided_winograd(kernel, geometry, out, dtype) is answer
