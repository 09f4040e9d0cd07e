"""fit.class_weight: Keras' losses and weights, and what it may name."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnncli.datasets.dataset import Dataset, Split
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError, DeclarationError, SpecError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.layers.core import Dense, Flatten
from cnncli.spec.spec import parse
from cnncli.training import class_weight
from cnncli.training.class_weight import Weights, of_rows
from cnncli.training.loop.plan import RunOptions
from cnncli.training.loop.session import check, read_data
from cnncli.training.sections import CompileSection, FitSection
from tests.datasets.photos import classes, table
from tests.training import small

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "class_weight.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_two_epochs_are_those_of_keras(tmp_path, monkeypatch, case):
    x, y = np.array(case["x"], np.float32), np.array(case["y"])
    np.savez(tmp_path / "bars.npz", x_train=x[:13], y_train=y[:13], x_val=x[13:], y_val=y[13:])
    kernel, bias = (np.array(array, np.float32) for array in case["start"])
    units = len(bias)
    dense = Dense(units=units, activation="softmax" if units > 1 else "sigmoid")
    loss = "categorical_crossentropy" if units > 1 else "binary_crossentropy"
    plan = replace(
        small.plan(tmp_path, validation_split=0.0),
        model=Model((2, 2, 1), (Node("flatten", Flatten(), (INPUT,)), Node("dense", dense, ("flatten",)))),
        compile=CompileSection(optimizer={"SGD": {"learning_rate": 0.5}}, loss=loss),
        fit=FitSection(epochs=2, batch_size=5, shuffle=False, class_weight=case["class_weight"]),
    )
    start = {"dense/kernel": kernel, "dense/bias": bias}
    small.assert_fits_as_keras(plan, tmp_path / "run", monkeypatch, start, case)


def dataset(y, classes=("cats", "dogs", "owls"), rows=None):
    split = Split(np.zeros((len(y), 1, 1, 1), np.uint8), np.array(y), "photos", "train", rows=rows)
    return Dataset("photos", split, None, None, classes, "")


def test_balanced_gives_every_class_the_same_weight_in_all():
    rows = of_rows("balanced", dataset([0, 0, 0, 0, 1, 1]))  # 6 / (2 · 4) and 6 / (2 · 2)
    np.testing.assert_allclose(rows, [0.75] * 4 + [1.5] * 2)


def test_balanced_counts_only_the_rows_that_are_trained_on():
    rows = of_rows("balanced", dataset([0, 0, 0, 0, 1, 1], rows=np.array([0, 1, 4])))
    np.testing.assert_allclose(rows, [0.75] * 4 + [1.5] * 2)
    np.testing.assert_allclose(
        of_rows("balanced", dataset([0, 0, 1, 2], rows=np.array([0, 1, 2]))), [0.75, 0.75, 1.5, 1]
    )


@pytest.mark.parametrize("y", [[0, 2, 0], [[1.0, 0, 0], [0, 0, 1], [1, 0, 0]]], ids=["class numbers", "one-hot rows"])
def test_a_class_goes_by_its_name_or_its_number_and_others_weigh_1(y):
    np.testing.assert_allclose(of_rows(Weights(owls=5.0), dataset(y)), [1, 5, 1])
    np.testing.assert_allclose(of_rows(Weights({"0": 2.0}), dataset(y)), [2, 1, 2])


def test_a_name_that_is_a_number_goes_before_the_number():
    np.testing.assert_allclose(of_rows(Weights({"1": 3.0}), dataset([0, 1], ("1", "2"))), [3, 1])


def test_classes_that_are_unknown_or_there_twice_are_refused():
    with pytest.raises(DeclarationError, match="must name classes of the data, cats, dogs, owls; received 'dgos'"):
        of_rows(Weights(dgos=1.0), dataset([0, 1]))
    with pytest.raises(DeclarationError, match="must name a class once; 'dogs' is there twice"):
        of_rows(Weights({"dogs": 1.0, "1": 2.0}), dataset([0, 1]))


@pytest.mark.parametrize("y", [[[1.0, 1.0], [0.0, 1.0]], [[0.5], [2.0]]], ids=["several classes", "numbers"])
def test_targets_that_have_not_one_class_each_are_refused_before_training(tmp_path, y):
    with pytest.raises(CnncliError, match="must say one class for each image, because fit has a class_weight"):
        of_rows("balanced", dataset(y))
    np.savez(tmp_path / "bars.npz", x_train=np.zeros((2, 8, 8), np.uint8), y_train=np.array(y, np.float32))
    units = len(y[0])
    dense = Node("dense", Dense(units=units), ("flatten",))
    plan = replace(
        small.plan(tmp_path, validation_split=0.0),
        model=Model((8, 8, 1), (Node("flatten", Flatten(), (INPUT,)), dense)),
        compile=CompileSection(optimizer="sgd", loss="mean_squared_error"),
        fit=FitSection(class_weight=class_weight.BALANCED),
    )
    with pytest.raises(CnncliError, match="one class for each image"):
        check(plan, read_data(plan), RunOptions(output=tmp_path / "run"), 1)


SPEC = """
data: {dataset: DATA}
model: {layers: [Flatten, Dense: {units: 3, activation: softmax}]}
compile: {optimizer: adam, loss: categorical_crossentropy}
fit: {class_weight: {GIVEN: 2.5, 1: 0}}
"""


def spec(folder, data, given):
    return parse(SPEC.replace("DATA", data).replace("GIVEN", given), str(folder / "own.yaml"))


def test_the_classes_of_a_folder_are_known_when_the_spec_is_checked(tmp_path):
    classes(tmp_path / "photos", ("cats", "dogs", "owls"), count=1)
    assert spec(tmp_path, "photos", "owls").fit.class_weight == {"owls": 2.5, "1": 0}
    with pytest.raises(SpecError, match=r"own.yaml:5:21: class_weight must name classes .*, owls; received 'awls'"):
        spec(tmp_path, "photos", "awls")


def test_images_of_several_classes_have_no_one_class_to_weigh(tmp_path):
    table(tmp_path / "photos", "file,cats,dogs,owls\na.png,1,1,0\nb.png,0,0,1\n")
    text = SPEC.replace("softmax", "sigmoid").replace("categorical", "binary").replace("GIVEN", "owls")
    with pytest.raises(
        SpecError,
        match=r"own.yaml:5:21: class_weight requires one class per image, but this data is multi-label: remove it",
    ):
        parse(text.replace("DATA", "photos"), str(tmp_path / "own.yaml"))


def test_the_classes_of_arrays_are_known_when_they_are_read(tmp_path):
    np.savez(tmp_path / "own.npz", x_train=np.zeros((4, 8, 8), np.uint8), y_train=np.array([0, 1, 2, 1]))
    given = spec(tmp_path, "own.npz", "3").fit.class_weight
    with pytest.raises(DeclarationError, match="classes of the data, 0, 1, 2; received '3'"):
        of_rows(given, load(DataSection(dataset="own.npz"), tmp_path))


def test_a_resolved_spec_says_the_same(tmp_path):
    classes(tmp_path / "photos", ("cats", "dogs", "owls"), count=1)
    made = spec(tmp_path, "photos", "0")
    assert parse(made.to_yaml(), str(tmp_path / "again.yaml")).fit == made.fit


def test_a_resumed_run_weighs_on_as_it_began(tmp_path):
    small.write_data(tmp_path)
    whole = replace(small.plan(tmp_path), fit=FitSection(epochs=2, batch_size=8, class_weight="balanced"))
    small.run(whole, tmp_path / "whole")
    small.run(replace(whole, fit=whole.fit.replace(epochs=1)), tmp_path / "part")
    small.run(whole, resume=tmp_path / "part")
    assert small.outcome(tmp_path / "whole") == small.outcome(tmp_path / "part")


def test_a_class_is_known_in_both_forms_of_unicode():
    names = ("caf\u00e9", "the\u0301")
    assert class_weight.by_number(Weights({"cafe\u0301": 2.0, "th\u00e9": 3.0}), names) == {0: 2, 1: 3}
