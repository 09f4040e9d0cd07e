"""`fit` with weights of samples, steps and epochs: Keras' losses and weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnncli.graph.model import INPUT, Model, Node
from cnncli.layers.convolution import Conv2D
from cnncli.layers.core import Dense, Flatten
from cnncli.training.sections import CompileSection, FitSection
from tests.training import small

FIXTURE = json.loads((Path(__file__).parents[1] / "fixtures" / "fit.json").read_text())
X = np.array(FIXTURE["x"], np.float32)
VOID = {"sparse_categorical_crossentropy": {"ignore_class": 255}}
MODELS = {
    "classes": ("softmax", "sparse_categorical_crossentropy"),
    "void": ("softmax", VOID),
    "one": ("sigmoid", "binary_crossentropy"),
    "one_mask": ("sigmoid", "binary_crossentropy"),
    "numbers": ("linear", "mean_squared_error"),
    "soft": ("softmax", "categorical_crossentropy"),
    "masks": ("softmax", "sparse_categorical_crossentropy"),
    "void_masks": ("softmax", VOID),
}
"""The last activation and the loss by the kind of targets."""


def write_data(path, case):
    """Save the arrays of a case as an archive."""
    y, weights = np.array(case["y"]), np.array(case["sample_weight"], np.float32)
    y = y.astype(np.float32) if y.dtype.kind == "f" else y
    count = len(y) if "validation_split" in case["options"] else 13
    parts = {"train": slice(0, count), "val": slice(count, None)} if count == 13 else {"train": slice(0, count)}
    arrays = {f"{axis}_{name}": of[rows] for name, rows in parts.items() for axis, of in (("x", X), ("y", y))}
    given = {"train": {"train", "pixels"}, "val": {"val", "val_pixels"}}
    for name, rows in parts.items():
        if given[name] & set(case["weights"]):
            arrays[f"sample_weight_{name}"] = weights[rows]
    np.savez(path, **arrays)


def plan(folder, case):
    """The plan of a case and the weights it begins with."""
    kernel, bias = (np.array(array, np.float32) for array in case["start"])
    activation, loss = MODELS[case["kind"]]
    masked, units = "mask" in case["kind"], len(bias)
    nodes = [
        Node("flatten", Flatten(), (INPUT,)),
        Node("last", Dense(units=units, activation=activation), ("flatten",)),
    ]
    if masked:
        kernel = kernel[None, None]
        nodes = [Node("last", Conv2D(filters=units, kernel_size=(1, 1), activation=activation), (INPUT,))]
    options = dict(case["options"])
    split = options.pop("validation_split", 0.0)
    made = small.plan(folder, validation_split=split)
    if {"class", "class_pixels"} & set(case["weights"]):
        options["class_weight"] = {"0": 0.5, "2": 3.0} if units > 1 else {"0": 0.5}
    made = replace(
        made,
        data=made.data.replace(targets="masks" if masked else "values" if case["kind"] == "numbers" else "labels"),
        model=Model((4, 3, 2), tuple(nodes)),
        compile=CompileSection(optimizer={"SGD": {"learning_rate": 0.25}}, loss=loss),
        fit=FitSection(**{"epochs": 2, "batch_size": 5, "shuffle": False, **options}),
    )
    return made, {"last/kernel": kernel, "last/bias": bias}


FIXTURE["cases"] = [case for case in FIXTURE["cases"] if not case["options"] and "pixels" not in str(case["weights"])]


@pytest.mark.parametrize("case", FIXTURE["cases"], ids=[case["name"] for case in FIXTURE["cases"]])
def test_epochs_are_those_of_keras(tmp_path, monkeypatch, case):
    write_data(tmp_path / "bars.npz", case)
    made, start = plan(tmp_path, case)
    small.assert_fits_as_keras(made, tmp_path / "run", monkeypatch, start, case)
