"""Augmentations on images of any number of channels: each channel as if it were alone, or a refusal."""

import numpy as np
import pytest

from cnncli.datasets.augment.augmentation import AUGMENTATIONS
from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.layers.losses import LOSSES
from tests.cli.test_train import cnncli

MSE = LOSSES.parse("mean_squared_error")
SIZE = 12
OF_COLORS = ("RandomHue", "RandomSaturation", "RandomColorDegeneration", "RandomGrayscale", "RandomColorJitter")
OF_LEVELS = ("RandAugment", "AugMix")
"""They need 1 or 3 channels."""
DRAWN_BY_NUMBER = ("RandomGaussianNoise", "RandomErasing", "RandomInvert")
GIVEN = {"RandomColorJitter": {"hue_factor": 0.2}, "RandomCrop": {"height": SIZE, "width": SIZE}}


def augmentation(name):
    cls = AUGMENTATIONS.classes[name]
    needed = {key: each.kind.sample for key, each in cls.fields.items() if each.required}
    return AUGMENTATIONS.parse({name: GIVEN.get(name, needed)})


def augmented(x, each):
    inputs, targets = np.zeros(x.shape, np.float32), np.zeros((len(x), 3), np.float32)
    split = Split(x, np.arange(len(x)) % 3, "own", "x_train")
    feed = Feed(split, "auto", MSE, inputs, {"y": targets}, augment=[each], seed=4)
    feed.fill(np.arange(len(x)), 2)
    return inputs


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 13])
@pytest.mark.parametrize("name", sorted(AUGMENTATIONS.classes))
def test_each_channel_is_changed_as_if_it_were_alone(name, channels):
    each = augmentation(name)
    said = each.shape_error((SIZE, SIZE, channels))
    if name in OF_COLORS:
        assert said.endswith(f" requires images with 3 channels (red, green, blue); received {channels}")
        return
    if name in OF_LEVELS and channels > 1:
        assert said == f"{name} requires images with 1 or 3 channels; received {channels}"
        return
    assert said == ""
    x = np.random.default_rng(channels).integers(0, 256, (6, SIZE, SIZE, channels)).astype(np.uint8)
    made = augmented(x, each)
    assert np.isfinite(made).all()
    assert made.shape == x.shape
    if name in DRAWN_BY_NUMBER:
        return
    for channel in range(channels):
        alone = augmented(np.ascontiguousarray(x[..., channel : channel + 1]), each)
        assert np.array_equal(made[..., channel], alone[..., 0])


def test_what_needs_colors_is_told_in_one_line_when_the_spec_is_checked(tmp_path):
    np.savez(tmp_path / "own.npz", x_train=np.zeros((4, 8, 8, 5), np.uint8), y_train=[0, 1, 0, 1])
    (tmp_path / "own.yaml").write_text(
        "data: {dataset: own.npz, augment: [RandomFlip, RandomHue: {factor: 0.2}]}\n"
        "model: {layers: [Flatten, Dense: {units: 2, activation: softmax}]}\n"
        "compile: {optimizer: adam, loss: sparse_categorical_crossentropy}\n"
    )
    done = cnncli(tmp_path, "check", "own.yaml")
    assert done.returncode == 2
    line, *_, last = done.stderr.splitlines()
    assert line == "own.yaml:1:48: RandomHue requires images with 3 channels (red, green, blue); received 5"
    assert last.startswith("error: 1 problem in the spec")
