"""`fit` with weights of samples, steps and epochs: Keras' losses and weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnncli.graph.model import INPUT, Model, Node
from cnncli.layers.convolution import Conv2D
from cnncli.layers.core import Dense, Flatten
from cnncli.training.runs import checkpoint
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


@pytest.mark.parametrize("case", FIXTURE["cases"], ids=[case["name"] for case in FIXTURE["cases"]])
def test_epochs_are_those_of_keras(tmp_path, monkeypatch, case):
    write_data(tmp_path / "bars.npz", case)
    made, start = plan(tmp_path, case)
    small.assert_fits_as_keras(made, tmp_path / "run", monkeypatch, start, case)


STEPS = {"steps_per_epoch": 4, "validation_freq": 2, "validation_steps": 1, "initial_epoch": 1}


def steps(folder, **options):
    """A plan whose epochs have 4, then 2 of 6 batches, and are validated at times."""
    small.write_data(folder)
    made = small.plan(folder)
    return replace(made, fit=FitSection(**{"epochs": 5, "batch_size": 8, **STEPS, **options}))


@pytest.mark.parametrize(("epoch", "batch"), [(2, 3), (3, 1), (4, 4)])
def test_an_interrupted_run_goes_on_where_it_was(tmp_path, epoch, batch):
    made = steps(tmp_path)
    small.run(made, tmp_path / "whole")
    small.interrupt(made, tmp_path / "part", epoch=epoch, batch=batch)
    small.run(made, resume=tmp_path / "part")
    assert small.outcome(tmp_path / "whole") == small.outcome(tmp_path / "part")


def test_epochs_of_a_run_may_grow(tmp_path):
    made = steps(tmp_path)
    small.run(made, tmp_path / "whole")
    small.run(replace(made, fit=made.fit.replace(epochs=2)), tmp_path / "part")
    small.run(made, resume=tmp_path / "part")
    assert small.outcome(tmp_path / "whole") == small.outcome(tmp_path / "part")


def test_every_row_is_trained_once_before_any_is_trained_again():
    epochs = FitSection(batch_size=8, steps_per_epoch=4, initial_epoch=1).epochs_of(45)
    sizes = [[portion.stop - portion.start for portion in epochs.portions(epoch)] for epoch in range(1, 5)]
    assert sizes == [[8, 8, 8, 8], [8, 5], [8, 8, 8, 8], [8, 5]]
    assert [epochs.passes(epoch) for epoch in range(1, 5)] == [1, 1, 2, 2]
    assert [epochs.before(epoch) for epoch in range(1, 6)] == [0, 4, 6, 10, 12]
    whole = FitSection(batch_size=8).epochs_of(45)
    assert [(whole.passes(epoch), whole.before(epoch), len(whole.portions(epoch))) for epoch in (0, 3)] == [
        (0, 0, 6),
        (3, 18, 6),
    ]


def test_the_best_epoch_is_one_that_was_validated(tmp_path):
    made = steps(tmp_path, initial_epoch=0, epochs=5)
    result = small.run(made, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert ["val_loss" in line for line in lines] == [False, True, False, True, False]
    best = min((line for line in lines if "val_loss" in line), key=lambda line: line["val_loss"])
    assert (result.epoch, result.figures["val_loss"]) == (best["epoch"], best["val_loss"])


def test_without_a_validated_epoch_the_last_one_counts(tmp_path):
    made = steps(tmp_path, initial_epoch=0, epochs=3, validation_freq=9, callbacks=["EarlyStopping"])
    result = small.run(made, tmp_path / "run")
    assert (result.epoch, "val_loss" in result.figures) == (3, False)


def test_nothing_is_trained_after_the_last_epoch(tmp_path):
    result = small.run(steps(tmp_path, initial_epoch=5), tmp_path / "run")
    assert (result.epoch, result.figures) == (0, {})


def test_batches_of_the_validation_change_no_weights(tmp_path):
    made = steps(tmp_path, initial_epoch=0, epochs=2, steps_per_epoch=None)
    for name, size in (("a", None), ("b", 3), ("c", 40)):
        small.run(replace(made, fit=made.fit.replace(validation_batch_size=size)), tmp_path / name)
    kept = [checkpoint.load(tmp_path / name / "last.safetensors").weights for name in "abc"]
    for name, tensor in kept[0].items():
        assert tensor.tobytes() == kept[1][name].tobytes() == kept[2][name].tobytes()
