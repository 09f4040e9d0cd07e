"""Blurred and sharpened images against sums over windows in NumPy."""

import numpy as np
import pytest

from cnncli.kernels.augment import blur
from cnncli.kernels.jit.runtime import Scratch, run, tensor
from tests.kernels.agreement import DTYPES, assert_agree, same_bits_on_1_and_2_threads
from tests.reference.affine import between, fractions
from tests.reference.colour import filtered, gaussian

SEED, STEP, STREAM = 3, 2**35, 256
CLOCK = np.array([SEED, STEP, 0])
SHAPES = [(8, 7, 4, 1), (8, 4, 9, 3), (6, 1, 2, 5), (6, 1, 1, 2)]


def images(shape, dtype):
    return np.random.default_rng(shape[0]).uniform(-0.5, 1.5, shape).astype(dtype)


def changed(change, x, **options):
    """The steps of `change`, with memory of their own."""
    measured = Scratch()
    change(tensor(x), tensor(CLOCK), measured, STREAM, **options)
    memory = np.zeros((2, measured.used_by_thread), np.uint8)
    steps = change(tensor(x), tensor(CLOCK), Scratch(0, memory.ctypes.data, memory.strides[0]), STREAM, **options)
    return steps, memory


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 3, 7])
def test_some_images_are_blurred_by_a_gaussian_of_their_own_and_all_are_clipped(shape, dtype, size):
    x = images(shape, dtype)
    drawn = fractions(SEED, STREAM, STEP, 2 * len(x))[::2]
    done = drawn[:, 1] < between((0.3, 0.9), drawn[:, 0])
    sigmas = between((0.4, 2), drawn[:, 2:]) + 1e-6
    expected = [
        np.clip(filtered(image, gaussian(size, down, across)) if now else image, -0.25, 1.25)
        for image, now, (across, down) in zip(x, done, sigmas, strict=True)
    ]
    steps, _memory = changed(blur.blur, x, odds=(0.3, 0.9), size=size, sigma=(0.4, 2), limits=(-0.25, 1.25))
    run(steps)
    assert_agree(x, np.array(expected))
    assert done.any()
    assert not done.all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sharpness_goes_from_a_mean_of_the_window_over_the_image_beyond_it(shape, dtype):
    x = images(shape, dtype)
    factor = between((0, 1), fractions(SEED, STREAM, STEP, 2 * len(x))[::2, 0])
    smooth = np.full((3, 3), 1 / 13)
    smooth[1, 1] = 5 / 13
    expected = [
        np.clip(image + (1 - 2 * f) * (filtered(image, smooth) - image), -0.25, 1.25)
        for image, f in zip(x, factor, strict=True)
    ]
    steps, _memory = changed(blur.sharpen, x, factor=(0, 1), limits=(-0.25, 1.25))
    run(steps)
    assert_agree(x, np.array(expected))


def test_the_number_of_threads_changes_no_bit():
    x = images((40, 24, 24, 3), "float32")
    blurred, _memory = changed(blur.blur, x, odds=(0, 1), size=5, sigma=(0, 1), limits=(0, 1))
    assert same_bits_on_1_and_2_threads(lambda: blurred, x)
    sharper, _memory = changed(blur.sharpen, x, factor=(0, 1), limits=(0, 1))
    assert same_bits_on_1_and_2_threads(lambda: sharper, x)
