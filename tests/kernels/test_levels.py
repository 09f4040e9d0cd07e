"""What counts in 256 levels, against whole numbers in NumPy, and against Keras."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.kernels.augment import levels
from cnncli.kernels.jit.runtime import Scratch, run, tensor
from tests.kernels.agreement import DTYPES, assert_agree, same_bits_on_1_and_2_threads
from tests.reference.affine import between, fractions
from tests.reference.colour import equalized

SEED, STEP, STREAM = 3, 2**35, 256
CLOCK = np.array([SEED, STEP, 0])
SHAPES = [(8, 7, 4, 1), (8, 4, 9, 3), (6, 1, 1, 2), (5, 16, 17, 2)]
ENDS = [(0, 255), (0, 1), (-1, 3), (0, -1)]


def whole_levels(shape):
    """Images of whole levels, one of them of a single level and one of two."""
    x = np.random.default_rng(shape[0]).integers(0, 256, shape)
    x[0] = 77
    x[1] = np.where(x[1] > 127, 200, 100)
    return x


def within(ends, x, dtype):
    """Levels as numbers of `dtype` within `ends`, divided by 255 as images are."""
    return (x.astype(dtype) / dtype(255) * dtype(ends[1] - ends[0]) + dtype(ends[0])).astype(dtype)


def run_equalize(x, bins, ends):
    measured = Scratch()
    levels.equalize(tensor(x), tensor(CLOCK), measured, bins, ends)
    memory = np.zeros((2, measured.used_by_thread), np.uint8)
    return levels.equalize(
        tensor(x), tensor(CLOCK), Scratch(0, memory.ctypes.data, memory.strides[0]), bins, ends
    ), memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ends", ENDS)
def test_of_each_level_the_first_bits_are_kept(shape, dtype, ends):
    whole = whole_levels(shape)
    shift = 8 - np.floor(between((2, 8), fractions(SEED, STREAM, STEP, len(whole))[:, 0])).astype(int)
    x, shift = within(ends, whole, dtype), shift.reshape(-1, 1, 1, 1)
    run(levels.posterize(tensor(x), tensor(CLOCK), STREAM, (2, 7), ends))
    assert_agree(x / (ends[1] - ends[0]), within(ends, whole >> shift << shift, np.float64) / (ends[1] - ends[0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ends", ENDS)
def test_brighter_images_become_negatives_above_a_threshold(shape, dtype, ends):
    whole = whole_levels(shape)
    drawn = fractions(SEED, STREAM, STEP, len(whole)).reshape(-1, 4, 1, 1, 1)
    brighter = np.minimum(whole + between((-20, 70), drawn[:, 0]), 255).clip(0)
    expected = np.where(brighter < between((50, 200), drawn[:, 1]), brighter, 255 - brighter)
    x = within(ends, whole, dtype)
    run(levels.solarize(tensor(x), tensor(CLOCK), STREAM, (-20, 70), (50, 200), ends))
    assert_agree(x / (ends[1] - ends[0]), within(ends, expected, np.float64) / (ends[1] - ends[0]))


def test_solarization_is_what_keras_makes_of_it():
    with np.load(Path(__file__).parents[1] / "fixtures" / "augmentation.npz") as arrays:
        x, expected = arrays["colours"][None].copy(), arrays["solarized"]
    run(levels.solarize(tensor(x), tensor(CLOCK), STREAM, (20, 20), (120, 120), (0, 1)))
    assert np.allclose(x[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_channel_is_stretched_over_all_of_the_range_unless_it_is_of_one_number(shape, dtype):
    x = np.random.default_rng(shape[0]).uniform(-3, 5, shape).astype(dtype)
    x[1] = 0.7
    low, high = x.min(axis=(1, 2), keepdims=True).astype(np.float64), x.max(axis=(1, 2), keepdims=True)
    one = low == high
    expected = np.where(one, x, -2 + 9 * (x - low) / np.where(one, 1, high - low))
    run(levels.stretch(tensor(x), tensor(CLOCK), (-2, 7)))
    assert_agree(x, expected)
    assert np.array_equal(x[1], np.full(shape[1:], 0.7, dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("bins", [256, 10, 1000])
def test_levels_are_spread_evenly_in_each_channel(shape, dtype, ends, bins):
    whole = whole_levels(shape)
    expected = np.array([equalized(image, bins) for image in whole])
    x = within(ends, whole, dtype)
    steps, _memory = run_equalize(x, bins, ends)
    run(steps)
    assert_agree(x / (ends[1] - ends[0]), within(ends, expected, np.float64) / (ends[1] - ends[0]))


def test_the_number_of_threads_changes_no_bit():
    x, clock = within((0, 1), whole_levels((40, 24, 24, 3)), np.float32), tensor(CLOCK)
    assert same_bits_on_1_and_2_threads(lambda: levels.posterize(tensor(x), clock, STREAM, (5, 8), (0, 1)), x)
    assert same_bits_on_1_and_2_threads(lambda: levels.solarize(tensor(x), clock, STREAM, (0, 9), (0, 99), (0, 1)), x)
    assert same_bits_on_1_and_2_threads(lambda: levels.stretch(tensor(x), clock, (0, 1)), x)
    steps, _memory = run_equalize(x, 256, (0, 1))
    assert same_bits_on_1_and_2_threads(lambda: steps, x)
