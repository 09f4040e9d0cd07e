"""Depthwise convolution and its gradients agree with the twin of a convolution in groups, and are adjoint."""

from functools import partial

import numpy as np
import pytest

from cnncli.kernels.conv import depthwise, depthwise_weights
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.gemm.epilogue import Epilogue
from cnncli.kernels.jit.runtime import Scratch, tensor
from tests.kernels import convolutions
from tests.kernels.convolutions import Case, extent
from tests.kernels.support import DTYPES, SHAPES, assert_close, execute, normal, unwritten
from tests.reference import activations as twins
from tests.reference import convolution


def random_case(seed: int, dtype: str) -> Case:
    """A depthwise convolution with small random sizes; channels leave part of a vector, or of a block, over."""
    rng = np.random.default_rng(seed)
    same = bool(rng.integers(2))
    height, width = extent(rng, same), extent(rng, same)
    channels, batch = int(rng.choice([1, 2, 3, 8, 16, 17, 31, 48, 64, 70, 130])), int(rng.choice([1, 2, 3, 9]))
    return make(rng, dtype, (batch, channels), height, width)


def make(rng: np.random.Generator, dtype: str, size: tuple[int, int], height: tuple, width: tuple) -> Case:
    batch, channels = size
    return Case(
        normal(rng, dtype, batch, height[0], width[0], channels),
        normal(rng, dtype, height[1], width[1], 1, channels),
        normal(rng, dtype, channels) if rng.integers(2) else None,
        normal(rng, dtype, batch, height[5], width[5], channels),
        Geometry(*((height[k], width[k]) for k in (2, 3, 4)), channels),
    )


forward = partial(convolutions.forward, depthwise.forward)
grad_input = partial(convolutions.grad_input, depthwise.grad_input)


def grad_weight(case: Case, threads: int = 2) -> np.ndarray:
    return grad_weight_and_bias(case, threads)[0]


def grad_weight_and_bias(case: Case, threads: int = 2) -> tuple[np.ndarray, np.ndarray]:
    out, bias = unwritten(case.x.dtype.name, *case.kernel.shape), unwritten(case.x.dtype.name, case.x.shape[3])
    arrays = tensor(case.x), tensor(case.grad), tensor(out), tensor(bias)
    execute(lambda scratch: depthwise_weights.grad_weight(*arrays, case.geometry, scratch), threads)
    return out, bias


def grad_bias(case: Case, threads: int = 2) -> np.ndarray:
    return grad_weight_and_bias(case, threads)[1]


OPERATIONS = (forward, grad_input, grad_weight, grad_bias)


def assert_all_agree(case: Case) -> None:
    x, kernel, bias, grad, geometry = case
    assert_close(forward(case), convolution.forward(x, kernel, bias, grad.shape[1:3], geometry), kernel.size)
    assert_close(grad_input(case), convolution.grad_input(grad, x, kernel, geometry), kernel.size)
    assert_close(grad_weight(case), convolution.grad_weight(grad, x, kernel, geometry), grad.size)
    assert_close(grad_bias(case), grad.astype(np.float64).sum((0, 1, 2)), grad.size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_three_agree_with_the_definition(dtype: str) -> None:
    for seed in range(SHAPES):
        assert_all_agree(random_case(seed, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_taps_large_strides_and_images_of_several_copies(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for size, height, width in (  # axes as `extent` gives them
        ((2, 5), (12, 7, 1, 3, 1, 12), (11, 5, 1, 2, 1, 11)),
        ((3, 20), (4, 2, 5, 0, 1, 1), (3, 1, 4, 0, 1, 1)),
        ((2, 66), (90, 3, 2, 0, 1, 45), (60, 3, 1, 1, 1, 60)),
        ((1, 64), (50, 3, 1, 2, 2, 50), (40, 3, 2, 0, 1, 20)),
        ((9, 3), (2, 4, 1, 1, 1, 2), (2, 4, 1, 1, 1, 2)),
        ((2, 20), (9, 5, 1, 2, 1, 9), (14, 5, 1, 2, 1, 14)),
        ((2, 33), (9, 5, 2, 1, 1, 5), (30, 5, 2, 1, 1, 15)),
        ((2, 17), (8, 3, 2, 0, 1, 4), (27, 3, 1, 1, 1, 27)),
        # Strides of 2: even and odd images, padding of 0 to 2, rows and columns that no tap reaches.
        ((2, 17), (8, 3, 2, 0, 1, 4), (27, 3, 2, 1, 1, 14)),
        ((2, 40), (23, 5, 2, 2, 1, 12), (22, 5, 2, 1, 1, 11)),
        ((3, 16), (9, 3, 2, 2, 1, 3), (10, 3, 2, 0, 1, 4)),
        ((9, 5), (1, 3, 2, 1, 1, 1), (2, 3, 2, 0, 1, 1)),
        ((1, 5), (2, 3, 1, 1, 1, 2), (1, 3, 1, 1, 1, 1)),
    ):
        assert_all_agree(make(rng, dtype, size, height, width))


@pytest.mark.parametrize("kind", ["relu6", "silu", "tanh"])  # all of them go the same way: test_conv2d
def test_an_activation_goes_over_every_pixel_once(kind: str) -> None:
    for seed in range(60):
        case = random_case(seed, "float32")
        linear, got = forward(case), forward(case, activation=kind)
        np.testing.assert_allclose(got, getattr(twins, kind)(linear.astype(np.float64)), rtol=2e-6, atol=1e-6)


def test_slopes_of_an_activation_go_beside_every_pixel() -> None:
    for case in [random_case(seed, "float32") for seed in range(20)]:
        slopes = convolutions.slopes(depthwise.forward, case, "silu")
        np.testing.assert_allclose(slopes, twins.derivative("silu", forward(case)), rtol=1e-5, atol=1e-6)


def test_a_hand_computed_depthwise_convolution() -> None:
    x = np.stack([np.arange(1.0, 10.0), np.ones(9)], -1).reshape(1, 3, 3, 2)
    kernel = np.array([[[1.0, 2.0], [0.0, 1.0]], [[0.0, 0.0], [-1.0, 1.0]]]).reshape(2, 2, 1, 2)
    case = Case(x, kernel, np.array([10.0, 0.0]), np.ones((1, 2, 2, 2)), Geometry((1, 1), (0, 0), (1, 1), 2))
    np.testing.assert_array_equal(forward(case)[0, ..., 0].ravel(), [6, 6, 6, 6])
    np.testing.assert_array_equal(forward(case)[0, ..., 1].ravel(), [4, 4, 4, 4])
    np.testing.assert_array_equal(grad_weight(case)[..., 0, 0].ravel(), [12, 16, 24, 28])


def test_the_gradients_are_the_adjoints_of_the_forward_pass() -> None:
    for seed in range(100):
        case = random_case(seed, "float64")._replace(bias=None)
        product = np.vdot(forward(case), case.grad)
        scale = 1e-13 * (1 + np.linalg.norm(forward(case)) * np.linalg.norm(case.grad))
        assert abs(np.vdot(case.x, grad_input(case)) - product) < scale
        assert abs(np.vdot(case.kernel, grad_weight(case)) - product) < scale


def large_case(batch: int) -> Case:
    """Large enough for several chunks in each operation, even for one image."""
    rng = np.random.default_rng(1)
    axes = (61, 3, 1, 1, 1, 61), (60, 3, 2, 0, 1, 30)
    case = make(rng, "float32", (11, 150), *axes)
    return case._replace(x=case.x[:batch], grad=case.grad[:batch])


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("batch", [1, 11])
def test_one_and_two_threads_give_the_same_bits(operation, batch: int) -> None:
    case = large_case(batch)
    np.testing.assert_array_equal(operation(case, 1), operation(case, 2))


@pytest.mark.parametrize("operation", [forward, grad_input])
def test_an_image_alone_gives_the_same_bits_as_in_a_batch(operation) -> None:
    np.testing.assert_array_equal(operation(large_case(1)), operation(large_case(11))[:1])


def test_one_large_image_is_divided_among_threads() -> None:
    case, scratch = large_case(1), Scratch()
    x, kernel, grad = tensor(case.x), tensor(case.kernel), tensor(case.grad)
    steps = depthwise.forward(x, kernel, Epilogue(), grad, case.geometry, scratch)
    steps += depthwise.grad_input(grad, kernel, x, case.geometry, scratch)
    steps += depthwise_weights.grad_weight(x, grad, kernel, None, case.geometry, scratch)
    assert all(step.chunks > 1 for step in steps)


def test_the_comparison_notices_one_wrong_element() -> None:
    case = random_case(0, "float32")
    wrong = forward(case).astype(np.float64)
    wrong.flat[-1] += 0.01
    with pytest.raises(AssertionError):
        assert_close(forward(case), wrong, case.kernel.size)
