"""The networks in `configs/` beside the same built by hand in Keras: layer by layer, and two over twenty steps."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.graph.model import lower, only, summarize
from cnncli.graph.network import Network
from cnncli.spec.spec import load
from cnncli.training.optimizers.update import Update
from tests.fixtures import networks

ROOT = Path(__file__).parents[2]
CASES = json.loads((ROOT / "tests" / "fixtures" / "networks.json").read_text(encoding="utf-8"))["cases"]


def spec_of(case):
    return load(ROOT / "configs" / f"{case['name']}.yaml")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_layer_has_the_output_shape_and_the_parameters_that_it_has_in_keras(case):
    model = spec_of(case).model
    assert list(model.input_shape) == case["input_shape"]
    rows = summarize(model, lower(model))
    ours = [(row.type, list(row.output_shape), row.parameters, row.parameters - row.trainable) for row in rows]
    keras = [(row["type"], row["output_shape"], row["parameters"], row["non_trainable"]) for row in case["rows"]]
    assert ours == keras


def test_resnet20_has_as_many_parameters_as_the_design_says():
    (case,) = (case for case in CASES if case["name"] == "resnet20")
    assert sum(row["parameters"] for row in case["rows"]) == 274_042


@pytest.mark.parametrize("case", [case for case in CASES if "trained" in case], ids=lambda case: case["name"])
def test_losses_and_moving_statistics_of_20_steps_are_those_of_keras(case):
    spec = spec_of(case)
    network = Network(spec.model, spec.compile.loss, batch_size=networks.BATCH_SIZE)
    first = networks.first_weights(case["rows"])
    named = zip(spec.model.nodes, first, strict=True)
    network.load({f"{node.name}/{name}": value for node, weights in named for name, value in weights.items()})
    update = Update(network, spec.compile.optimizer)
    losses = []
    for step, (images, targets) in enumerate(networks.batches(case["input_shape"], 10), 1):
        network.inputs[...], only(network.targets)[...] = images, targets
        network.train_step(len(images), 0, step)
        losses.append(float(network.losses.mean(dtype=np.float64)))
        update.run(step)
    np.testing.assert_allclose(losses, case["trained"]["losses"], rtol=1e-3)
    for node, statistics in zip(spec.model.nodes, case["trained"]["statistics"], strict=True):
        for name, expected in statistics.items():
            got = network.tensor(f"{node.name}/{name}")
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3, err_msg=f"{node.name}/{name}")
