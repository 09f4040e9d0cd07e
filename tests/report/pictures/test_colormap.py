"""Color maps: their ends, an even lightness, and blending."""

import numpy as np
import pytest

from cnncli.report.pictures.colormap import BLUE_RED, INFERNO, VIRIDIS, colored, over


def lightness(colors):
    """CIE L* of sRGB colors, 0 … 100."""
    linear = np.where(colors / 255 <= 0.04045, colors / 255 / 12.92, ((colors / 255 + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27)


@pytest.mark.parametrize("table", [INFERNO, VIRIDIS], ids=["inferno", "viridis"])
def test_lightness_rises_evenly_with_the_number(table):
    found = lightness(colored(np.linspace(0, 1, 256), table).astype(np.float64))
    assert (np.diff(found) > -0.5).all()
    even = np.linspace(found[0], found[-1], 256)
    assert np.abs(found - even).max() < 6


def test_blue_red_is_lightest_in_the_middle_and_equally_dark_at_the_ends():
    found = lightness(colored(np.linspace(0, 1, 201), BLUE_RED).astype(np.float64))
    assert found.argmax() == 100
    assert abs(found[0] - found[-1]) < 5
    low, high = colored(np.array([0.1, 0.9]), BLUE_RED)
    assert (low.argmax(), high.argmax()) == (2, 0)


def test_numbers_outside_get_the_nearest_end_and_nan_the_first():
    np.testing.assert_array_equal(colored(np.array([-1, 2, np.nan]), VIRIDIS), VIRIDIS[[0, -1, 0]])
    assert colored(np.zeros((2, 3)), VIRIDIS).shape == (2, 3, 3)


def test_colors_over_a_picture_are_mixed_by_their_opacity():
    picture, colors = np.full((1, 3, 3), 100, np.uint8), np.full((1, 3, 3), 200, np.uint8)
    np.testing.assert_array_equal(over(picture, colors, np.array([[0, 0.25, 1]]))[0, :, 0], [100, 125, 200])
