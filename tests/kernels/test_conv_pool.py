"""Fused convolution, ReLU and pooling agree with the three twins one after the other, to the last tie."""

from typing import NamedTuple

import numpy as np
import pytest

from cnncli.kernels.conv import conv2d, conv_pool, conv_pool_gradient
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.gemm.epilogue import PLAIN
from cnncli.kernels.jit.runtime import Scratch, tensor
from tests.kernels import bfloat16
from tests.kernels.support import DTYPES, SHAPES, assert_close, execute, normal, unwritten
from tests.reference import conv_pool as twin


class Case(NamedTuple):
    """Arrays of one random block; `grad` has the pooled shape."""

    x: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray | None
    grad: np.ndarray
    geometry: Geometry

    @property
    def terms(self) -> int:
        """The longest sum in any of the operations."""
        return max(self.kernel.size, 4 * self.grad.size)


def extent(rng: np.random.Generator, same: bool) -> tuple[int, ...]:
    """One axis: (image, kernel, stride, padding before, pooled), as Keras' `same` or `valid` has it."""
    kernel, stride = int(rng.choice([1, 2, 3, 3, 5])), int(rng.choice([1, 1, 2, 3]))
    image = int(rng.integers(stride + 1 if same else stride + kernel, stride + kernel + 9))
    if same:
        out = -(-image // stride)
        return image, kernel, stride, max(0, (out - 1) * stride + kernel - image) // 2, out // 2
    return image, kernel, stride, 0, ((image - kernel) // stride + 1) // 2


def random_case(seed: int, dtype: str) -> Case:
    rng = np.random.default_rng(seed)
    same = bool(rng.integers(2))
    height, width = extent(rng, same), extent(rng, same)
    batch, channels = int(rng.choice([1, 2, 3, 9])), int(rng.choice([1, 2, 3, 5, 8, 16, 33, 40]))
    filters = int(rng.choice([1, 3, 4, 16, 21, 32, 53, 70]))
    return Case(
        normal(rng, dtype, batch, height[0], width[0], channels),
        normal(rng, dtype, height[1], width[1], channels, filters),
        normal(rng, dtype, filters) if rng.integers(2) else None,
        normal(rng, dtype, batch, height[4], width[4], filters),
        Geometry(*((height[k], width[k]) for k in (2, 3))),
    )


def forward(case: Case, threads: int = 2) -> tuple[np.ndarray, np.ndarray]:
    out, winner = unwritten(case.x.dtype.name, *case.grad.shape), np.full(case.grad.shape, 77, np.uint8)
    bias = None if case.bias is None else tensor(case.bias)
    arrays = tensor(case.x), tensor(case.kernel), bias, tensor(out), tensor(winner)
    execute(lambda scratch: conv_pool.forward(*arrays, case.geometry, scratch), threads)
    return out, winner


def grad_weight(case: Case, winner: np.ndarray, threads: int = 2) -> tuple[np.ndarray, np.ndarray]:
    out = unwritten(case.x.dtype.name, *case.kernel.shape)
    bias = unwritten(case.x.dtype.name, case.kernel.shape[3])
    arrays = tensor(case.x), tensor(case.grad), tensor(winner), tensor(out), tensor(bias)
    execute(lambda scratch: conv_pool_gradient.grad_weight(*arrays, case.geometry, scratch), threads)
    return out, bias


def grad_input(case: Case, winner: np.ndarray, threads: int = 2) -> np.ndarray:
    out = unwritten(case.x.dtype.name, *case.x.shape)
    arrays = tensor(case.grad), tensor(winner), tensor(case.kernel), tensor(out)
    execute(lambda scratch: conv_pool_gradient.grad_input(*arrays, case.geometry, scratch), threads)
    return out


def assert_agrees(case: Case) -> None:
    """Values within rounding; each winner among the largest within it. Gradients by the kernel's own winners."""
    x, kernel, bias, grad, geometry = case
    out, winner = forward(case)
    expected, _ = twin.forward(x, kernel, bias, grad.shape[1:3], geometry)
    assert_close(out, expected, kernel.size)
    assert ((winner == 4) == (out == 0)).all()
    pixels = twin.convolved(x, kernel, bias, grad.shape[1:3], geometry)
    won = np.stack([pixels[:, cell // 2 :: 2, cell % 2 :: 2] for cell in range(4)] + [np.zeros(out.shape)])
    np.testing.assert_allclose(
        np.take_along_axis(won, winner[None].astype(int), 0)[0],
        expected,
        rtol=0,
        atol=8 * np.finfo(out.dtype).eps * kernel.size,
    )
    weight, sums = grad_weight(case, winner)
    expected, sums_expected = twin.grad_weight(grad, winner, x, kernel, geometry)
    assert_close(weight, expected, case.terms)
    assert_close(sums, sums_expected, case.terms)
    assert_close(grad_input(case, winner), twin.grad_input(grad, winner, x, kernel, geometry), case.terms)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_of_it_agrees_with_the_definition(dtype: str) -> None:
    for seed in range(SHAPES):
        assert_agrees(random_case(seed, dtype))


def gradients_of_bfloat16(case: Case, winner: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those in kernel, bias and image, of arrays stored as bfloat16."""
    out, bias = unwritten("float32", *case.kernel.shape), unwritten("float32", case.kernel.shape[3])
    image = bfloat16.unwritten(*case.x.shape)
    grad, won = bfloat16.tensor(case.grad), tensor(winner)
    weights = bfloat16.tensor(case.x), grad, won, tensor(out), tensor(bias)
    execute(lambda scratch: conv_pool_gradient.grad_weight(*weights, case.geometry, scratch), 2)
    arrays = grad, won, tensor(case.kernel), bfloat16.tensor(image)
    execute(lambda scratch: conv_pool_gradient.grad_input(*arrays, case.geometry, scratch), 2)
    bfloat16.assert_untouched(image)
    return out, bias, image


def test_gradients_of_bfloat16_are_those_of_the_same_numbers_in_float32() -> None:
    """To the bit: numbers are widened where they are read, and what is written is rounded once."""
    for seed in range(SHAPES):
        case = random_case(seed, "float32")
        _, winner = forward(case)
        held = case._replace(x=bfloat16.stored(case.x), grad=bfloat16.stored(case.grad))
        exact = case._replace(x=bfloat16.widened(held.x).astype("f4"), grad=bfloat16.widened(held.grad).astype("f4"))
        *weights, image = gradients_of_bfloat16(held, winner)
        for actual, expected in zip(weights, grad_weight(exact, winner), strict=True):
            np.testing.assert_array_equal(actual, expected)
        np.testing.assert_array_equal(image, bfloat16.rounded(grad_input(exact, winner)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_shapes_at_the_edge_agree_with_the_definition(dtype: str) -> None:
    rng = np.random.default_rng(3)
    for image, kernel, stride, pad, channels, filters, batch in (
        ((2, 2), (1, 1), (1, 1), (0, 0), 1, 1, 1),
        ((2, 3), (5, 5), (1, 1), (2, 2), 1, 130, 2),
        ((9, 60), (3, 3), (1, 1), (1, 1), 40, 2, 1),
        ((70, 4), (3, 1), (1, 1), (0, 0), 3, 33, 17),
        ((9, 9), (1, 1), (4, 4), (0, 0), 200, 65, 2),
        ((12, 5), (2, 4), (2, 1), (0, 0), 24, 5, 9),
        ((5, 4), (3, 3), (1, 1), (1, 1), 150, 130, 9),
    ):
        sizes = zip(image, kernel, stride, pad, strict=True)
        pooled = tuple(((i + 2 * p - k) // s + 1) // 2 for i, k, s, p in sizes)
        assert_agrees(
            Case(
                normal(rng, dtype, batch, *image, channels),
                normal(rng, dtype, *kernel, channels, filters),
                normal(rng, dtype, filters),
                normal(rng, dtype, batch, *pooled, filters),
                Geometry(stride, pad),
            )
        )


def test_a_hand_computed_block() -> None:
    x = np.array([[1.0, -2, 0, 3, 9], [1, 0, -1, -1, 9], [-1, -2, 0, 0, 9], [-5, -1, 0, 0, 9]]).reshape(1, 4, 5, 1)
    case = Case(x, np.full((1, 1, 1, 1), 2.0), np.array([1.0]), np.ones((1, 2, 2, 1)), Geometry((1, 1), (0, 0)))
    out, winner = forward(case)
    np.testing.assert_array_equal(out[0, :, :, 0], [[3, 7], [0, 1]])
    np.testing.assert_array_equal(winner[0, :, :, 0], [[0, 1], [4, 0]])
    weight, bias = grad_weight(case, winner)
    assert (weight.item(), bias.item()) == (1 + 3 + 0, 3)
    expected = np.zeros((4, 5))
    expected[0, 0] = expected[0, 3] = expected[2, 2] = 2
    np.testing.assert_array_equal(grad_input(case, winner)[0, :, :, 0], expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ties_and_exact_zeros_fall_as_in_the_three_operations(dtype: str) -> None:
    # Small integers: sums are exact, so that equal maxima and zeros are many, and every result must be equal.
    for seed in range(60):
        case = random_case(seed, dtype)
        rng = np.random.default_rng(seed)
        for array in (case.x, case.kernel, case.grad, *([] if case.bias is None else [case.bias])):
            array[...] = rng.integers(-1, 2, array.shape)
        x, kernel, bias, grad, geometry = case
        out, winner = forward(case)
        expected = twin.forward(x, kernel, bias, grad.shape[1:3], geometry)
        np.testing.assert_array_equal(out, expected[0])
        np.testing.assert_array_equal(winner, expected[1])
        for got, wanted in zip(
            (*grad_weight(case, winner), grad_input(case, winner)),
            (*twin.grad_weight(grad, winner, x, kernel, geometry), twin.grad_input(grad, winner, x, kernel, geometry)),
            strict=True,
        ):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_nan_wins_and_lets_the_gradient_through(dtype: str) -> None:
    case = large_case(1, dtype)
    case.x[0, 4, 5] = np.nan
    out, winner = forward(case)
    expected, winners = twin.forward(case.x, case.kernel, None, case.grad.shape[1:3], case.geometry)
    assert 0 < np.isnan(out).sum() < out.size
    np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))
    np.testing.assert_array_equal(winner[np.isnan(out)], winners[np.isnan(out)])
    assert np.isnan(grad_weight(case, winner)[0]).any(axis=(0, 1)).all()


def test_the_gradients_are_the_adjoints_of_the_selected_convolution() -> None:
    for seed in range(100):
        case = random_case(seed, "float64")._replace(bias=None)
        out, winner = forward(case)
        product = np.vdot(out, case.grad)
        scale = 1e-13 * (1 + np.linalg.norm(out) * np.linalg.norm(case.grad)) * case.terms
        assert abs(np.vdot(case.x, grad_input(case, winner)) - product) < scale
        assert abs(np.vdot(case.kernel, grad_weight(case, winner)[0]) - product) < scale


def large_case(batch: int, dtype: str = "float32", channels: int = 20) -> Case:
    """Several chunks in each operation, bands of an image among them."""
    rng = np.random.default_rng(1)
    x, kernel = normal(rng, dtype, 11, 21, 20, channels), normal(rng, dtype, 3, 3, channels, 37)
    grad = normal(rng, dtype, 11, 10, 10, 37)
    return Case(x[:batch], kernel, None, grad[:batch], Geometry((1, 1), (1, 1)))


def everything(case: Case, threads: int) -> list[np.ndarray]:
    out, winner = forward(case, threads)
    return [out, winner, *grad_weight(case, winner, threads), grad_input(case, winner, threads)]


@pytest.mark.parametrize("channels", [3, 20])
@pytest.mark.parametrize("batch", [1, 11])
def test_any_number_of_threads_gives_the_same_bits(batch: int, channels: int) -> None:
    case = large_case(batch, channels=channels)
    one = everything(case, 1)
    for threads in (2, 4):
        for expected, got in zip(one, everything(case, threads), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_an_image_alone_gives_the_same_bits_as_in_a_batch() -> None:
    alone, batch = large_case(1), large_case(11)
    (out, winner), (outs, winners) = forward(alone), forward(batch)
    np.testing.assert_array_equal(out, outs[:1])
    np.testing.assert_array_equal(winner, winners[:1])
    np.testing.assert_array_equal(grad_input(alone, winner), grad_input(batch, winners)[:1])


def test_the_forward_pass_has_the_bits_of_the_convolution_alone() -> None:
    case = large_case(3)
    convolved = unwritten("float32", 3, 21, 20, 37)
    places = (tensor(case.x), tensor(case.kernel), PLAIN, tensor(convolved), case.geometry)
    execute(lambda scratch: conv2d.forward(*places, scratch))
    squares = convolved[:, :20].reshape(3, 10, 2, 10, 2, 37)
    np.testing.assert_array_equal(forward(case)[0], np.maximum(squares.max((2, 4)), 0))


def test_one_large_image_is_divided_among_threads() -> None:
    case = large_case(1)
    x, out, winner = tensor(case.x), tensor(case.grad), tensor(np.zeros(case.grad.shape, np.uint8))
    assert conv_pool.forward(x, tensor(case.kernel), None, out, winner, case.geometry, Scratch())[-1].chunks > 1


def test_scratch_does_not_fall_when_the_batch_grows() -> None:
    used = []
    for batch in range(1, 40):
        x, kernel = np.empty((batch, 21, 20, 20), np.float32), np.empty((3, 3, 20, 37), np.float32)
        grad = np.empty((batch, 10, 10, 37), np.float32)
        winner = tensor(grad)._replace(dtype="uint8")
        geometry, scratches = Geometry((1, 1), (1, 1)), [Scratch() for _ in range(3)]
        conv_pool.forward(tensor(x), tensor(kernel), None, tensor(grad), winner, geometry, scratches[0])
        conv_pool_gradient.grad_weight(tensor(x), tensor(grad), winner, tensor(kernel), None, geometry, scratches[1])
        conv_pool_gradient.grad_input(tensor(grad), winner, tensor(kernel), tensor(x), geometry, scratches[2])
        used.append([scratch.used for scratch in scratches])
    assert used == [list(sizes) for sizes in zip(*(sorted(sizes) for sizes in zip(*used, strict=True)), strict=True)]


@pytest.mark.parametrize("operation", [forward, grad_weight, grad_input])
def test_the_comparison_notices_one_wrong_element(operation) -> None:
    case = random_case(0, "float32")
    actual = operation(case) if operation is forward else operation(case, forward(case)[1])
    actual = actual[0] if isinstance(actual, tuple) else actual
    wrong = actual.astype(np.float64)
    wrong.flat[-1] += 0.01
    assert_close(actual, actual.astype(np.float64), case.kernel.size)
    with pytest.raises(AssertionError):
        assert_close(actual, wrong, case.kernel.size)
