"""Convolution and its two gradients agree with the twin, are adjoint, and do not depend on threads or batch."""

from functools import partial
from itertools import product

import numpy as np
import pytest

from cnncli.kernels.conv import conv2d, conv2d_gradient
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.elementwise import activations
from cnncli.kernels.gemm.epilogue import PLAIN, Epilogue
from cnncli.kernels.jit.runtime import Scratch, tensor
from tests.kernels import convolutions
from tests.kernels.convolutions import Case, extent
from tests.kernels.support import DTYPES, MARGIN, SHAPES, assert_close, execute, normal, unwritten
from tests.reference import activations as twins
from tests.reference import convolution


def random_case(seed: int, dtype: str) -> Case:
    """A convolution with small random sizes."""
    rng = np.random.default_rng(seed)
    same = bool(rng.integers(2))
    height, width = extent(rng, same), extent(rng, same)
    groups, batch = int(rng.choice([1, 1, 1, 2, 3])), int(rng.choice([1, 2, 3, 9]))
    inner, filters = int(rng.choice([1, 2, 3, 5, 8])), int(rng.choice([1, 3, 4, 7, 16, 21, 53, 85]))
    return Case(
        normal(rng, dtype, batch, height[0], width[0], inner * groups),
        normal(rng, dtype, height[1], width[1], inner, filters * groups),
        normal(rng, dtype, filters * groups) if rng.integers(2) else None,
        normal(rng, dtype, batch, height[5], width[5], filters * groups),
        Geometry(*((height[k], width[k]) for k in (2, 3, 4)), groups),
    )


forward = partial(convolutions.forward, conv2d.forward)
grad_input = partial(convolutions.grad_input, conv2d_gradient.grad_input)
grad_weight = partial(convolutions.grad_weight, conv2d_gradient.grad_weight)
OPERATIONS = (forward, grad_input, grad_weight)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_three_agree_with_the_definition(dtype: str) -> None:
    for seed in range(SHAPES):
        case = random_case(seed, dtype)
        x, kernel, bias, grad, geometry = case
        assert_close(forward(case), convolution.forward(x, kernel, bias, grad.shape[1:3], geometry), case.terms)
        assert_close(grad_input(case), convolution.grad_input(grad, x, kernel, geometry), case.terms)
        assert_close(grad_weight(case), convolution.grad_weight(grad, x, kernel, geometry), case.terms)


@pytest.mark.parametrize("kind", list(activations.KINDS))
def test_an_activation_goes_over_every_pixel_once(kind: str) -> None:
    for seed in range(60):
        case = random_case(seed, "float64")
        expected = getattr(twins, kind)(forward(case))
        np.testing.assert_allclose(forward(case, activation=kind), expected, rtol=1e-12, atol=1e-12)
    case = large_case(11)
    np.testing.assert_allclose(
        forward(case, activation=kind), getattr(twins, kind)(forward(case)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_shapes_at_the_edge_agree_with_the_definition(dtype: str) -> None:
    rng = np.random.default_rng(2)
    for image, kernel, stride, dilation, channels, filters, groups, batch in (
        ((1, 1), (5, 3), (1, 1), (1, 1), 1, 1, 1, 1),
        ((1, 1), (5, 5), (7, 9), (1, 1), 3, 70, 1, 2),
        ((2, 9), (7, 1), (5, 4), (1, 1), 6, 6, 6, 1),
        ((3, 4), (2, 2), (1, 1), (5, 4), 4, 8, 4, 17),
        ((9, 9), (1, 1), (4, 4), (1, 1), 2, 130, 2, 9),
        ((40, 1), (3, 1), (1, 2), (1, 1), 1, 2, 1, 8),
    ):
        out = tuple(-(-i // s) for i, s in zip(image, stride, strict=True))
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        top, left = (max(0, (o - 1) * s + r - i) // 2 for o, s, r, i in zip(out, stride, reach, image, strict=True))
        geometry = Geometry(stride, (top, left), dilation, groups)
        case = Case(
            normal(rng, dtype, batch, *image, channels),
            normal(rng, dtype, *kernel, channels // groups, filters),
            normal(rng, dtype, filters),
            normal(rng, dtype, batch, *out, filters),
            geometry,
        )
        x, weights, bias, grad, _ = case
        assert_close(forward(case), convolution.forward(x, weights, bias, out, geometry), case.terms)
        assert_close(grad_input(case), convolution.grad_input(grad, x, weights, geometry), case.terms)
        assert_close(grad_weight(case), convolution.grad_weight(grad, x, weights, geometry), case.terms)


def test_slopes_of_an_activation_go_beside_every_pixel() -> None:
    for case in [*(random_case(seed, "float64") for seed in range(20)), large_case(11)]:
        slopes = convolutions.slopes(conv2d.forward, case, "silu")
        np.testing.assert_allclose(slopes, twins.derivative("silu", forward(case)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "relu", "tanh"])
def test_the_input_gradient_takes_an_epilogue_as_a_transposed_convolution_does(kind: str) -> None:
    for seed in range(100):
        case = random_case(seed, "float64")
        bias = np.linspace(-1, 1, case.x.shape[3])
        out = unwritten("float64", *case.x.shape)
        arrays = tensor(case.grad), tensor(case.kernel), tensor(out)
        epilogue = Epilogue(tensor(bias), kind)
        execute(lambda scratch, a=arrays, c=case, e=epilogue: conv2d_gradient.grad_input(*a, c.geometry, scratch, e))
        expected = grad_input(case) + bias
        expected = expected if kind == "linear" else getattr(twins, kind)(expected)
        np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
def test_strides_along_either_axis_that_divide_the_image_agree_with_the_definition(dtype: str) -> None:
    # The gradient has as many rows and columns as each phase of the image, whose pixels are apart along an axis.
    for seed, sizes in enumerate(product((1, 2, 3), repeat=4)):
        rng, (taps, strides) = np.random.default_rng(seed), (sizes[:2], sizes[2:])
        image = [count * stride for count, stride in zip((2, 3), strides, strict=True)]
        padding = tuple(max(0, tap - stride) // 2 for tap, stride in zip(taps, strides, strict=True))
        case = Case(
            normal(rng, dtype, 2, *image, 4),
            normal(rng, dtype, *taps, 4, 6),
            None,
            normal(rng, dtype, 2, 2, 3, 6),
            Geometry(strides, padding),  # type: ignore[arg-type]
        )
        x, kernel, bias, grad, geometry = case
        assert_close(forward(case), convolution.forward(x, kernel, bias, (2, 3), geometry), case.terms)
        assert_close(grad_input(case), convolution.grad_input(grad, x, kernel, geometry), case.terms)
        assert_close(grad_weight(case), convolution.grad_weight(grad, x, kernel, geometry), case.terms)


def test_a_hand_computed_convolution() -> None:
    x = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    kernel = np.array([[1.0, 0.0], [0.0, -1.0]]).reshape(2, 2, 1, 1)
    case = Case(x, kernel, np.array([10.0]), np.zeros((1, 2, 2, 1)), Geometry((1, 1), (0, 0), (1, 1), 1))
    np.testing.assert_array_equal(forward(case).ravel(), [6, 6, 6, 6])
    np.testing.assert_array_equal(grad_weight(case._replace(grad=np.ones((1, 2, 2, 1)))).ravel(), [12, 16, 24, 28])


def test_the_gradients_are_the_adjoints_of_the_forward_pass() -> None:
    for seed in range(100):
        case = random_case(seed, "float64")._replace(bias=None)
        product = np.vdot(forward(case), case.grad)
        scale = 1e-13 * (1 + np.linalg.norm(forward(case)) * np.linalg.norm(case.grad))
        assert abs(np.vdot(case.x, grad_input(case)) - product) < scale
        assert abs(np.vdot(case.kernel, grad_weight(case)) - product) < scale


def test_pixels_that_no_tap_reaches_get_zero_gradient() -> None:
    rng = np.random.default_rng(0)
    x, kernel, grad = (normal(rng, "float32", *shape) for shape in ((1, 8, 8, 2), (1, 1, 2, 3), (1, 3, 3, 3)))
    gradient = grad_input(Case(x, kernel, None, grad, Geometry((3, 3), (0, 0), (1, 1), 1)))
    reached = np.zeros((8, 8), bool)
    reached[::3, ::3] = True
    assert (gradient[0, reached] != 0).all()
    assert (gradient[0, ~reached] == 0).all()


def large_case(batch: int) -> Case:
    """Large enough for several chunks in each operation, even for one image."""
    rng = np.random.default_rng(1)
    x, kernel, bias = normal(rng, "float32", 11, 21, 20, 9), normal(rng, "float32", 3, 3, 9, 37), None
    grad = normal(rng, "float32", 11, 21, 20, 37)
    return Case(x[:batch], kernel, bias, grad[:batch], Geometry((1, 1), (1, 1), (1, 1), 1))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("batch", [1, 11])
def test_one_and_two_threads_give_the_same_bits(operation, batch: int) -> None:
    case = large_case(batch)
    np.testing.assert_array_equal(operation(case, 1), operation(case, 2))


@pytest.mark.parametrize("operation", [forward, grad_input])
def test_an_image_alone_gives_the_same_bits_as_in_a_batch(operation) -> None:
    np.testing.assert_array_equal(operation(large_case(1)), operation(large_case(11))[:1])


@pytest.mark.parametrize("portion", [1, 2, 3])
def test_the_weight_gradient_does_not_depend_on_how_many_images_are_taken_at_a_time(portion: int) -> None:
    for seed in range(30):
        case = random_case(seed, "float32")
        np.testing.assert_array_equal(grad_weight(case, portion=portion), grad_weight(case))


def test_one_large_image_is_divided_among_threads() -> None:
    case, scratch = large_case(1), Scratch()
    steps = conv2d.forward(tensor(case.x), tensor(case.kernel), PLAIN, tensor(case.grad), case.geometry, scratch)
    steps += conv2d_gradient.grad_input(tensor(case.grad), tensor(case.kernel), tensor(case.x), case.geometry, scratch)
    steps += conv2d_gradient.grad_weight(tensor(case.x), tensor(case.grad), tensor(case.kernel), case.geometry, scratch)
    assert all(step.chunks > 1 for step in steps)


def test_scratch_does_not_fall_when_the_batch_grows() -> None:
    pointwise = Geometry((1, 1), (0, 0))
    for channels, filters, kernel, geometry in (
        (9, 37, (3, 3), Geometry((1, 1), (1, 1))),
        (32, 32, (1, 1), pointwise),
        (9, 37, (1, 1), pointwise),
        (32, 64, (1, 1), pointwise._replace(groups=2)),
    ):
        used = []
        for batch in range(1, 40):
            x, grad = (np.zeros((batch, 7, 5, depth), np.float32) for depth in (channels, filters))
            weights, scratch = np.zeros((*kernel, channels // geometry.groups, filters), np.float32), Scratch()
            conv2d_gradient.grad_weight(tensor(x), tensor(grad), tensor(weights), geometry, scratch)
            used.append(scratch.used)
        assert used == sorted(used)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_comparison_notices_one_wrong_element(operation) -> None:
    case = random_case(0, "float32")
    actual = operation(case)
    wrong = actual.astype(np.float64)
    wrong.flat[-1] += 0.01
    assert_close(actual, actual.astype(np.float64), case.terms)
    with pytest.raises(AssertionError):
        assert_close(actual, wrong, case.terms)


@pytest.mark.parametrize("place", [MARGIN - 1, -MARGIN])
def test_the_comparison_notices_what_is_written_beside_the_array(place: int) -> None:
    out = forward(random_case(0, "float32"))
    expected = out.astype(np.float64)
    assert_close(out, expected)
    out.base[place] = 0
    with pytest.raises(AssertionError):
        assert_close(out, expected)


def test_the_comparison_notices_a_shifted_padding() -> None:
    x, kernel, bias, grad, geometry = large_case(1)
    shifted = geometry._replace(padding=(1, 0))
    with pytest.raises(AssertionError):
        assert_close(
            forward(Case(x, kernel, bias, grad, shifted)),
            convolution.forward(x, kernel, bias, grad.shape[1:3], geometry),
            kernel.size,
        )
