"""Optimizers step by step against trajectories made with real Keras, and schedules against its learning rates."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.network import Network
from cnncli.layers.core import Dense
from cnncli.layers.losses import LOSSES
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from cnncli.training.optimizers.schedules import SCHEDULES
from cnncli.training.optimizers.update import Update

FIXTURES = Path(__file__).parent.parent / "fixtures"


def read(name):
    return json.loads((FIXTURES / name).read_text())


CASES = read("optimizers.json")["optimizers"]
OPTIONS = read("optimizer_options.json")
RATES = read("schedules.json")["cases"]
ONE_CYCLE = read("one_cycle.json")["cases"]


def network_of(weights, dtype="float64", constraint=None):
    """A dense layer with these weights, by their plain names."""
    inputs, units = weights["kernel"].shape
    layer = Dense(units=units, use_bias="bias" in weights, kernel_constraint=constraint)
    network = Network(
        Model((inputs,), (Node("dense", layer, (INPUT,)),)), LOSSES.parse("mse"), batch_size=1, dtype=dtype
    )
    network.load({f"dense/{name}": weight.astype(dtype) for name, weight in weights.items()})
    return network


def trajectory(network, optimizer, gradients):
    """The weights after each batch, by their plain names, and their averages (or the same)."""
    update = Update(network, optimizer)
    for number, given in enumerate(gradients, 1):
        for name, gradient in given.items():
            network.gradients[f"dense/{name}"][...] = gradient
        update.run(number)
        weights = {name: network.weights[f"dense/{name}"].copy() for name in given}
        with update.averages():
            yield weights, {name: network.weights[f"dense/{name}"].copy() for name in given}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_step_moves_the_weights_as_in_keras(case, dtype):
    network = network_of({"kernel": np.array(case["weight"])[:, None]}, dtype)
    gradients = [{"kernel": np.array(gradient)[:, None]} for gradient in case["gradients"]]
    found = trajectory(network, OPTIMIZERS.parse({case["optimizer"]: case["config"]}), gradients)
    for (weights, _), expected in zip(found, case["trajectory"], strict=True):
        np.testing.assert_allclose(weights["kernel"][:, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", OPTIONS["cases"], ids=[f"{c['optimizer']}-{c['config']}" for c in OPTIONS["cases"]])
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-6), ("float64", 1e-13)])
def test_options_move_the_weights_as_in_keras(case, dtype, bound):
    weights = {name: np.array(weight) for name, weight in OPTIONS["weights"].items()}
    optimizer = OPTIMIZERS.parse({case["optimizer"]: case["config"]})
    network = network_of(weights, dtype, case["kernel_constraint"])
    bound = max(bound, 1e-7) if case["optimizer"] == "Nadam" else bound  # Keras' 0.96 is float32 even in float64
    expected = zip(case["trajectory"], case.get("averages", case["trajectory"]), strict=True)
    for found, wanted in zip(trajectory(network, optimizer, OPTIONS["gradients"]), expected, strict=True):
        for weights, values in zip(found, wanted, strict=True):
            for name, weight in weights.items():
                np.testing.assert_allclose(weight, values[name], rtol=bound, atol=bound)


@pytest.mark.parametrize("case", RATES, ids=[f"{case['schedule']}-{case['config']}" for case in RATES])
def test_learning_rates_are_those_of_keras_schedules(case):
    schedule = SCHEDULES.parse({case["schedule"]: case["config"]})
    found = [schedule.rate(step, 1) for step in range(len(case["rates"]))]
    np.testing.assert_allclose(found, case["rates"], rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("case", ONE_CYCLE, ids=[str(case["config"]) for case in ONE_CYCLE])
def test_one_cycle_is_that_of_pytorch(case):
    config = {"max_learning_rate" if key == "max_lr" else key: value for key, value in case["config"].items()}
    schedule = SCHEDULES.parse({"OneCycle": config})
    found = [schedule.rate(step, 1) for step in range(len(case["rates"]) + 3)]
    np.testing.assert_allclose(found, [*case["rates"], *[case["rates"][-1]] * 3], rtol=1e-12, atol=1e-16)
