"""Framing, resampling and repeating agree with NumPy, are adjoint in pairs, and do not depend on threads."""

import numpy as np
import pytest

from cnncli.kernels.jit.runtime import tensor
from cnncli.kernels.pooling import resample
from cnncli.kernels.pooling.resample import Bands
from tests.kernels.support import DTYPES, SHAPES, assert_close, execute, normal, unwritten


def random_image(rng: np.random.Generator, dtype: str) -> np.ndarray:
    height, width = (int(size) for size in rng.integers(1, 9, 2))
    return normal(rng, dtype, int(rng.choice([1, 2, 5])), height, width, int(rng.choice([1, 3, 8, 16, 17, 40])))


def random_bands(rng: np.random.Generator, cells: int, places: int) -> tuple[Bands, np.ndarray]:
    """Runs of random weights, and the same as a matrix (places, cells)."""
    matrix, first, weights = np.zeros((places, cells)), [], []
    for place in range(places):
        start = int(rng.integers(cells))
        run = rng.standard_normal(int(rng.integers(1, min(4, cells - start) + 1)))
        matrix[place, start : start + len(run)] = run
        first.append(start)
        weights.append(list(run))
    return Bands(first, weights), matrix


def weighted(x: np.ndarray, rows: Bands, columns: Bands, threads: int = 2) -> np.ndarray:
    out = unwritten(x.dtype.name, len(x), len(rows.first), len(columns.first), x.shape[3])
    execute(lambda _: resample.weighted(tensor(x), tensor(out), rows, columns), threads)
    return out


def frame(x: np.ndarray, size: tuple[int, int], top: int, left: int, threads: int = 2) -> np.ndarray:
    out = unwritten(x.dtype.name, len(x), *size, x.shape[3])
    execute(lambda _: resample.frame(tensor(x), tensor(out), top, left), threads)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_pixel_is_the_weighted_sum_of_its_bands(dtype: str) -> None:
    for seed in range(SHAPES):
        rng = np.random.default_rng(seed)
        x = random_image(rng, dtype)
        places = rng.integers(1, 10, 2)
        (rows, down), (columns, across) = (
            random_bands(rng, cells, int(n)) for cells, n in zip(x.shape[1:3], places, strict=True)
        )
        expected = np.einsum("pi,qj,nijc->npqc", down, across, x.astype(np.float64))
        assert_close(weighted(x, rows, columns), expected, 64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_frame_pads_on_one_side_and_cuts_on_the_other(dtype: str) -> None:
    for seed in range(SHAPES):
        rng = np.random.default_rng(seed)
        x = random_image(rng, dtype)
        height, width = x.shape[1:3]
        top, bottom = (int(rng.integers(1 - (height + 1) // 2, 4)) for _ in range(2))
        left, right = (int(rng.integers(1 - (width + 1) // 2, 4)) for _ in range(2))
        padded = np.pad(x, [(0, 0), *[(max(0, a), max(0, b)) for a, b in ((top, bottom), (left, right))], (0, 0)])
        rows, columns = (
            slice(max(0, -a), n - max(0, -b))
            for a, b, n in ((top, bottom, padded.shape[1]), (left, right, padded.shape[2]))
        )
        expected = padded[:, rows, columns]
        np.testing.assert_array_equal(frame(x, expected.shape[1:3], top, left), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("times", [1, 2, 5])
def test_repeating_and_folding(dtype: str, times: int) -> None:
    for seed in range(SHAPES // 3):
        x = random_image(np.random.default_rng(seed), dtype)
        out, back = unwritten(dtype, *x.shape[:-1], x.shape[-1] * times), unwritten(dtype, *x.shape)
        execute(lambda _, x=x, out=out: resample.repeat(tensor(x), tensor(out), times))
        np.testing.assert_array_equal(out, x.repeat(times, 3))
        execute(lambda _, out=out, back=back: resample.fold(tensor(out), tensor(back), times))
        assert_close(back, x.astype(np.float64) * times, times)


def test_threads_do_not_change_a_bit() -> None:
    rng = np.random.default_rng(0)
    x = normal(rng, "float32", 3, 60, 50, 33)
    (rows, _), (columns, _) = random_bands(rng, 60, 90), random_bands(rng, 50, 70)
    np.testing.assert_array_equal(weighted(x, rows, columns, 1), weighted(x, rows, columns, 2))
    np.testing.assert_array_equal(frame(x, (64, 40), 3, -5, 1), frame(x, (64, 40), 3, -5, 2))


def test_the_comparison_notices_a_shifted_frame() -> None:
    x = normal(np.random.default_rng(0), "float32", 1, 4, 4, 2)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(frame(x, (5, 5), 1, 0), np.pad(x, [(0, 0), (1, 0), (1, 0), (0, 0)]))
