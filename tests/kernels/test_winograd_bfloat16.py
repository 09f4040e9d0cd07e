"""Winograd's convolution of bfloat16: exact where all numbers are small integers, and close to the definition.

Images and gradients of integers up to 3, and kernels of multiples of 4, have transforms of integers below 2⁸, which
bfloat16 holds.
"""

import numpy as np
import pytest

from cnncli.kernels.conv import winograd, winograd_gradient
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.gemm.epilogue import Epilogue
from cnncli.kernels.jit.runtime import tensor
from tests.kernels import bfloat16, support
from tests.kernels.convolutions import Case
from tests.kernels.support import execute
from tests.kernels.test_winograd import random_case
from tests.reference import activations as twins
from tests.reference import convolution

ERROR = 2.0**-7
"""The largest relative error of a result as a whole: three roundings of 8 significant bits."""


def forward(case, threads=2, epilogue=None, out=None):
    out = bfloat16.unwritten(*case.grad.shape) if out is None else out
    target = tensor(out) if out.dtype == np.float32 else bfloat16.tensor(out)
    epilogue = epilogue or Epilogue(None if case.bias is None else tensor(case.bias))
    arrays = bfloat16.tensor(case.x), tensor(case.kernel), epilogue, target
    execute(lambda scratch: winograd.forward(*arrays, case.geometry, scratch), threads)
    return out


def grad_input(case, threads=2):
    out = bfloat16.unwritten(*case.x.shape)
    arrays = bfloat16.tensor(case.grad), tensor(case.kernel), bfloat16.tensor(out)
    execute(lambda scratch: winograd.grad_input(*arrays, case.geometry, scratch), threads)
    return out


def grad_weight(case, threads=2):
    out = support.unwritten("float32", *case.kernel.shape)
    arrays = bfloat16.tensor(case.x), bfloat16.tensor(case.grad), tensor(out)
    execute(lambda scratch: winograd_gradient.grad_weight(*arrays, case.geometry, scratch), threads)
    return out


OPERATIONS = (forward, grad_input, grad_weight)


def even_case(seed):
    """A 3×3 convolution of even channels and filters, its numbers in float32."""
    case = random_case(seed, "float32")
    x, kernel, grad = (np.repeat(y, 2, axis=-1) for y in (case.x, np.repeat(case.kernel, 2, axis=2), case.grad))
    rng = np.random.default_rng(seed)
    bias = None if case.bias is None else support.normal(rng, "float32", kernel.shape[3])
    return Case(*(rng.standard_normal(y.shape).astype(np.float32) for y in (x, kernel)), bias, grad, case.geometry)


def test_small_integers_give_exact_results():
    rng = np.random.default_rng(0)
    for seed in range(30):
        case = even_case(seed)
        x, grad = (rng.integers(-3, 4, y.shape).astype(np.float32) for y in (case.x, case.grad))
        kernel = 4 * rng.integers(-2, 3, case.kernel.shape).astype(np.float32)
        bias = None if case.bias is None else np.rint(case.bias)
        exact = Case(x, kernel, bias, grad, case.geometry)
        held = exact._replace(x=bfloat16.stored(x), grad=bfloat16.stored(grad))
        expected = convolution.forward(x, kernel, bias, grad.shape[1:3], case.geometry)
        np.testing.assert_array_equal(forward(held), bfloat16.rounded(expected))
        np.testing.assert_array_equal(forward(held, out=support.unwritten("float32", *grad.shape)), expected)
        expected = convolution.grad_input(grad, x, kernel, case.geometry)
        np.testing.assert_array_equal(grad_input(held), bfloat16.rounded(expected))
        np.testing.assert_array_equal(grad_weight(held), convolution.grad_weight(grad, x, kernel, case.geometry))


def test_all_three_are_near_the_definition():
    def assert_near(actual, expected):
        assert np.linalg.norm(actual - expected) <= ERROR * np.linalg.norm(expected)

    for seed in range(30):
        case = even_case(seed)
        held = case._replace(x=bfloat16.stored(case.x), grad=bfloat16.stored(case.grad))
        x, grad, kernel = bfloat16.widened(held.x), bfloat16.widened(held.grad), case.kernel
        expected = convolution.forward(x, kernel, case.bias, grad.shape[1:3], case.geometry)
        assert_near(bfloat16.widened(forward(held)), expected)
        assert_near(bfloat16.widened(grad_input(held)), convolution.grad_input(grad, x, kernel, case.geometry))
        assert_near(grad_weight(held), convolution.grad_weight(grad, x, kernel, case.geometry))


def test_an_activation_and_its_slopes_are_of_the_sums_in_float32():
    for seed in range(20):
        case = even_case(seed)
        held = case._replace(x=bfloat16.stored(case.x), grad=bfloat16.stored(case.grad))
        sums = forward(held, out=support.unwritten("float32", *case.grad.shape)).astype(np.float64)
        slopes = bfloat16.unwritten(*case.grad.shape)
        bias = None if case.bias is None else tensor(case.bias)
        bfloat16.assert_close(
            forward(held, epilogue=Epilogue(bias, "silu", bfloat16.tensor(slopes))), twins.silu(sums), 9
        )
        bfloat16.assert_close(slopes, twins.derivative("silu", sums), 9)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_number_of_threads_does_not_change_bits(operation):
    rng = np.random.default_rng(1)
    case = Case(
        bfloat16.normal(rng, 11, 37, 26, 34),
        support.normal(rng, "float32", 3, 3, 34, 40),
        None,
        bfloat16.normal(rng, 11, 37, 26, 40),
        Geometry((1, 1), (1, 1)),
    )
    one = operation(case, 1)
    for threads in (2, 3):
        np.testing.assert_array_equal(one, operation(case, threads))


def test_an_image_alone_gives_the_same_bits_as_in_a_batch():
    rng = np.random.default_rng(2)
    bias = support.normal(rng, "float32", 200)
    case = Case(
        bfloat16.normal(rng, 5, 9, 10, 136),
        support.normal(rng, "float32", 3, 3, 136, 200),
        bias,
        bfloat16.normal(rng, 5, 9, 10, 200),
        Geometry((1, 1), (1, 1)),
    )
    for batch in (1, 2, 3):  # whose filters are divided among threads
        few = case._replace(x=case.x[:batch], grad=case.grad[:batch])
        np.testing.assert_array_equal(grad_input(few), grad_input(case)[:batch])
        found = []
        for part in (few, case):
            slopes = bfloat16.unwritten(*part.grad.shape)
            found += [forward(part, epilogue=Epilogue(tensor(bias), "silu", bfloat16.tensor(slopes))), slopes]
        for alone, together in zip(found[:2], found[2:], strict=True):
            np.testing.assert_array_equal(alone, together[:batch])


def test_pooled_it_gives_the_maximum_of_what_it_gives_and_names_a_cell_that_won():
    for seed in range(30):
        case = even_case(seed)
        held = case._replace(x=bfloat16.stored(case.x))
        batch, rows, columns, filters = case.grad.shape
        if min(rows, columns) < 2:
            continue
        out = bfloat16.unwritten(batch, rows // 2, columns // 2, filters)
        winner = np.full(out.shape, 99, np.uint8)
        bias = None if case.bias is None else tensor(case.bias)
        arrays = bfloat16.tensor(held.x), tensor(case.kernel), bias, bfloat16.tensor(out), tensor(winner)
        execute(lambda scratch, a=arrays, g=case.geometry: winograd.forward_pooled(*a, g, scratch))
        whole = bfloat16.widened(forward(held))[:, : rows // 2 * 2, : columns // 2 * 2]
        cells = whole.reshape(batch, rows // 2, 2, columns // 2, 2, filters).transpose(0, 1, 3, 2, 4, 5)
        cells = cells.reshape(*out.shape[:3], 4, filters)
        np.testing.assert_array_equal(bfloat16.widened(out), np.maximum(0, cells.max(axis=3)))
        alive = bfloat16.widened(out) > 0
        won = np.take_along_axis(cells, np.where(alive, winner, 0)[..., None, :], axis=3)[..., 0, :]
        np.testing.assert_array_equal(won[alive], bfloat16.widened(out)[alive])
        assert (winner[~alive] == 4).all()
