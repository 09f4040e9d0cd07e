"""Trainings with other losses than cross-entropies, and with a sum of several, are Keras'."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnncli.graph.model import INPUT, Model, Node
from cnncli.layers.core import Dense, Flatten
from cnncli.training.sections import CompileSection, FitSection
from tests.training import small

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "fitted.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_two_epochs_are_those_of_keras(tmp_path, monkeypatch, case):
    x, y = np.array(case["x"], np.float32), np.array(case["y"])
    np.savez(tmp_path / "bars.npz", x_train=x[:13], y_train=y[:13], x_val=x[13:], y_val=y[13:])
    last = Dense(units=3, activation=case["activation"])
    plan = replace(
        small.plan(tmp_path, validation_split=0.0),
        model=Model((2, 2, 1), (Node("flatten", Flatten(), (INPUT,)), Node("last", last, ("flatten",)))),
        compile=CompileSection(optimizer={"SGD": {"learning_rate": 0.5}}, loss=case["losses"]),
        fit=FitSection(epochs=2, batch_size=5, shuffle=False, class_weight=case["class_weight"]),
    )
    start = dict(
        zip(("last/kernel", "last/bias"), (np.array(array, np.float32) for array in case["start"]), strict=True)
    )
    small.assert_fits_as_keras(plan, tmp_path / "run", monkeypatch, start, case)
