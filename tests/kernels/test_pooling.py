"""Pooling and its gradients agree with the twin, propagate NaN, and do not depend on threads or batch."""

import numpy as np
import pytest

from cnncli.kernels.jit.runtime import tensor
from cnncli.kernels.pooling import pool2d
from cnncli.kernels.pooling.pool2d import Window
from tests.kernels.support import DTYPES, SHAPES, assert_close, execute, normal, unwritten
from tests.reference import pooling as twin


def max_forward(
    x: np.ndarray, pooled: tuple[int, int], window: Window, threads: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    out = unwritten(x.dtype.name, x.shape[0], *pooled, x.shape[3])
    winner = np.full(out.shape, -7, np.int32)
    execute(lambda _: pool2d.max_forward(tensor(x), tensor(out), tensor(winner), window), threads)
    return out, winner


def max_backward(
    grad: np.ndarray, winner: np.ndarray, shape: tuple[int, ...], window: Window, threads: int = 2
) -> np.ndarray:
    out = unwritten(grad.dtype.name, *shape)
    execute(lambda _: pool2d.max_backward(tensor(grad), tensor(winner), tensor(out), window), threads)
    return out


def average_forward(x: np.ndarray, pooled: tuple[int, int], window: Window, threads: int = 2) -> np.ndarray:
    out = unwritten(x.dtype.name, x.shape[0], *pooled, x.shape[3])
    execute(lambda _: pool2d.average_forward(tensor(x), tensor(out), window), threads)
    return out


def average_backward(grad: np.ndarray, shape: tuple[int, ...], window: Window, threads: int = 2) -> np.ndarray:
    out = unwritten(grad.dtype.name, *shape)
    execute(lambda _: pool2d.average_backward(tensor(grad), tensor(out), window), threads)
    return out


def extent(rng: np.random.Generator, same: bool) -> tuple[int, ...]:
    """One axis: (image, window, stride, padding before, output), as Keras' `same` or `valid` has it."""
    size, stride = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    image = int(rng.integers(1 if same else size, size + 8))
    if same:
        out = -(-image // stride)
        return image, size, stride, max(0, (out - 1) * stride + size - image) // 2, out
    return image, size, stride, 0, (image - size) // stride + 1


def random_case(seed: int, dtype: str) -> tuple[np.ndarray, np.ndarray, Window]:
    """Images with many ties (rounded numbers), a gradient and a window; some windows overlap, some leave gaps."""
    rng = np.random.default_rng(seed)
    same = bool(rng.integers(2))
    height, width = extent(rng, same), extent(rng, same)
    batch, channels = int(rng.choice([1, 2, 5])), int(rng.choice([1, 3, 8, 17]))
    x = normal(rng, dtype, batch, height[0], width[0], channels).round(1)
    grad = normal(rng, dtype, batch, height[4], width[4], channels)
    return x, grad, Window(*((height[k], width[k]) for k in (1, 2, 3)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_max_pooling_agrees_with_the_twin(dtype: str) -> None:
    for seed in range(SHAPES):
        x, grad, window = random_case(seed, dtype)
        out, winner = max_forward(x, grad.shape[1:3], window)
        expected, expected_winner = twin.max_forward(x, grad.shape[1:3], window)
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(winner, expected_winner)
        assert_close(max_backward(grad, winner, x.shape, window), twin.max_backward(grad, x, window), 16)


@pytest.mark.parametrize("dtype", DTYPES)
def test_average_pooling_agrees_with_the_twin(dtype: str) -> None:
    for seed in range(SHAPES):
        x, grad, window = random_case(seed, dtype)
        assert_close(average_forward(x, grad.shape[1:3], window), twin.average_forward(x, grad.shape[1:3], window), 16)
        assert_close(average_backward(grad, x.shape, window), twin.average_backward(grad, x.shape, window), 16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 8, 19])
@pytest.mark.parametrize(("size", "padding", "first"), [(2, 0, 1), (3, 0, 1), (3, 1, 5)])
def test_a_nan_wins_its_window_and_the_first_of_two(
    dtype: str, channels: int, size: int, padding: int, first: int
) -> None:
    side = size - padding
    x = np.arange(float(side**2), dtype=dtype).reshape(1, side, side, 1).repeat(channels, 3)
    x[0, 0, 1] = x[0, 1, 0] = np.nan
    out, winner = max_forward(x, (1, 1), Window((size, size), (size, size), (padding, padding)))
    assert np.isnan(out).all()
    assert (winner == first).all()


def test_a_window_of_minus_infinities_gives_its_gradient_to_the_first_cell_of_the_image() -> None:
    x, window = np.full((1, 2, 2, 3), -np.inf), Window((2, 2), (2, 2), (1, 1))
    assert (max_forward(x, (1, 1), window._replace(padding=(0, 0)))[1] == 0).all()
    _, winner = max_forward(x, (1, 1), window)
    assert (winner == 3).all()
    expected = np.zeros((1, 2, 2, 3))
    expected[0, 0, 0] = 1
    np.testing.assert_array_equal(max_backward(np.ones((1, 1, 1, 3)), winner, x.shape, window), expected)


def test_a_window_outside_the_image_has_no_winner_and_no_mean() -> None:
    x, window = np.ones((1, 2, 2, 3)), Window((1, 1), (1, 1), (1, 1))
    out, winner = max_forward(x, (2, 2), window)
    assert (out[0, 0] == -np.inf).all()
    assert (winner[0, 0] == -1).all()
    assert (average_forward(x, (2, 2), window)[0, 0] == 0).all()
    reached = np.zeros((1, 2, 2, 3))
    reached[0, 0, 0] = 1
    np.testing.assert_array_equal(max_backward(np.ones((1, 2, 2, 3)), winner, x.shape, window), reached)
    np.testing.assert_array_equal(average_backward(np.ones((1, 2, 2, 3)), x.shape, window), reached)


def test_the_average_gradient_is_the_adjoint_of_the_forward_pass() -> None:
    for seed in range(50):
        x, grad, window = random_case(seed, "float64")
        product = np.vdot(average_forward(x, grad.shape[1:3], window), grad)
        assert np.vdot(x, average_backward(grad, x.shape, window)) == pytest.approx(product, rel=1e-9, abs=1e-12)


def test_threads_and_batch_do_not_change_a_bit() -> None:
    rng, window = np.random.default_rng(0), Window((3, 3), (2, 2), (1, 1))
    x, grad = normal(rng, "float32", 5, 40, 40, 33), normal(rng, "float32", 5, 20, 20, 33)
    winner = max_forward(x, (20, 20), window)[1]
    for results in (
        [max_forward(x, (20, 20), window, threads)[0] for threads in (1, 2)],
        [max_backward(grad, winner, x.shape, window, threads) for threads in (1, 2)],
        [average_forward(x, (20, 20), window, threads) for threads in (1, 2)],
        [average_backward(grad, x.shape, window, threads) for threads in (1, 2)],
        [max_forward(x[:1], (20, 20), window)[0], max_forward(x, (20, 20), window)[0][:1]],
        [average_forward(x[:1], (20, 20), window), average_forward(x, (20, 20), window)[:1]],
    ):
        np.testing.assert_array_equal(*results)


def test_gradients_are_right_where_a_chunk_ends_within_an_image_whose_windows_overlap() -> None:
    rng, window = np.random.default_rng(1), Window((3, 3), (2, 2), (1, 1))
    x, grad = normal(rng, "float64", 3, 40, 40, 33), normal(rng, "float64", 3, 20, 20, 33)
    winner = max_forward(x, (20, 20), window)[1]
    largest, average = np.zeros((2, 3, 42, 42, 33))  # with the padding around
    for row, column, i, j in np.ndindex(20, 20, 3, 3):
        share, y, x_ = grad[:, row, column], 2 * row + i, 2 * column + j
        cells = (min(41, 2 * row + 3) - max(1, 2 * row)) * (min(41, 2 * column + 3) - max(1, 2 * column))
        largest[:, y, x_] += np.where(winner[:, row, column] == 3 * i + j, share, 0)
        average[:, y, x_] += share / cells
    assert_close(max_backward(grad, winner, x.shape, window), largest[:, 1:-1, 1:-1], 16)
    assert_close(average_backward(grad, x.shape, window), average[:, 1:-1, 1:-1], 16)


def test_the_comparison_notices_padding_that_counts_as_cells() -> None:
    x, window = np.ones((1, 3, 3, 2), np.float32), Window((3, 3), (1, 1), (1, 1))
    everywhere = np.array([4, 6, 4, 6, 9, 6, 4, 6, 4]).reshape(1, 3, 3, 1).repeat(2, 3) / 9
    with pytest.raises(AssertionError):
        assert_close(average_forward(x, (3, 3), window), everywhere, 16)
