"""MixUp and CutMix as declared: images and their targets are mixed by the same draws."""

import numpy as np
import pytest

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.datasets.section import AUGMENTATIONS
from cnncli.errors import InterruptedRun
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.losses import BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError
from cnncli.ops import streams
from tests.reference import mix as twin
from tests.training import small
from tests.training.small import BATCHES, interrupter, outcome

LEVELS = np.random.default_rng(0).integers(0, 256, (6, 9, 8, 3)).astype(np.uint8)
LABELS = np.array([0, 2, 1, 1, 0, 2])
STREAMS = streams.AUGMENTATION, streams.NOISE
FLIP = {"RandomFlip": {"mode": "horizontal"}}


def filled(augment, y, outputs, loss, *, step=3, rows=6):
    inputs, targets = np.zeros((8, 9, 8, 3), np.float32), np.zeros((8, *outputs), np.float32)
    split = Split(LEVELS, y, "own.npz", "x_train")
    parsed = [AUGMENTATIONS.parse(entry) for entry in augment]
    feed = Feed(split, "auto", loss, inputs, {"output": targets}, augment=parsed, seed=7)
    feed.fill(slice(rows), step)
    return inputs[:rows], targets[:rows]


@pytest.mark.parametrize("rows", [6, 4, 1])
def test_mixup_blends_images_and_targets_alike(rows):
    images, targets = filled([{"MixUp": {"alpha": 0.7}}], LABELS, (3,), CategoricalCrossentropy(), rows=rows)
    order, weight, _, _ = twin.drawn(7, *STREAMS, 3, rows, (0.7, 0.7))
    assert np.allclose(images, twin.blended(LEVELS[:rows] / 255, order, weight), rtol=0, atol=1e-6)
    assert np.allclose(targets, twin.blended(np.eye(3)[LABELS[:rows]], order, weight), rtol=0, atol=1e-6)
    assert np.allclose(targets.sum(axis=1), 1)


def test_cutmix_pastes_parts_of_images_and_blends_their_targets():
    images, targets = filled([{"CutMix": {"factor": [0.3, 0.9]}}], LABELS, (3,), CategoricalCrossentropy())
    draws = twin.drawn(7, *STREAMS, 3, 6, (0.3 + 1e-6, 0.9 + 1e-6))
    assert np.array_equal(images, twin.pasted(LEVELS.astype(np.float32) / 255, *draws))
    assert np.allclose(targets, twin.blended(np.eye(3)[LABELS], *draws[:2]), rtol=0, atol=1e-6)
    plain, _ = filled(["CutMix"], LABELS, (3,), CategoricalCrossentropy())
    draws = twin.drawn(7, *STREAMS, 3, 6, (1e-6, 1 + 1e-6))
    assert np.array_equal(plain, twin.pasted(LEVELS.astype(np.float32) / 255, *draws))


def test_what_follows_sees_mixed_images_and_draws_from_a_stream_of_its_own():
    one, _ = filled(["MixUp"], LABELS, (3,), CategoricalCrossentropy())
    both, targets = filled(["MixUp", "CutMix"], LABELS, (3,), CategoricalCrossentropy())
    draws = twin.drawn(7, *(stream + 1 for stream in STREAMS), 3, 6, (1e-6, 1 + 1e-6))
    assert np.array_equal(both, twin.pasted(one, *draws))
    first = twin.drawn(7, *STREAMS, 3, 6, (0.2, 0.2))
    expected = twin.blended(twin.blended(np.eye(3)[LABELS], *first[:2]), *draws[:2])
    assert np.allclose(targets, expected, rtol=0, atol=1e-6)


def test_single_outputs_and_dense_rows_are_blended_as_numbers():
    order, weight, _, _ = twin.drawn(7, *STREAMS, 3, 6, (0.2, 0.2))
    halves = LABELS % 2
    _, targets = filled(["MixUp"], halves, (1,), BinaryCrossentropy())
    assert np.allclose(targets, twin.blended(halves[:, None], order, weight), rtol=0, atol=1e-6)
    dense = np.random.default_rng(1).normal(0, 9, (6, 4)).astype(np.float32)
    _, targets = filled(["MixUp"], dense, (4,), MeanSquaredError())
    assert np.allclose(targets, twin.blended(dense, order, weight), rtol=0, atol=1e-5)


def test_the_target_of_an_autoencoder_is_the_mixed_input():
    for augment in (["MixUp"], ["CutMix", FLIP]):
        images, targets = filled(augment, None, (9, 8, 3), MeanSquaredError())
        assert images.tobytes() == targets.tobytes()
        assert not np.allclose(images, LEVELS / 255, atol=0.1)


@pytest.mark.parametrize("entry", [{"MixUp": {"alpha": 0}}, {"MixUp": {"alpha": 1.1}}, {"CutMix": {"factor": -0.1}}])
def test_arguments_out_of_bounds_are_refused(entry):
    with pytest.raises(ValidationError, match=r"(≤|to) 1"):
        AUGMENTATIONS.parse(entry)


def test_neither_threads_nor_interruptions_change_a_bit_of_mixed_training(tmp_path):
    small.write_data(tmp_path)
    plan = small.plan(tmp_path, augment=(FLIP, {"CutMix": {}}, {"MixUp": {"alpha": 0.4}}))
    small.run(plan, tmp_path / "whole", threads=1)
    with pytest.raises(InterruptedRun):
        small.run(plan, tmp_path / "run", report=interrupter(BATCHES + 1))
    small.run(plan, resume=tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")
