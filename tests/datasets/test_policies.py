"""Augmentations made of others: their parts, the parts' strengths and which images they are for."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.datasets.section import AUGMENTATIONS
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.ops import streams
from tests.datasets.test_augmentation import LEVELS, filled
from tests.reference.affine import fractions

STRENGTHS = json.loads((Path(__file__).parent.parent / "fixtures" / "augmentation.json").read_text())["rand_augment"]
IMAGES = np.random.default_rng(1).integers(0, 256, (400, 6, 5, 3)).astype(np.uint8)


def parsed(name, **arguments):
    return AUGMENTATIONS.parse({name: arguments} if arguments else name)


@pytest.mark.parametrize("number", range(len(STRENGTHS)))
def test_the_parts_of_rand_augment_are_as_strong_as_those_of_keras(number):
    case = STRENGTHS[number]
    parts = parsed("RandAugment", **case["config"]).parts
    assert [type(part).__name__ for part in parts] == [name for name, _ in case["parts"]]
    for part, (_, expected) in zip(parts, case["parts"], strict=True):
        for key, value in part.settings().items():
            assert np.array_equal(value, expected[key]), (type(part).__name__, key)


def test_each_image_has_one_thing_done_to_it_as_its_number_says(monkeypatch):
    policy = parsed("RandAugment", num_ops=1)
    found = filled(IMAGES, [{"RandAugment": {"num_ops": 1}}], step=9)
    place = np.floor(fractions(7, streams.PARTS, 9, len(IMAGES))[:, 0] * 11).astype(int)
    # Alone in a list a part draws from the first augmentation's stream.
    monkeypatch.setattr(streams, "AUGMENTATION", streams.PARTS + 1)
    for number, part in enumerate(policy.parts):
        arguments = {key: list(value) if isinstance(value, tuple) else value for key, value in part.settings().items()}
        alone = filled(IMAGES, [{type(part).__name__: arguments}], step=9)
        assert np.array_equal(found[place == number], alone[place == number]), type(part).__name__
        assert 15 < (place == number).sum() < 60


@pytest.mark.parametrize(
    ("first", "both", "stream"),
    [
        ([{"RandAugment": {"num_ops": 1}}], [{"RandAugment": {"num_ops": 2}}], streams.PARTS + 2),
        ([{"RandAugment": {"num_ops": 1}}], [{"RandAugment": {"num_ops": 1}}] * 2, streams.PARTS + streams.PARTS_EACH),
        (["RandomFlip"], ["RandomFlip", {"RandAugment": {"num_ops": 1}}], streams.PARTS + streams.PARTS_EACH),
    ],
)
def test_the_next_thing_has_a_number_of_its_own_and_is_done_to_what_the_one_before_made(first, both, stream):
    once, twice = filled(IMAGES, first), filled(IMAGES, both)
    stretching = np.floor(fractions(7, stream, 1, len(IMAGES))[:, 0] * 11) == 9
    before = once[stretching]
    low, high = before.min(axis=(1, 2), keepdims=True), before.max(axis=(1, 2), keepdims=True)
    expected = np.where(high > low, (before - low) / np.where(high > low, high - low, 1), before)
    assert np.allclose(twice[stretching], expected, rtol=0, atol=1e-5)
    assert 15 < len(before) < 60


def test_grey_images_are_left_alone_by_what_takes_colours_away():
    images = IMAGES[..., :1]
    place = np.floor(fractions(7, streams.PARTS, 1, len(images))[:, 0] * 11).astype(int)
    found = filled(images, [{"RandAugment": {"num_ops": 1}}])
    unchanged = (found == images.astype(np.float32) / 255).all(axis=(1, 2, 3))
    assert unchanged[place == 4].all()
    assert not unchanged[place != 4].all()
    assert parsed("RandAugment").shape_error((6, 5, 1)) == parsed("RandAugment").shape_error((6, 5, 3)) == ""
    assert parsed("RandAugment").shape_error((6, 5, 2)) == (
        "RandAugment requires images with 1 or 3 channels; received 2"
    )


def test_aug_mix_does_not_depend_on_the_rest_of_the_batch_and_needs_colours_only_to_change_them():
    assert np.array_equal(filled(IMAGES, ["AugMix"])[:3], filled(IMAGES[:3], ["AugMix"]))
    assert parsed("AugMix").shape_error((6, 5, 2)) == "AugMix requires images with 1 or 3 channels; received 2"
    assert parsed("AugMix", all_ops=False).shape_error((6, 5, 2)) == ""
    assert filled(IMAGES[..., :2], [{"AugMix": {"all_ops": False}}]).max() <= 1
    once, twice = filled(IMAGES, ["AugMix"]), filled(IMAGES, ["RandomFlip", "AugMix"])
    assert not np.isclose(once, twice).all(axis=(1, 2, 3)).any()  # each has streams of its own


def test_streams_of_parts_are_nobody_elses():
    assert streams.NOISE < streams.PARTS
    assert streams.PARTS + streams.PARTS_EACH * (streams.NOISE - streams.AUGMENTATION) <= streams.DROPOUT


def test_a_jitter_is_its_parts_one_after_the_other(monkeypatch):
    factors = {"brightness_factor": 0.2, "contrast_factor": 0.3, "saturation_factor": [0.4, 0.6], "hue_factor": 0.1}
    names = "RandomBrightness", "RandomContrast", "RandomSaturation", "RandomHue"
    found = filled(LEVELS, [{"RandomColorJitter": factors}])
    monkeypatch.setattr(streams, "AUGMENTATION", streams.PARTS)
    separate = [{name: {"factor": factor}} for name, factor in zip(names, factors.values(), strict=True)]
    assert np.array_equal(found, filled(LEVELS, separate))


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ("RandomColorJitter", "at least one of brightness_factor, contrast_factor, saturation_factor and hue_factor"),
        ({"RandomColorJitter": {"hue_factor": -0.1}}, "a number from 0 to 1, or a range [lower, upper]"),
        ({"RandAugment": {"num_ops": 0}}, "an integer from 1 to 32"),
        ({"AugMix": {"num_chains": 0}}, "an integer ≥ 1"),
        ({"AugMix": {"chain_depth": -1}}, "an integer ≥ 0"),
        (
            {"AugMix": {"num_chains": 8, "chain_depth": 5}},
            "num_chains · chain_depth must be at most 32; received 8 · 5",
        ),
        ({"AugMix": {"factor": 1.5}}, "a number from 0 to 1, or a range [lower, upper]"),
        ({"AugMix": {"alpha": 0}}, "a number > 0"),
        ({"AugMix": {"interpolation": "bicubic"}}, "one of bilinear, nearest"),
        ({"AugMix": {"value_range": [1, 1]}}, "value_range must be two different numbers"),
        ({"RandAugment": {"value_range": [1, 1]}}, "value_range must be two different numbers"),
        ({"RandomGaussianBlur": {"kernel_size": 4}}, "an odd integer ≥ 1"),
        ({"RandomPosterization": {"factor": 0}}, "an integer from 1 to 8, or"),
        ({"RandomPosterization": {"factor": 2.5}}, "an integer from 1 to 8, or"),
        ({"Equalization": {"bins": 1}}, "an integer from 2"),
        ({"RandomGrayscale": {"factor": [0, 1]}}, "a number from 0 to 1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_with_the_rule(entry, rule):
    with pytest.raises(ValidationError) as caught:
        AUGMENTATIONS.parse(entry)
    assert rule in str(caught.value)
