"""What counts as far lighter or darker than the training images."""

import numpy as np
import pytest

from cnncli.datasets.dataset import Split
from cnncli.datasets.images.brightness_stats import BrightnessStats
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.training.runs import typed_json


def split(x, rows=None):
    return Split(x, None, "made", "x_train", rows=rows)


def digits():
    return load(DataSection(dataset="mnist5k"), None)


def photos(generator, count, low=0.2, high=0.7):
    """Images (count, 8, 8, 3) whose means are anything between `low` and `high` of white."""
    light = generator.uniform(low, high, (count, 1, 1, 1))
    return (255 * np.clip(light + generator.normal(0, 0.15, (count, 8, 8, 3)), 0, 1)).astype(np.uint8)


def told(tone, images):
    """What is said of each image (H, W, C), uint8 and divided by 255."""
    return {tone.inverse_of(float(image.mean()) / 255, 1.0) for image in images}


def test_it_is_that_of_the_images_as_they_are_fed():
    x = np.random.default_rng(0).integers(3, 200, (600, 5, 4, 3)).astype(np.uint8)
    fed = x.astype(np.float64) / 255
    means = fed.mean((1, 2, 3))
    expected = [means.mean(), means.std(), fed.min(), fed.max()]
    tone = BrightnessStats.of(split(x), "auto")
    assert [tone.mean, tone.deviation, tone.least, tone.greatest] == pytest.approx(expected, abs=1e-6)
    assert BrightnessStats.of(split(x), 2.0).mean == pytest.approx(means.mean() * 510, rel=1e-5)
    assert BrightnessStats.of(split(fed.astype(np.float32)), "auto").mean == pytest.approx(means.mean(), abs=1e-6)
    negative = BrightnessStats.of(split(x), -1.0)
    assert (negative.least, negative.greatest) == (-199, -3)
    assert typed_json.parse(tone.text(), BrightnessStats) == tone


def test_of_a_folder_it_is_that_of_the_split_alone():
    x = np.zeros((4, 2, 2, 1), np.uint8)
    x[1] = 255
    assert BrightnessStats.of(split(x, np.array([0, 1])), "auto").mean == 0.5


def test_digits_dark_on_light_are_told_of_and_no_other_digits():
    data = digits()
    tone = BrightnessStats.of(data.train, "auto")
    assert told(tone, data.test.x) == {""}
    assert told(tone, 255 - data.test.x) == {"lighter"}
    paper = 185 - (data.test.x * 0.6).astype(np.uint8)  # photographed: neither white nor black
    assert told(tone, paper) == {"lighter"}
    bold = np.where(data.test.x > 0, 255, 0)
    assert told(tone, bold) == {""}


def test_light_on_dark_is_told_of_where_training_images_are_dark_on_light():
    data = digits()
    assert told(BrightnessStats.of(split(255 - data.train.x), "auto"), data.test.x) == {"darker"}


def test_of_photos_even_the_lightest_and_the_darkest_are_ordinary():
    generator = np.random.default_rng(1)
    tone = BrightnessStats.of(split(photos(generator, 200)), "auto")
    every = [np.full((8, 8, 3), level, np.uint8) for level in range(256)]
    assert told(tone, every) == {""}
    dark = BrightnessStats.of(split(photos(generator, 200, 0.05, 0.6)), "auto")
    assert told(dark, photos(generator, 200, 0.6, 0.85)) == {""}


@pytest.mark.parametrize("mean", [0.3, 0.45, 0.6])
def test_where_some_are_light_and_some_are_dark_nothing_looks_inverted(mean):
    tone = BrightnessStats(mean, 0.11, 0.0, 1.0)
    assert {tone.inverse_of(light, 1.0) for light in np.linspace(0, 1, 101)} == {""}


def test_an_image_must_be_far_off_and_on_the_other_side():
    grey = BrightnessStats(0.4, 0.02, 0.0, 1.0)
    assert [grey.inverse_of(light, 1.0) for light in (0.05, 0.55, 0.7)] == ["", "", "lighter"]
    dark = BrightnessStats(0.05, 0.02, 0.0, 1.0)
    assert [dark.inverse_of(light, 1.0) for light in (0.45, 0.55)] == ["", "lighter"]
    assert dark.inverse_of(140, 255) == "lighter"


def test_numbers_that_have_no_white_are_not_judged():
    assert BrightnessStats(0.1, 0.01, -2.0, 2.0).inverse_of(0.95, 1.0) == ""
    assert BrightnessStats(0.1, 0.01, 0.0, 255.0).inverse_of(0.95, 1.0) == ""
    assert BrightnessStats(0.1, 0.01, 0.0, 1.0).inverse_of(0.95, 1.0) == "lighter"


def test_numbers_of_another_kind_are_told_from_those_of_training():
    tone = BrightnessStats(0.13, 0.04, 0.0, 1.0)
    assert tone.spans(0, 1, bytes_only=True)
    assert tone.spans(-0.9, 1.9, bytes_only=False)
    assert not tone.spans(0, 255, bytes_only=False)
    assert not BrightnessStats(0, 1, -2, 2).spans(0, 1, bytes_only=True)
    assert BrightnessStats(0, 1, -2, 2).spans(0, 1, bytes_only=False)
