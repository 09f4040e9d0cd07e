"""Training with frozen layers is Keras' `fit` with `trainable = False`: normalization keeps and uses its statistics."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnncli.spec.spec import parse
from cnncli.training.sections import CompileSection, FitSection
from tests.training import small

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "freezing.json").read_text())["cases"]
SPEC = """
data: {dataset: bars.npz}
model:
  layers:
    - Conv2D: {filters: 2, kernel_size: 3}
    - BatchNormalization
    - Flatten
    - Dense: {units: 3, activation: softmax}
compile: {optimizer: sgd, loss: categorical_crossentropy}
"""


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_two_epochs_are_those_of_keras(tmp_path, monkeypatch, case):
    x, y = np.array(case["x"], np.float32), np.array(case["y"])
    np.savez(tmp_path / "bars.npz", x_train=x[:13], y_train=y[:13], x_val=x[13:], y_val=y[13:])
    spec = parse(SPEC, "spec.yaml", [f"model.freeze={json.dumps(case['frozen'])}"], base=tmp_path)
    plan = replace(
        small.plan(tmp_path, validation_split=0.0),
        model=spec.model,
        compile=CompileSection(optimizer={"SGD": {"learning_rate": 0.2}}, loss="categorical_crossentropy"),
        fit=FitSection(epochs=2, batch_size=5, shuffle=False),
    )
    start = {name: np.array(value, np.float32) for name, value in case["start"].items()}
    small.assert_fits_as_keras(plan, tmp_path / "run", monkeypatch, start, case)
