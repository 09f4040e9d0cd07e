"""Weights of pixels: of their classes, through augmentation, and in kernels."""

from dataclasses import replace

import numpy as np
import pytest

from cnncli.datasets.augment.augmentation import AUGMENTATIONS
from cnncli.datasets.batches import Feed, OfClasses
from cnncli.datasets.dataset import Dataset, Split
from cnncli.errors import CnncliError, SpecError
from cnncli.graph.model import INPUT, Model, Node, only
from cnncli.graph.network import Network
from cnncli.kernels.jit.runtime import run
from cnncli.kernels.losses import loss_functions
from cnncli.kernels.losses.loss_rules import RULES
from cnncli.layers.convolution import Conv2D
from cnncli.layers.losses import LOSSES
from cnncli.spec.spec import load as load_spec
from cnncli.spec.spec import parse
from cnncli.training.class_weight import Weights, of_pixels
from cnncli.training.loop.plan import RunOptions
from cnncli.training.loop.session import check, read_data
from cnncli.training.sections import CompileSection, FitSection
from tests.kernels.agreement import tensors
from tests.kernels.loss_cases import OF_LOGITS, problem
from tests.training import small

MASKS = np.arange(4 * 6 * 6).reshape(4, 6, 6).astype(np.uint8) % 7 % 3


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.extent is not None])
def test_each_position_weighs_as_if_it_were_a_sample(name):
    given = problem(name, (3, 2, 4, 5), "float32", np.random.default_rng(1))
    weight = np.random.default_rng(2).random((3, 2, 4)).astype(np.float32)
    results = []
    for shape in ((3, 2, 4), (24,)):
        x, target = (array.reshape(*shape, 5) for array in (given.x, given.target))
        own, values, out = weight.reshape(shape), np.empty(shape[0], np.float32), np.full_like(x, 7)
        filled = tensors(out) if name in OF_LOGITS else []
        run(loss_functions.loss(name, given.arguments, *tensors(x, target, own, values), *filled))
        prediction, slope = out if name in OF_LOGITS else x, np.empty_like(x)
        run(loss_functions.gradient(name, given.arguments, *tensors(prediction, target, own, slope)))
        results.append((values.reshape(3, -1).mean(1), slope.reshape(24, 5)))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-9)


def network(channels=3, loss="categorical_crossentropy"):
    layer = Conv2D(filters=channels, kernel_size=(1, 1), activation="softmax" if channels > 1 else "sigmoid")
    model = Model((6, 6, 1), (Node("conv", layer, (INPUT,)),))
    return Network(model, LOSSES.parse(loss), batch_size=4, weigh_positions=True)


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_of_classes_follow_masks_through_augmentation(channels):
    made, masks = network(channels, "binary_crossentropy"), MASKS % max(2, channels)
    table = np.array([0.5, 2, 7], np.float32)[: max(2, channels)]
    augment = [AUGMENTATIONS.parse({"RandomFlip": {}})]
    split = Split(np.zeros((4, 6, 6, 1), np.uint8), masks, "own.npz", "x_train")
    Feed.of(split, 1.0, made, augment=augment, seed=1, weights=OfClasses(table)).fill(slice(4), 3)
    targets = only(made.targets)
    numbers = targets[..., 0].astype(int) if channels == 1 else targets.argmax(-1)
    assert not np.array_equal(numbers, masks)
    assert np.array_equal(made.sample_weight, table[numbers])


def dataset(y, classes=("background", "cell", "edge")):
    return Dataset("own", Split(np.zeros((len(y), 6, 6, 1), np.uint8), y, "own", "train"), None, None, classes, "")


def test_balanced_gives_the_pixels_of_every_class_the_same_weight_in_all():
    counts = np.bincount(MASKS.ravel())
    np.testing.assert_allclose(of_pixels("balanced", dataset(MASKS), 3).table * counts, MASKS.size / 3, rtol=1e-6)
    void = np.where(MASKS == 2, 255, MASKS).astype(np.uint8)
    table = of_pixels("balanced", dataset(void), 3, 255).table
    np.testing.assert_allclose(table * [counts[0], counts[1], 1], [counts[:2].sum() / 2] * 2 + [1], rtol=1e-6)
    rows = np.eye(3, dtype=np.float32)[MASKS]
    assert np.array_equal(of_pixels("balanced", dataset(rows), 3).table, of_pixels("balanced", dataset(MASKS), 3).table)


def test_classes_that_are_not_listed_weigh_1():
    assert of_pixels(Weights(cell=3.0), dataset(MASKS), 3).table.tolist() == [1, 3, 1]


SPEC = """
data: {dataset: synthetic, targets: masks}
model: {layers: [Conv2D: {filters: 3, kernel_size: 1, activation: softmax}]}
compile: {optimizer: adam, loss: LOSS}
fit: {class_weight: GIVEN}
"""


def test_class_weight_of_masks_needs_a_loss_of_each_pixel():
    whole = SPEC.replace("synthetic", "{synthetic: {classes: 2}}").replace("GIVEN", "{1: 3}")
    assert parse(whole.replace("LOSS", "{dice: {axis: -1}}"), "own.yaml").fit.class_weight == {"1": 3}
    with pytest.raises(SpecError, match=r"5:21: class_weight weighs pixels, of which dice has no loss each"):
        parse(whole.replace("LOSS", "[categorical_crossentropy, dice]"), "own.yaml")


def plan(folder, **arrays):
    random = np.random.default_rng(3)
    np.savez(folder / "bars.npz", x_train=random.random((12, 6, 6)).astype(np.float32), **arrays)
    made = small.plan(folder, validation_split=0.0)
    return replace(
        made,
        data=made.data.replace(targets="masks"),
        model=network().model,
        compile=CompileSection(optimizer="adam", loss="categorical_crossentropy"),
        fit=FitSection(epochs=2, batch_size=4, class_weight="balanced"),
    )


def test_a_resumed_run_weighs_on_and_threads_change_no_bits(tmp_path):
    made = plan(tmp_path, y_train=np.tile(MASKS, (3, 1, 1)))
    made = replace(made, data=made.data.replace(augment=["RandomFlip"]))
    small.run(made, tmp_path / "whole", threads=1)
    small.interrupt(made, tmp_path / "part", epoch=2, batch=1)
    small.run(made, resume=tmp_path / "part")
    assert small.outcome(tmp_path / "whole") == small.outcome(tmp_path / "part")


def test_weights_of_pixels_with_augmentations_are_refused_by_check(tmp_path):
    arrays = {"x_train": np.zeros((12, 6, 6), np.uint8), "y_train": np.tile(MASKS, (3, 1, 1))}
    np.savez(tmp_path / "own.npz", **arrays, sample_weight=np.ones((12, 6, 6), np.float32))
    text = SPEC.replace("{dataset: synthetic", "{dataset: own.npz, augment: [RandomFlip]")
    text = text.replace("LOSS", "categorical_crossentropy").replace("class_weight: GIVEN", "epochs: 1")
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(SpecError, match=r"2:36: weights of pixels do not follow augmentations: omit `augment`"):
        load_spec(tmp_path / "own.yaml")
    load_spec(tmp_path / "own.yaml", ["data.sample_weight=null"])
    np.savez(tmp_path / "own.npz", **arrays, sample_weight=np.ones(12, np.float32))
    load_spec(tmp_path / "own.yaml")


def test_weights_of_pixels_are_not_augmented(tmp_path):
    weights = np.ones((12, 6, 6), np.float32)
    made = plan(tmp_path, y_train=np.tile(MASKS, (3, 1, 1)), sample_weight=weights)
    made = replace(made, fit=made.fit.replace(class_weight=None), data=made.data.replace(augment=["RandomFlip"]))
    with pytest.raises(CnncliError, match="weights of pixels do not follow augmentations: omit `augment` under `data`"):
        check(made, read_data(made), RunOptions(output=tmp_path / "run"), 1)
