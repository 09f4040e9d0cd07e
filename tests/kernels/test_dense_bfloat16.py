"""Dense products of bfloat16 agree with those of the same numbers in float64, and do not depend on threads."""

import numpy as np
import pytest

from cnncli.kernels.gemm import dense
from cnncli.kernels.gemm.epilogue import Epilogue
from cnncli.kernels.jit.runtime import tensor
from tests.kernels import bfloat16, support
from tests.kernels.support import execute
from tests.reference import activations as twins
from tests.reference import dense as twin


def forward(x, kernel, epilogue, out, threads=2):
    target = tensor(out) if out.dtype == np.float32 else bfloat16.tensor(out)
    execute(lambda scratch: dense.forward(bfloat16.tensor(x), tensor(kernel), epilogue, target, scratch), threads)
    return out


def grad_input(grad, kernel, threads=2):
    out = bfloat16.unwritten(*grad.shape[:-1], kernel.shape[0])
    arrays = bfloat16.tensor(grad), tensor(kernel), bfloat16.tensor(out)
    execute(lambda scratch: dense.grad_input(*arrays, scratch), threads)
    return out


def grad_weight(x, grad, threads=2):
    out = support.unwritten("float32", x.shape[-1], grad.shape[-1])
    arrays = bfloat16.tensor(x), bfloat16.tensor(grad), tensor(out)
    execute(lambda scratch: dense.grad_weight(*arrays, scratch), threads)
    return out


def case(rng, leading, inputs, units):
    kernel = support.normal(rng, "float32", inputs, units)
    x, grad = (bfloat16.normal(rng, *leading, size) for size in (inputs, units))
    return x, kernel, support.normal(rng, "float32", units), grad


def test_all_three_agree_with_the_matrix_product():
    for seed in range(support.SHAPES // 3):
        rng = np.random.default_rng(seed)
        leading = tuple(int(size) for size in rng.choice([1, 2, 3, 5, 19], size=rng.integers(1, 4)))
        inputs, units = (int(size) for size in rng.choice([2, 4, 6, 16, 34, 118], size=2))
        x, kernel, bias, grad = case(rng, leading, inputs, units)
        weights, inner, outer = (bfloat16.widened(y) for y in (bfloat16.rounded(kernel), x, grad))
        expected = twin.forward(inner, weights, bias)
        bfloat16.assert_close(
            forward(x, kernel, Epilogue(tensor(bias)), bfloat16.unwritten(*grad.shape)), expected, inputs
        )
        exact = forward(x, kernel, Epilogue(tensor(bias)), support.unwritten("float32", *grad.shape))
        support.assert_close(exact, expected, inputs)
        bfloat16.assert_close(grad_input(grad, kernel), twin.grad_input(outer, weights), units)
        support.assert_close(grad_weight(x, grad), twin.grad_weight(inner, outer), x.size // inputs)


@pytest.mark.parametrize("out", [np.float32, np.uint16])
def test_activations_and_their_slopes_are_of_the_sums_in_float32(out):
    x, kernel, bias, grad = case(np.random.default_rng(0), (70,), 150, 90)
    unwritten = bfloat16.unwritten if out == np.uint16 else lambda *shape: support.unwritten("float32", *shape)
    as_tensor = bfloat16.tensor if out == np.uint16 else tensor
    sums = forward(x, kernel, Epilogue(tensor(bias)), support.unwritten("float32", *grad.shape)).astype(np.float64)
    y, slopes = unwritten(*grad.shape), unwritten(*grad.shape)
    forward(x, kernel, Epilogue(tensor(bias), "silu", as_tensor(slopes)), y)
    assert_close = bfloat16.assert_close if out == np.uint16 else support.assert_close
    assert_close(y, twins.silu(sums), 4)
    assert_close(slopes, twins.derivative("silu", sums), 4)


@pytest.mark.parametrize(("rows", "inputs", "units"), [(1, 700, 300), (70, 150, 90), (2001, 4, 20)])
def test_the_number_of_threads_does_not_change_bits(rows, inputs, units):
    x, kernel, bias, grad = case(np.random.default_rng(0), (rows,), inputs, units)
    for threads in (2, 3):
        one, more = (
            forward(x, kernel, Epilogue(tensor(bias)), bfloat16.unwritten(*grad.shape), n) for n in (1, threads)
        )
        np.testing.assert_array_equal(one, more)
        np.testing.assert_array_equal(grad_input(grad, kernel, 1), grad_input(grad, kernel, threads))
        np.testing.assert_array_equal(grad_weight(x, grad, 1), grad_weight(x, grad, threads))


def test_an_odd_number_of_inputs_is_refused():
    x, kernel, bias, grad = case(np.random.default_rng(0), (3,), 5, 4)
    with pytest.raises(ValueError, match="pairs of terms; received 5"):
        forward(x, kernel, Epilogue(tensor(bias)), bfloat16.unwritten(*grad.shape))
