"""Rectangles rubbed out against NumPy in float64."""

import numpy as np
import pytest

from cnncli.kernels.augment import erase
from cnncli.kernels.augment.erase import Patch
from cnncli.kernels.jit.runtime import run, tensor
from tests.kernels.agreement import DTYPES, assert_agree, same_bits_on_1_and_2_threads
from tests.reference.affine import between, fractions

SEED, STEP, STREAM, NOISE = 3, 2**35, 256, 512
SHAPES = [(6, 9, 14, 1), (5, 13, 8, 3), (4, 1, 1, 2)]
CONSTANT = Patch((0.2, 0.9), (0.1, 0.7), 0.4, 0, (-1, 1))


def normals(count):
    """As many normal numbers as there are elements: pairs on a circle of random radius."""
    pairs = fractions(SEED, NOISE, STEP, -(-count // 4)).reshape(-1, 2)
    radius, angle = np.sqrt(-2 * np.log(pairs[:, 0])), 2 * np.pi * pairs[:, 1]
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]).ravel()[:count]


def erased(x, patch):
    """Keras' formulas: a mask of the cells whose numbers lie within the rectangle."""
    batch, height, width, _ = x.shape
    drawn = fractions(SEED, STREAM, STEP, 2 * batch).reshape(batch, 8)
    value = np.full(x.shape, patch.value) if patch.value is not None else normals(x.size).reshape(x.shape)
    fill = np.clip(value if patch.value is not None else value * patch.deviation, *patch.limits)
    out = x.astype(np.float64)
    for image, (across, down, left, top, odds, threshold, *_), filling in zip(out, drawn, fill, strict=True):
        if threshold < between(patch.odds, odds):
            wide, high = np.sqrt(between(patch.area, across)) * width, np.sqrt(between(patch.area, down)) * height
            x0, y0 = left * (width - wide), top * (height - high)
            row, column = np.mgrid[:height, :width]
            inside = (column >= x0) & (column < x0 + wide) & (row >= y0) & (row < y0 + high)
            image[inside] = filling[inside]
    return out


def apply(x, patch):
    clock = np.array([SEED, STEP, 0])
    run(erase.erase(tensor(x), tensor(clock), STREAM, NOISE, patch))
    return x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_rubbed_out_is_what_keras_formulas_say(shape, dtype):
    for patch in (
        CONSTANT,
        CONSTANT._replace(odds=(1, 1), value=7.0),
        CONSTANT._replace(odds=(1, 1), area=(1, 1), value=None, deviation=0.9),
        CONSTANT._replace(value=None, deviation=2.0, limits=(0, 1)),
    ):
        x = np.random.default_rng(0).normal(0, 1, shape).astype(dtype)
        expected = erased(x, patch)
        assert_agree(apply(x, patch), expected, patch)


def test_odds_of_0_leave_images_alone_and_areas_of_1_fill_them():
    x = np.random.default_rng(0).normal(0, 1, SHAPES[0]).astype(np.float32)
    assert np.array_equal(apply(x.copy(), CONSTANT._replace(odds=(0, 0))), x)
    assert (apply(x, CONSTANT._replace(odds=(1, 1), area=(1, 1))) == np.float32(0.4)).all()


def test_noise_is_normal():
    x = np.zeros((10, 100, 100, 1))
    apply(x, Patch((1, 1), (1, 1), None, 2.0, (-100, 100)))
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 2) < 0.02
    assert abs((np.abs(x) < 2).mean() - 0.6827) < 0.005


def test_the_number_of_threads_changes_no_bit():
    x, clock = np.zeros((60, 28, 28, 1), np.float32), np.array([SEED, STEP, 0])
    places = tensor(x), tensor(clock)
    patch = CONSTANT._replace(value=None, deviation=1.0)
    assert same_bits_on_1_and_2_threads(lambda: erase.erase(*places, STREAM, NOISE, patch), x)
