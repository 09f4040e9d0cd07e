"""Hue, saturation and grey against Python's colorsys and NumPy in float64."""

import numpy as np
import pytest

from cnncli.kernels.augment import colour
from cnncli.kernels.jit.runtime import run, tensor
from tests.kernels.agreement import DTYPES, assert_agree, same_bits_on_1_and_2_threads
from tests.reference.affine import between, fractions
from tests.reference.colour import greyed, recoloured

SEED, STEP, STREAM = 3, 2**35, 256
CLOCK = np.array([SEED, STEP, 0])
SHAPES = [(6, 7, 4, 3), (4, 1, 1, 3), (9, 2, 9, 3)]


def images(shape, dtype):
    """Images between 0 and 1, some of whose pixels are grey, black or of one colour alone."""
    x = np.random.default_rng(shape[0]).uniform(0, 1, shape)
    x[0, ..., 1] = x[0, ..., 2]
    x[1] = x[1, ..., :1]
    x[2, ..., :2] = 0
    x[:, 0, 0] = 0
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ends", [(0, 1), (-2, 3), (4, -1)])
def test_hues_are_turned_by_half_of_the_factor_either_way(shape, dtype, ends):
    x = images(shape, dtype)
    drawn = fractions(SEED, STREAM, STEP, len(x))
    turns = between((0.2, 0.9), drawn[:, 0]) / 2 * np.where(drawn[:, 1] > 0.5, -1, 1)
    expected = [recoloured(image, turn=turn) for image, turn in zip(x, turns, strict=True)]
    x = between(ends, x.astype(np.float64)).astype(dtype)
    run(colour.turn_hue(tensor(x), tensor(CLOCK), STREAM, (0.2, 0.9), ends))
    assert_agree(x, between(ends, np.array(expected)))
    assert len({*np.sign(turns)}) == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_saturation_is_multiplied_and_ends_at_1(shape, dtype):
    x = images(shape, dtype)
    factor = between((0.1, 0.9), fractions(SEED, STREAM, STEP, len(x))[:, 0])
    expected = [recoloured(image, factor=f / (1 - f + 1e-7)) for image, f in zip(x, factor, strict=True)]
    x *= 5
    run(colour.saturate(tensor(x), tensor(CLOCK), STREAM, (0.1, 0.9), (0, 5)))
    assert_agree(x, 5 * np.array(expected))
    assert (factor > 0.5).any()
    assert (factor < 0.5).any()


@pytest.mark.parametrize("factor", [-1, 0])
def test_without_saturation_all_channels_are_the_largest(factor):
    x = images(SHAPES[0], "float32")
    expected = np.broadcast_to(x.max(axis=3, keepdims=True), x.shape)
    run(colour.saturate(tensor(x), tensor(CLOCK), STREAM, (factor, factor), (0, 1)))
    assert np.allclose(x, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_some_images_come_nearer_to_grey_and_are_clipped(shape, dtype):
    x = images(shape, dtype)
    drawn = fractions(SEED, STREAM, STEP, len(x))
    done, factor = drawn[:, 1] < between((0.3, 0.8), drawn[:, 0]), between((-0.9, 0.7), drawn[:, 2])
    expected = [
        np.clip(greyed(image, f), 0.1, 0.9) if now else image for image, now, f in zip(x, done, factor, strict=True)
    ]
    run(colour.degenerate(tensor(x), tensor(CLOCK), STREAM, (0.3, 0.8), (-0.9, 0.7), (0.1, 0.9)))
    assert_agree(x, np.array(expected))


@pytest.mark.parametrize("change", [colour.turn_hue, colour.saturate])
def test_the_number_of_threads_changes_no_bit(change):
    x = images((40, 24, 24, 3), "float32")
    assert same_bits_on_1_and_2_threads(lambda: change(tensor(x), tensor(CLOCK), STREAM, (0.1, 0.9), (0, 1)), x)
    assert same_bits_on_1_and_2_threads(
        lambda: colour.degenerate(tensor(x), tensor(CLOCK), STREAM, (0, 1), (-1, 1), (0, 1)), x
    )
