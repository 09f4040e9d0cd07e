"""Convolutions of bfloat16 agree with those of the same numbers in float64, and do not depend on threads."""

import numpy as np
import pytest

from cnncli.kernels.conv import conv2d, conv2d_gradient
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.gemm.epilogue import PLAIN, Epilogue
from cnncli.kernels.jit.runtime import tensor
from tests.kernels import bfloat16, support
from tests.kernels.convolutions import Case, extent
from tests.kernels.support import execute
from tests.reference import activations as twins
from tests.reference import convolution


def forward(case, threads=2, epilogue=None, out=None):
    out = bfloat16.unwritten(*case.grad.shape) if out is None else out
    target = tensor(out) if out.dtype == np.float32 else bfloat16.tensor(out)
    epilogue = epilogue or Epilogue(None if case.bias is None else tensor(case.bias))
    arrays = bfloat16.tensor(case.x), tensor(case.kernel), epilogue, target
    execute(lambda scratch: conv2d.forward(*arrays, case.geometry, scratch), threads)
    return out


def grad_input(case, threads=2, epilogue=PLAIN):
    out = bfloat16.unwritten(*case.x.shape)
    arrays = bfloat16.tensor(case.grad), tensor(case.kernel), bfloat16.tensor(out)
    execute(lambda scratch: conv2d_gradient.grad_input(*arrays, case.geometry, scratch, epilogue), threads)
    return out


def grad_weight(case, threads=2):
    out = support.unwritten("float32", *case.kernel.shape)
    arrays = bfloat16.tensor(case.x), bfloat16.tensor(case.grad), tensor(out)
    execute(lambda scratch: conv2d_gradient.grad_weight(*arrays, case.geometry, scratch), threads)
    return out


OPERATIONS = (forward, grad_input, grad_weight)


def case_of(rng, batch, image, kernel, out, depth, geometry):
    inner, width, groups = *depth, geometry.groups
    return Case(
        bfloat16.normal(rng, batch, *image, inner * groups),
        support.normal(rng, "float32", *kernel, inner, width * groups),
        support.normal(rng, "float32", width * groups) if rng.integers(2) else None,
        bfloat16.normal(rng, batch, *out, width * groups),
        geometry,
    )


def random_case(seed):
    """A convolution with small random sizes and even channels."""
    rng = np.random.default_rng(seed)
    same = bool(rng.integers(2))
    height, width = extent(rng, same), extent(rng, same)
    batch, depth = (
        int(rng.choice([1, 2, 3, 9])),
        (int(rng.choice([2, 4, 6, 16])), int(rng.choice([2, 4, 16, 22, 54, 86]))),
    )
    geometry = Geometry(*((height[k], width[k]) for k in (2, 3, 4)), int(rng.choice([1, 1, 1, 2, 3])))
    image, kernel, out = ((height[k], width[k]) for k in (0, 1, 5))
    return case_of(rng, batch, image, kernel, out, depth, geometry)


def large_case(batch):
    """Large enough for several chunks in each operation, even for one image."""
    rng = np.random.default_rng(1)
    return case_of(rng, batch, (21, 20), (3, 3), (21, 20), (10, 38), Geometry((1, 1), (1, 1)))


def exact(case):
    """The numbers of a case in float64, its kernel rounded to bfloat16."""
    x, kernel, grad = (bfloat16.widened(y) for y in (case.x, bfloat16.rounded(case.kernel), case.grad))
    return Case(x, kernel, case.bias, grad, case.geometry)


def test_all_three_agree_with_the_definition():
    for seed in range(support.SHAPES // 3):
        case = random_case(seed)
        x, kernel, bias, grad, geometry = exact(case)
        expected = convolution.forward(x, kernel, bias, grad.shape[1:3], geometry)
        bfloat16.assert_close(forward(case), expected, case.terms)
        support.assert_close(forward(case, out=support.unwritten("float32", *grad.shape)), expected, case.terms)
        bfloat16.assert_close(grad_input(case), convolution.grad_input(grad, x, kernel, geometry), case.terms)
        support.assert_close(grad_weight(case), convolution.grad_weight(grad, x, kernel, geometry), case.terms)


def test_an_activation_and_its_slopes_are_of_the_sums_in_float32():
    for case in [*map(random_case, range(20)), large_case(3)]:
        sums = forward(case, out=support.unwritten("float32", *case.grad.shape)).astype(np.float64)
        slopes = bfloat16.unwritten(*case.grad.shape)
        bias = None if case.bias is None else tensor(case.bias)
        y = forward(case, epilogue=Epilogue(bias, "silu", bfloat16.tensor(slopes)))
        bfloat16.assert_close(y, twins.silu(sums), 4)
        bfloat16.assert_close(slopes, twins.derivative("silu", sums), 4)


def test_the_input_gradient_takes_an_epilogue_as_a_transposed_convolution_does():
    for seed in range(60):
        case = random_case(seed)
        taps = case.kernel.shape[:2]
        if case.geometry.dilation != (1, 1) or any(
            s > size for s, size in zip(case.geometry.strides, taps, strict=True)
        ):
            continue
        bias = np.linspace(-1, 1, case.x.shape[3], dtype=np.float32)
        x, kernel, _, grad, geometry = exact(case)
        expected = convolution.grad_input(grad, x, kernel, geometry) + bias
        actual = grad_input(case, epilogue=Epilogue(tensor(bias), "relu"))
        bfloat16.assert_close(actual, np.maximum(0, expected), case.terms)


def test_a_bias_for_pixels_that_no_tap_reaches_is_refused():
    case = case_of(np.random.default_rng(0), 1, (8, 8), (1, 1), (3, 3), (2, 4), Geometry((3, 3), (0, 0)))
    with pytest.raises(ValueError, match="no tap reaches"):
        grad_input(case, epilogue=Epilogue(tensor(np.zeros(2, np.float32))))


@pytest.mark.parametrize(
    "shape",
    [(1, 5, 5, 160, 202), (3, 12, 12, 64, 100), (2, 6, 10, 256, 136), (16, 5, 5, 160, 202), (3, 1, 2, 8, 6)],
    ids=str,
)
def test_a_single_tap_is_a_product_of_all_pixels(shape):
    batch, height, width, *depth = shape
    image = height, width
    case = case_of(np.random.default_rng(2), batch, image, (1, 1), image, tuple(depth), Geometry((1, 1), (0, 0)))
    x, kernel, bias, grad, geometry = exact(case)
    expected = convolution.forward(x, kernel, bias, image, geometry)
    bfloat16.assert_close(forward(case), expected, case.terms)
    bfloat16.assert_close(grad_input(case), convolution.grad_input(grad, x, kernel, geometry), case.terms)
    for threads in (1, 3):
        np.testing.assert_array_equal(forward(case, threads), forward(case))
    slopes = bfloat16.unwritten(*grad.shape)
    y = forward(case, epilogue=Epilogue(None if bias is None else tensor(case.bias), "silu", bfloat16.tensor(slopes)))
    bfloat16.assert_close(y, twins.silu(expected), case.terms)
    bfloat16.assert_close(slopes, twins.derivative("silu", expected), case.terms)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("batch", [1, 11])
def test_the_number_of_threads_does_not_change_bits(operation, batch):
    case = large_case(batch)
    one = operation(case, 1)
    for threads in (2, 3):
        np.testing.assert_array_equal(one, operation(case, threads))


def test_pixels_that_no_tap_reaches_get_zero_gradient():
    case = case_of(np.random.default_rng(0), 1, (8, 8), (1, 1), (3, 3), (2, 4), Geometry((3, 3), (0, 0)))
    gradient = grad_input(case)
    reached = np.zeros((8, 8), bool)
    reached[::3, ::3] = True
    assert (gradient[0, reached] != 0).all()
    assert (gradient[0, ~reached] == 0).all()
