"""Brightness, contrast and negatives against NumPy in float64."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.kernels.augment import brightness
from cnncli.kernels.jit.runtime import run, tensor
from tests.kernels.agreement import DTYPES, assert_agree, same_bits_on_1_and_2_threads
from tests.reference.affine import between, fractions

SEED, STEP, STREAM = 3, 2**35, 256
SHAPES = [(5, 7, 4, 1), (3, 4, 9, 3), (4, 1, 1, 17)]


def images(shape, dtype):
    return np.random.default_rng(shape[0]).uniform(-0.5, 1.5, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_is_made_brighter_or_darker_as_a_whole_and_clipped(shape, dtype):
    x = images(shape, dtype)
    drawn = between((-0.7, 0.9), fractions(SEED, STREAM, STEP, len(x))[:, 0]).reshape(-1, 1, 1, 1)
    expected = np.clip(x + drawn, -0.25, 1.25)
    clock = np.array([SEED, STEP, 0])
    run(brightness.brighten(tensor(x), tensor(clock), STREAM, (-0.7, 0.9), (-0.25, 1.25)))
    assert_agree(x, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_contrast_spreads_each_channel_about_its_own_mean_and_clips(shape, dtype):
    x = images(shape, dtype)
    drawn = between((0.2, 1.8), fractions(SEED, STREAM, STEP, len(x))[:, 0]).reshape(-1, 1, 1, 1)
    mean = x.astype(np.float64).mean(axis=(1, 2), keepdims=True)
    expected = np.clip((x - mean) * drawn + mean, 0, 1)
    clock = np.array([SEED, STEP, 0])
    run(brightness.contrast(tensor(x), tensor(clock), STREAM, (0.2, 1.8), (0, 1)))
    assert_agree(x, expected)


def test_contrast_is_what_keras_makes_of_it():
    with np.load(Path(__file__).parents[1] / "fixtures" / "augmentation.npz") as arrays:
        x, expected = arrays["image"][None].copy(), arrays["contrast"]
    clock = np.array([SEED, STEP, 0])
    run(brightness.contrast(tensor(x), tensor(clock), STREAM, (1.4, 1.4), (0.1, 0.9)))
    assert np.allclose(x[0], expected, rtol=0, atol=1e-6)
    assert (expected == np.float32(0.1)).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_some_images_become_negatives(dtype):
    x = images((9, 3, 5, 3), dtype)
    drawn = fractions(SEED, STREAM, STEP, len(x))
    done = (drawn[:, 1] < between((0.2, 0.9), drawn[:, 0])).reshape(-1, 1, 1, 1)
    expected, clock = np.where(done, 0.75 - x, x), np.array([SEED, STEP, 0])
    run(brightness.invert(tensor(x), tensor(clock), STREAM, (0.2, 0.9), 0.75))
    assert_agree(x, expected)
    assert done.any()
    assert not done.all()


@pytest.mark.parametrize("change", [brightness.brighten, brightness.contrast])
def test_the_number_of_threads_changes_no_bit(change):
    x, clock = images((60, 28, 28, 1), "float32"), np.array([SEED, STEP, 0])
    places = tensor(x), tensor(clock)
    assert same_bits_on_1_and_2_threads(lambda: change(*places, STREAM, (0.5, 1.5), (0, 2)), x)


def test_nothing_added_leaves_an_image_alone():
    x, clock = images(SHAPES[1], "float32"), np.array([SEED, STEP, 0])
    before = x.copy()
    run(brightness.brighten(tensor(x), tensor(clock), STREAM, (0, 0), (-1, 2)))
    assert np.array_equal(x, before)
