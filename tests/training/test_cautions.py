"""Data that augmentations and metrics take for something else are warned of before a training."""

from dataclasses import replace

import numpy as np
import pytest

from cnncli.datasets.dataset import Dataset, Split
from cnncli.datasets.section import DataSection
from cnncli.training.cautions import of_data
from cnncli.training.sections import CompileSection, FitSection

UNIT = np.linspace(0, 1, 24, dtype=np.float32).reshape(3, 2, 4, 1)
BYTES = np.arange(24, dtype=np.uint8).reshape(3, 2, 4, 1)


def dataset(x, y, **others):
    train = Split(x, y, "own.npz", "x_train")
    return Dataset("own.npz", train, others.get("validation"), None, (), "")


def said(x, *augment, y=None, metrics=(), **others):
    data = DataSection(dataset="own.npz", augment=list(augment))
    compiled = CompileSection(optimizer="sgd", loss="binary_crossentropy", metrics=list(metrics))
    return of_data(data, compiled, dataset(x, y, **others))


@pytest.mark.parametrize(
    ("x", "value_range", "advice"),
    [
        (UNIT, None, "from 0 to 1: say `value_range: [0, 1]`"),
        (UNIT, [0, 1], None),
        (UNIT, [1, 0], None),  # ends may be turned around
        (UNIT * 1.00001, [0, 1], None),
        (UNIT * 255, None, None),
        (UNIT * 255, [0, 1], "from 0 to 255: say `value_range: [0, 255]`"),
        (UNIT * 2, None, "from 0 to 2: say `value_range: [0, 2]`"),
        (UNIT * 4 - 2, None, "from -2 to 2: say `value_range: [-2, 2]`"),
        (BYTES, None, None),
        (BYTES, [0, 1], "from 0 to 255: say `value_range: [0, 255]`"),
    ],
)
def test_a_range_of_values_that_the_images_do_not_have_is_told_with_the_one_they_have(x, value_range, advice):
    for name in ("RandomBrightness", "RandomContrast"):
        arguments = {"factor": 0.2} | ({} if value_range is None else {"value_range": value_range})
        found = said(x, {name: arguments})
        assert len(found) == (advice is not None)
        if advice:
            assert found[0].startswith(
                f"{name} takes images for numbers from 0 to {(value_range or [255])[-1]}; those of"
            )
            assert found[0].endswith(f"of own.npz are {advice}")


def test_each_augmentation_that_changes_tones_is_told_and_no_other():
    found = said(
        UNIT, "RandAugment", {"RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1}}, "AutoContrast"
    )
    assert [text.split()[0] for text in found] == ["RandAugment", "AutoContrast"]


@pytest.mark.parametrize(("weights", "told"), [(None, 0), ([0, 0, 1], 0), ([0, 0, 0], 1), ([[0], [0], [2]], 0)])
def test_images_whose_weights_are_all_zero_are_told(weights, told):
    train = Split(BYTES, np.eye(3, dtype=np.float32), "own.npz", "x_train")
    train = replace(train, weights=None if weights is None else np.array(weights, np.float32))
    data, compiled = DataSection(dataset="own.npz"), CompileSection(optimizer="sgd", loss="mse")
    found = of_data(data, compiled, Dataset("own.npz", train, None, None, (), ""))
    assert found == ["own.npz: the weights of all training images are 0: no layer learns from them"] * told


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"0": 0, "1": 0}, 1),
        ({"0": 0, "1": 1}, 0),
        ({"0": 0}, 0),
        ({"0": 0, "1": 0, "2": 3}, 1),
        ("balanced", 0),
        (None, 0),
    ],
)
@pytest.mark.parametrize("masks", [False, True])
def test_classes_whose_weights_are_all_zero_are_told(weights, told, masks):
    y = np.array([0, 1, 1]) if not masks else np.array([[[0, 1]], [[1, 255]], [[0, 0]]], np.uint8)
    train = Split(BYTES, y, "own.npz", "x_train")
    loss = {"sparse_categorical_crossentropy": {"ignore_class": 255}}
    compiled = CompileSection(optimizer="sgd", loss=loss)
    given = FitSection(class_weight=weights).class_weight
    found = of_data(DataSection(dataset="own.npz"), compiled, Dataset("own.npz", train, None, None, "012", ""), given)
    text = "own.npz: class_weight is 0 for all classes of training images: no layer learns from them"
    assert found == [text] * told


ONE = np.eye(3, dtype=np.float32)
SEVERAL = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0]], np.float32)
ACCURACY = "accuracy counts the class with the greatest output, and rows of own.npz: y_train have any number of classes"


def test_accuracy_of_rows_with_several_classes_is_told_with_the_metric_that_is_meant():
    assert said(UNIT, y=SEVERAL, metrics=["accuracy"]) == [f"{ACCURACY} (row 1 has 2): use `binary_accuracy`"]
    assert said(UNIT, y=SEVERAL[[2, 0, 0]], metrics=["accuracy"]) == [
        f"{ACCURACY} (row 0 has 0): use `binary_accuracy`"
    ]
    pixels = np.broadcast_to(SEVERAL[:, None, None], (3, 2, 4, 3))
    assert said(UNIT, y=pixels, metrics=["accuracy"]) == [f"{ACCURACY} (row 1 has 2): use `binary_accuracy`"]


def test_accuracy_of_validation_rows_counts_as_well():
    validation = Split(UNIT, SEVERAL, "own.npz", "x_val")
    (found,) = said(UNIT, y=ONE, metrics=["accuracy"], validation=validation)
    assert "rows of own.npz: y_val have any number of classes (row 1 has 2)" in found


@pytest.mark.parametrize("y", [ONE, ONE * 0.5 + 0.1, np.array([0, 1, 1]), SEVERAL[:, :1], SEVERAL.astype(np.float32)])
def test_other_rows_and_other_metrics_are_not_told(y):
    assert not said(UNIT, y=y, metrics=["binary_accuracy"])
    assert bool(said(UNIT, y=y, metrics=["accuracy"])) == (y.shape == (3, 3) and y.sum() == 3 and y[2].sum() == 0)
