"""Augmentations as declared: against Keras' layers, by what they draw, and in the batches of a split."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.datasets.section import AUGMENTATIONS
from cnncli.kernels.batch import random
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.losses import CategoricalCrossentropy, MeanSquaredError
from cnncli.ops import streams
from tests.reference import affine as twin
from tests.reference.colour import recoloured

FOLDER = Path(__file__).parent.parent / "fixtures"
CASES = json.loads((FOLDER / "augmentation.json").read_text())["cases"]


def feed(x, augment, *, rescale="auto", seed=7, y="labels", capacity=None):
    """A feed whose batches hold all of x; with y None the target is the input."""
    inputs = np.zeros((capacity or len(x), *x.shape[1:]), np.float32)
    split = Split(x, np.zeros(len(x), np.int64) if y is not None else None, "own.npz", "x_train")
    targets = np.zeros((len(inputs), 2) if y is not None else inputs.shape, np.float32)
    loss = CategoricalCrossentropy() if y is not None else MeanSquaredError()
    parsed = [AUGMENTATIONS.parse(entry) for entry in augment]
    return Feed(split, rescale, loss, inputs, {"output": targets}, augment=parsed, seed=seed)


def filled(x, augment, step=1, **options):
    made = feed(x, augment, **options)
    made.fill(slice(len(x)), step)
    return made.inputs


@pytest.fixture(scope="module")
def made_by_keras():
    with np.load(FOLDER / "augmentation.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{CASES[number]['layer']}_{number}")
def test_images_become_what_keras_makes_of_them(number, made_by_keras):
    case, outcomes = CASES[number], made_by_keras[str(number)]
    images = np.stack([made_by_keras[case["image"]]] * 16)
    entry = {case["layer"]: case["config"]} if case["config"] else case["layer"]
    nearest = np.abs(filled(images, [entry])[:, None] - outcomes).max(axis=(2, 3, 4))
    assert nearest.min(axis=1).max() < 5e-6
    assert set(nearest.argmin(axis=1)) == set(range(case["outcomes"]))


def test_there_is_a_case_of_keras_for_each_but_rand_augment_which_is_made_of_others_and_those_that_mix():
    others = {"RandAugment", "MixUp", "CutMix"}
    assert {case["layer"] for case in CASES} | others == set(AUGMENTATIONS.classes)


LEVELS = np.random.default_rng(0).integers(0, 256, (6, 9, 8, 3)).astype(np.uint8)


def test_augmentations_follow_one_another_each_with_a_stream_of_its_own():
    augment = [
        {"RandomFlip": {"mode": "horizontal"}},
        {"RandomCrop": {"height": 9, "width": 8, "padding": [[2, 0], [1, 3]]}},
        {"RandomTranslation": {"height_factor": 0.2, "width_factor": [-0.1, 0.4], "fill_mode": "nearest"}},
    ]
    expected = []
    drawn = [twin.fractions(7, streams.AUGMENTATION + number, 5, len(LEVELS)) for number in range(3)]
    for image, first, second, third in zip(LEVELS / 255, *drawn, strict=True):
        whole = twin.flipped(image, first, rows=False, columns=True)
        whole = twin.cropped(whole, second, ((2, 0), (1, 3)))
        y, x = twin.between((-0.2, 0.2), third[0]) * 9, twin.between((-0.1, 0.4), third[1]) * 8
        expected.append(twin.moved(whole, [1, 0, -x, 0, 1, -y], "nearest", nearest=False, value=0))
    assert np.allclose(filled(LEVELS, augment, 5), expected, rtol=0, atol=1e-5)


def test_one_number_of_a_factor_stands_for_both_signs():
    drawn = twin.fractions(7, streams.AUGMENTATION, 1, len(LEVELS))
    found = filled(LEVELS, [{"RandomRotation": {"factor": 0.2}}])
    for image, made, (fraction, *_) in zip(LEVELS / 255, found, drawn, strict=True):
        angle = 2 * np.pi * twin.between((-0.2, 0.2), fraction)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        expected = twin.moved(image, twin.around_the_middle(turn, 9, 8), "reflect", nearest=False, value=0)
        assert np.allclose(made, expected, rtol=0, atol=1e-5)


def test_a_fill_value_is_a_number_of_the_data_and_rescaled_as_they_are():
    away = {"RandomTranslation": {"height_factor": [1, 1], "width_factor": 0, "fill_mode": "constant"}}
    away["RandomTranslation"]["fill_value"] = 51
    assert np.array_equal(filled(LEVELS, [away]), np.full(LEVELS.shape, 0.2, np.float32))
    assert np.array_equal(filled(LEVELS, [away], rescale=1), np.full(LEVELS.shape, 51))
    assert np.array_equal(filled(LEVELS.astype(np.float32), [away]), np.full(LEVELS.shape, 51))


def test_brightness_and_contrast_count_in_the_numbers_of_the_data():
    drawn = twin.fractions(7, streams.AUGMENTATION, 1, len(LEVELS))[:, 0].reshape(-1, 1, 1, 1)
    brighter = LEVELS + 255 * twin.between((-0.4, 0.4), drawn)
    expected = np.clip(brighter, 0, 255) / 255
    assert np.allclose(filled(LEVELS, [{"RandomBrightness": {"factor": 0.4}}]), expected, rtol=0, atol=1e-6)
    turned = filled(LEVELS, [{"RandomBrightness": {"factor": 0.4}}], rescale=-1 / 255)
    assert np.allclose(turned, -expected, rtol=0, atol=1e-6)
    mean = LEVELS.mean(axis=(1, 2), keepdims=True)
    for factor, limits in ((0.5, (1, 1.5)), ([0.25, 0.5], (0.75, 1.5))):
        spread = (LEVELS - mean) * twin.between(limits, drawn) + mean
        found = filled(LEVELS, [{"RandomContrast": {"factor": factor, "value_range": [20, 200]}}])
        assert np.allclose(found, np.clip(spread, 20, 200) / 255, rtol=0, atol=1e-6)


def test_the_erased_part_counts_in_the_numbers_of_the_data_and_noise_is_clipped_to_their_range():
    whole = {"factor": [1, 1], "scale": [1, 1]}
    assert np.array_equal(
        filled(LEVELS, [{"RandomErasing": {**whole, "fill_value": 51}}]), np.full(LEVELS.shape, 0.2, np.float32)
    )
    noise = filled(LEVELS, [{"RandomErasing": whole}])
    assert (noise.min(), noise.max()) == (0, 1)
    assert np.unique(noise).size > noise.size / 4
    assert 0.4 < (noise == 0).mean() < 0.6  # the negative half


def test_without_augmentations_the_step_changes_nothing():
    assert np.array_equal(filled(LEVELS, [], 1), LEVELS.astype(np.float32) / 255)
    assert np.array_equal(filled(LEVELS, [], 2), LEVELS.astype(np.float32) / 255)


def test_the_target_of_an_autoencoder_is_the_augmented_input():
    made = feed(LEVELS, ["RandomFlip", {"RandomZoom": {"height_factor": 0.3}}], y=None)
    made.fill(slice(6), 3)
    assert made.inputs.tobytes() == made.target.tobytes()
    assert not np.allclose(made.inputs, LEVELS / 255, atol=0.1)


def test_a_smaller_batch_in_between_does_not_disturb_the_next_one():
    augment = [{"RandomRotation": {"factor": 0.5}}, "RandomFlip"]
    made = feed(LEVELS, augment)
    for rows in (slice(6), slice(2), slice(6)):
        made.fill(rows, 4)
        assert np.array_equal(made.inputs[: rows.stop], filled(LEVELS, augment, 4)[: rows.stop])


def test_half_of_the_images_are_flipped():
    images = np.tile(np.float32([0, 1]).reshape(1, 1, 2, 1), (1000, 1, 1, 1))
    flipped = filled(images, ["RandomFlip"])[:, 0, 0, 0]
    assert flipped.sum() == (twin.fractions(7, streams.AUGMENTATION, 1, 1000)[:, 0] <= 0.5).sum()
    assert 450 < flipped.sum() < 550


def test_what_workers_draw_are_the_words_of_the_position():
    words = random.bits(2**63 + 9, 5, 2**40 + 1, 24).astype(object)
    for position in range(3):
        own = words[8 * position : 8 * position + 8]
        expected = [((high << 32 | low) // 4096 + 0.5) / 2**52 for high, low in zip(own[::2], own[1::2], strict=True)]
        assert list(random.fractions(np.uint64(2**63 + 9), 2**40 + 1, 5, position)) == expected


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ({"RandomTranslation": {"height_factor": 1.5, "width_factor": 0}}, "a number from -1 to 1, or"),
        ({"RandomZoom": {"height_factor": -1}}, "a number > -1 and ≤ 1, or a range [lower, upper]"),
        ({"RandomZoom": {"height_factor": [-1, 0]}}, "a number > -1 and ≤ 1, or a range [lower, upper]"),
        ({"RandomShear": {"x_factor": -0.1}}, "a number from 0 to 1, or"),
        ({"RandomRotation": {"factor": [0.1, 0.2, 0.3]}}, "or a range [lower, upper] of such numbers"),
        ({"RandomRotation": {"factor": 0.1, "fill_mode": "mirror"}}, "one of reflect, wrap, constant, nearest"),
        ({"RandomFlip": {"mode": "both"}}, "one of horizontal, vertical, horizontal_and_vertical"),
        ({"RandomCrop": {"height": 3, "width": 3, "padding": -1}}, "an integer ≥ 0, [height, width], or"),
    ],
)
def test_arguments_out_of_bounds_are_refused_with_the_rule(entry, rule):
    with pytest.raises(ValidationError) as caught:
        AUGMENTATIONS.parse(entry)
    assert rule in str(caught.value)


@pytest.mark.parametrize("factor", [0.2, [0.3, -0.1]])
def test_a_declaration_reads_back_what_it_writes(factor):
    first = AUGMENTATIONS.parse({"RandomTranslation": {"height_factor": factor, "width_factor": 0}})
    assert AUGMENTATIONS.parse({"RandomTranslation": first.plain()}) == first


def test_colours_count_in_the_numbers_of_the_data():
    drawn = twin.fractions(7, streams.AUGMENTATION, 1, len(LEVELS))
    unit = {"value_range": [0, 1]}
    for entry, own in (
        ({"RandomHue": {"factor": 0.5}}, unit),
        ({"RandomColorDegeneration": {"factor": 0.5}}, unit),
        ({"RandomSharpness": {"factor": 0.5}}, unit),
        ({"RandomPosterization": {"factor": [3, 3]}}, unit),
        ({"Solarization": {"threshold_factor": 0.5}}, unit),
        ({"Equalization": {}}, unit),
    ):
        ((name, arguments),) = entry.items()
        of_levels, of_units = {name: arguments}, {name: {**arguments, **own}}
        expected = filled((LEVELS / 255).astype(np.float32), [of_units])
        assert np.allclose(filled(LEVELS, [of_levels if arguments else name]), expected, rtol=0, atol=1e-5), name
        negative = filled(LEVELS, [of_levels if arguments else name], rescale=-1 / 255)
        assert np.allclose(negative, -expected, rtol=0, atol=1e-5), name
    turns = twin.between((0, 0.5), drawn[:, 0]) / 2 * np.where(drawn[:, 1] > 0.5, -1, 1)
    expected = [recoloured(image / 255, turn=turn) for image, turn in zip(LEVELS, turns, strict=True)]
    assert np.allclose(filled(LEVELS, [{"RandomHue": {"factor": 0.5}}]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("entry", "refusal"),
    [
        ("RandomPerspective", "RandomPerspective requires images of at least 2 × 2 pixels; received 3 × 1"),
        (
            "ContrastLimitedAdaptiveHistogramEqualization",
            "8 × 8 tiles (tile_grid_size) are too many for images of 3 × 1 pixels",
        ),
    ],
)
def test_images_that_are_too_small_are_refused(entry, refusal):
    augmentation = AUGMENTATIONS.parse(entry)
    assert augmentation.shape_error((8, 8, 3)) == ""
    assert augmentation.shape_error((3, 1, 3)) == refusal


@pytest.mark.parametrize(("name", "channels"), [("RandomHue", 1), ("RandomSaturation", 4), ("RandomGrayscale", 1)])
def test_what_changes_colours_refuses_images_of_other_than_3_channels(name, channels):
    augmentation = AUGMENTATIONS.parse({name: {"factor": 0.5}})
    assert augmentation.shape_error((8, 8, 3)) == ""
    assert augmentation.shape_error((8, 8, channels)) == (
        f"{name} requires images with 3 channels (red, green, blue); received {channels}"
    )
