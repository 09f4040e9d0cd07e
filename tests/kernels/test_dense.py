"""Dense products agree with NumPy's, are adjoint, and do not depend on threads or batch."""

import numpy as np
import pytest

from cnncli.kernels.elementwise import activations
from cnncli.kernels.gemm import dense
from cnncli.kernels.gemm.epilogue import PLAIN, Epilogue
from cnncli.kernels.jit.runtime import Scratch, tensor
from tests.kernels.support import DTYPES, SHAPES, assert_close, execute, normal, unwritten
from tests.reference import activations as twins
from tests.reference import dense as twin


def forward(
    x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, threads: int = 2, activation: str = "linear"
) -> np.ndarray:
    out = unwritten(x.dtype.name, *x.shape[:-1], kernel.shape[1])
    epilogue = Epilogue(None if bias is None else tensor(bias), activation)
    execute(lambda scratch: dense.forward(tensor(x), tensor(kernel), epilogue, tensor(out), scratch), threads)
    return out


def grad_input(grad: np.ndarray, kernel: np.ndarray, threads: int = 2) -> np.ndarray:
    out = unwritten(grad.dtype.name, *grad.shape[:-1], kernel.shape[0])
    execute(lambda scratch: dense.grad_input(tensor(grad), tensor(kernel), tensor(out), scratch), threads)
    return out


def grad_weight(x: np.ndarray, grad: np.ndarray, threads: int = 2) -> np.ndarray:
    out = unwritten(x.dtype.name, x.shape[-1], grad.shape[-1])
    execute(lambda scratch: dense.grad_weight(tensor(x), tensor(grad), tensor(out), scratch), threads)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_three_agree_with_the_matrix_product(dtype: str) -> None:
    for seed in range(SHAPES):
        rng = np.random.default_rng(seed)
        leading = tuple(int(size) for size in rng.choice([1, 2, 3, 5, 19], size=rng.integers(1, 4)))
        inputs, units = (int(size) for size in rng.choice([1, 2, 3, 7, 16, 33, 117], size=2))
        x, kernel = normal(rng, dtype, *leading, inputs), normal(rng, dtype, inputs, units)
        bias, grad = normal(rng, dtype, units) if seed % 2 else None, normal(rng, dtype, *leading, units)
        assert_close(forward(x, kernel, bias), twin.forward(x, kernel, bias), inputs)
        assert_close(grad_input(grad, kernel), twin.grad_input(grad, kernel), units)
        assert_close(grad_weight(x, grad), twin.grad_weight(x, grad), x.size // inputs)


@pytest.mark.parametrize("kind", list(activations.KINDS))
@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 7, 33), (70, 150, 90), (2, 40, 900), (600, 64, 130)])
def test_an_activation_goes_over_every_element_once(kind: str, sizes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    x, kernel, bias = (normal(rng, "float64", *shape) for shape in (sizes[:2], sizes[1:], sizes[2:]))
    expected = getattr(twins, kind)(forward(x, kernel, bias))
    np.testing.assert_allclose(forward(x, kernel, bias, activation=kind), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [(3, 7, 33), (70, 150, 90)])
def test_slopes_of_an_activation_go_beside_every_element(sizes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    x, kernel, bias = (normal(rng, "float64", *shape) for shape in (sizes[:2], sizes[1:], sizes[2:]))
    out, slopes = (unwritten("float64", sizes[0], sizes[2]) for _ in range(2))
    epilogue = Epilogue(tensor(bias), "silu", tensor(slopes))
    execute(lambda scratch: dense.forward(tensor(x), tensor(kernel), epilogue, tensor(out), scratch))
    assert out.tobytes() == forward(x, kernel, bias, activation="silu").tobytes()
    np.testing.assert_allclose(slopes, twins.derivative("silu", forward(x, kernel, bias)), rtol=1e-12, atol=1e-12)


def test_a_hand_computed_product() -> None:
    x, kernel, bias = np.array([[1.0, 2.0]]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([10.0, 20.0, 30.0])
    np.testing.assert_array_equal(forward(x, kernel, bias), [[19, 32, 45]])
    np.testing.assert_array_equal(grad_input(np.ones((1, 3)), kernel), [[6, 15]])
    np.testing.assert_array_equal(grad_weight(x, np.array([[1.0, 0.0, -1.0]])), [[1, 0, -1], [2, 0, -2]])


def test_the_gradients_are_the_adjoints_of_the_forward_pass() -> None:
    rng = np.random.default_rng(0)
    for inputs, units in ((1, 1), (5, 3), (64, 33)):
        x, kernel, grad = (normal(rng, "float64", *shape) for shape in ((9, inputs), (inputs, units), (9, units)))
        product = np.vdot(forward(x, kernel, None), grad)
        assert np.vdot(x, grad_input(grad, kernel)) == pytest.approx(product, rel=1e-11)
        assert np.vdot(kernel, grad_weight(x, grad)) == pytest.approx(product, rel=1e-11)


@pytest.mark.parametrize(("rows", "inputs", "units"), [(1, 700, 300), (70, 150, 90), (20000, 3, 20)])
def test_one_and_two_threads_give_the_same_bits(rows: int, inputs: int, units: int) -> None:
    rng = np.random.default_rng(0)
    x, kernel, bias, grad = (
        normal(rng, "float32", *shape) for shape in ((rows, inputs), (inputs, units), (units,), (rows, units))
    )
    np.testing.assert_array_equal(forward(x, kernel, bias, 1), forward(x, kernel, bias, 2))
    np.testing.assert_array_equal(grad_input(grad, kernel, 1), grad_input(grad, kernel, 2))
    np.testing.assert_array_equal(grad_weight(x, grad, 1), grad_weight(x, grad, 2))
    np.testing.assert_array_equal(forward(x[:1], kernel, bias), forward(x, kernel, bias)[:1])


def test_one_row_is_divided_among_threads() -> None:
    rng = np.random.default_rng(0)
    x, kernel, grad = (tensor(normal(rng, "float32", *shape)) for shape in ((1, 700), (700, 300), (1, 300)))
    scratch = Scratch()
    steps = dense.forward(x, kernel, PLAIN, grad, scratch) + dense.grad_input(grad, kernel, x, scratch)
    assert all(step.chunks > 1 for step in steps + dense.grad_weight(x, grad, kernel, scratch))


def test_a_kernel_is_packed_where_what_is_made_of_weights_lasts() -> None:
    rng = np.random.default_rng(0)
    x, kernel = normal(rng, "float32", 3, 50), normal(rng, "float32", 50, 192)
    found, packings = [], []
    for lasting in (False, True):
        out = unwritten("float32", 3, 192)
        arrays = tensor(x), tensor(kernel), PLAIN, tensor(out)
        execute(lambda scratch, arrays=arrays: dense.forward(*arrays, scratch), lasting=lasting)
        found.append(out)
        packings.append([step.work.of_weights for step in dense.forward(*arrays, Scratch(lasting=lasting))])
    np.testing.assert_array_equal(*found)
    assert packings == [[False], [True, False]]


@pytest.mark.parametrize("inputs", [1, 3, 9])
def test_scratch_does_not_fall_when_the_batch_grows(inputs: int) -> None:
    used = []
    for batch in range(1, 12):
        scratch = Scratch()
        x, grad, out = (tensor(np.zeros(shape)) for shape in ((batch, inputs), (batch, 40), (inputs, 40)))
        dense.grad_weight(x, grad, out, scratch)
        used.append(scratch.used)
    assert used == sorted(used)


def test_the_comparison_notices_one_forgotten_input() -> None:
    rng = np.random.default_rng(0)
    x, kernel = normal(rng, "float32", 3, 50), normal(rng, "float32", 50, 7)
    with pytest.raises(AssertionError):
        assert_close(forward(x, kernel, None), twin.forward(x[:, :-1], kernel[:-1], None), 50)
