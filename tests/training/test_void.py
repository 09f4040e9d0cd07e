"""`ignore_class`: targets that do not count, as in Keras."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnncli.graph.model import INPUT, Model, Node
from cnncli.layers.convolution import Conv2D
from cnncli.layers.core import Dense, Flatten
from cnncli.layers.losses import SparseCategoricalCrossentropy
from cnncli.training.metrics.class_metrics import MeanIoU
from cnncli.training.metrics.statistics import Totals, of_valid
from cnncli.training.runs import checkpoint
from cnncli.training.sections import CompileSection, FitSection
from tests.training import small

FIXTURE = json.loads((Path(__file__).parents[1] / "fixtures" / "void.json").read_text())


@pytest.mark.parametrize("case", FIXTURE["fit"], ids=[case["name"] for case in FIXTURE["fit"]])
def test_two_epochs_are_those_of_keras(tmp_path, monkeypatch, case):
    x, y = np.array(case["x"], np.float32), np.array(case["y"])
    np.savez(tmp_path / "bars.npz", x_train=x[:13], y_train=y[:13], x_val=x[13:], y_val=y[13:])
    kernel, bias = (np.array(array, np.float32) for array in case["start"])
    activation = "linear" if case["config"]["from_logits"] else "softmax"
    nodes = [Node("flatten", Flatten(), (INPUT,)), Node("last", Dense(units=3, activation=activation), ("flatten",))]
    if y.ndim == 3:
        kernel = kernel[None, None]
        nodes = [Node("last", Conv2D(filters=3, kernel_size=(1, 1), activation=activation), (INPUT,))]
    plan = small.plan(tmp_path, validation_split=0.0)
    plan = replace(
        plan,
        data=plan.data.replace(targets="masks" if y.ndim == 3 else "labels"),
        model=Model((4, 3, 2), tuple(nodes)),
        compile=CompileSection(
            optimizer={"SGD": {"learning_rate": 0.5}}, loss={"SparseCategoricalCrossentropy": case["config"]}
        ),
        fit=FitSection(epochs=2, batch_size=5, shuffle=False, class_weight=case["class_weight"]),
    )
    start = {"last/kernel": kernel, "last/bias": bias}
    small.assert_fits_as_keras(plan, tmp_path / "run", monkeypatch, start, case)


@pytest.mark.parametrize("case", FIXTURE["mean_iou"], ids=lambda case: f"ignore_{case['ignore_class']}")
def test_mean_iou_is_that_of_keras(case):
    scores, true = np.array(case["scores"], np.float32), np.array(case["true"])
    loss = SparseCategoricalCrossentropy(ignore_class=255)
    metric = MeanIoU() if case["ignore_class"] == 255 else MeanIoU(ignore_class=case["ignore_class"])
    totals, targets = Totals(), (true[..., None] == np.arange(6)).astype(np.float32)
    for rows in (slice(0, 3), slice(3, 8)):
        totals.add(metric.count(*of_valid(loss, scores[rows], targets[rows])))
    np.testing.assert_allclose(metric.figures(totals.sums())["mean_io_u"], case["value"], rtol=1e-6)


@pytest.mark.parametrize("void", [255, 1])
def test_training_has_the_same_bits_on_any_number_of_threads_and_void_changes_nothing(tmp_path, void):
    random = np.random.default_rng(4)
    x, y = random.standard_normal((2, 30, 12, 10, 2)).astype(np.float32), random.integers(0, 4, (30, 12, 10))
    ignored = random.random(y.shape) < 0.4
    layer = Conv2D(filters=4, kernel_size=(1, 1), activation="softmax")
    found = []
    for threads, noise in ((1, 0), (2, 0), (2, 99)):
        seen = x[0] + noise * (ignored | (y == void))[..., None] * random.standard_normal(x[0].shape)
        np.savez(tmp_path / "bars.npz", x_train=seen.astype(np.float32), y_train=np.where(ignored, void, y))
        plan = small.plan(tmp_path, validation_split=0.0)
        plan = replace(
            plan,
            data=plan.data.replace(targets="masks"),
            model=Model((12, 10, 2), (Node("last", layer, (INPUT,)),)),
            compile=CompileSection(
                optimizer="adam",
                loss={"SparseCategoricalCrossentropy": {"ignore_class": void}},
                metrics=["accuracy", "mean_io_u", "dice"],
            ),
            fit=FitSection(epochs=2, batch_size=7),
        )
        small.run(plan, tmp_path / f"run{len(found)}", threads=threads)
        lines = (tmp_path / f"run{len(found)}/metrics.jsonl").read_text().splitlines()
        figures = [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]
        found.append((figures, checkpoint.load(tmp_path / f"run{len(found)}/last.safetensors").digest))
    assert found == [found[0]] * 3
