"""The contract of every registered optimizer: its options one by one, and as many as go together."""

import json

import numpy as np
import pytest

from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.network import Network
from cnncli.kernels.optimizers.update_rules import COMMON, RULES
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import LAYERS
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import plain
from cnncli.spec.yaml.writer import to_yaml
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from cnncli.training.optimizers.update import Update
from tests.training.optimizer_cases import OPTIONS, WITHOUT_EFFECT, alone, trajectory, with_needed

EVERY = pytest.mark.parametrize("name", OPTIMIZERS.classes)
STEPS = 6


def network_of(dtype):
    dense = Node("dense", LAYERS.parse({"Dense": {"units": 3}}), (INPUT,))
    network = Network(Model((5,), (dense,)), LOSSES.parse("mse"), batch_size=1, dtype=dtype)
    network.initialize(3)
    return network


def batches():
    random = np.random.default_rng(0)
    return [(random.normal(size=(5, 3)), random.normal(size=3)) for _ in range(STEPS)]


def followed(optimizer, dtype="float64"):
    """The weights after each batch, kernel and bias, and their averages; and what the weights were at first."""
    network = network_of(dtype)
    update, names = Update(network, optimizer), ("dense/kernel", "dense/bias")
    first, found = [network.weights[name].astype(np.float64) for name in names], []
    for number, gradients in enumerate(batches(), 1):
        for name, gradient in zip(names, gradients, strict=True):
            network.gradients[name][...] = gradient
        update.run(number)
        found.append([network.weights[name].astype(np.float64) for name in names])
        with update.averages():
            if optimizer.use_ema:
                found[-1] += [network.weights[name].astype(np.float64) for name in names]
    return first, found


def same(found, expected, tolerance):
    pairs = zip(found, expected, strict=True)
    return all(np.allclose(a, b, rtol=tolerance, atol=tolerance) for one in pairs for a, b in zip(*one, strict=True))


@EVERY
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 5e-6)])
def test_each_step_is_that_of_the_naive_twin(name, dtype, tolerance):
    for arguments in alone(name):
        optimizer = OPTIMIZERS.parse({name: arguments})
        first, found = followed(optimizer, dtype)
        assert same(found, list(trajectory(optimizer, first, batches())), tolerance), arguments
        by = 10 if name == "Adadelta" else 1.01  # its first steps are no longer than the root of epsilon
        faster = optimizer.replace(learning_rate=optimizer.learning_rate * by)
        assert not same(found, list(trajectory(faster, first, batches())), tolerance), "what differs must be noticed"


@EVERY
def test_every_option_changes_a_step(name):
    """Together with those that it needs; of a moving average, the weights are those that are judged."""
    usual = {field: value for field, value in OPTIONS.items() if field in ("learning_rate", "momentum")}
    fields = OPTIMIZERS.classes[name].fields
    usual = {field: value for field, value in usual.items() if field in fields}
    for field in fields.keys() - usual.keys():
        needed = {key: value for key, value in with_needed(field).items() if key != field}
        _, without = followed(OPTIMIZERS.parse({name: {**usual, **needed}}))
        _, with_it = followed(OPTIMIZERS.parse({name: {**usual, **needed, field: OPTIONS[field]}}))
        judged = [[weights[-2:] for weights in found] for found in (without, with_it)]
        assert same(*judged, 1e-9) == (field in WITHOUT_EFFECT), field


@EVERY
def test_its_rule_is_in_the_table_and_reads_what_it_gives(name):
    for arguments in alone(name):
        optimizer = OPTIMIZERS.parse({name: arguments})
        rule = RULES[optimizer.rule]
        in_two_passes = optimizer.rule == "lamb"  # its step waits in place of the gradients; then follows sgd
        assert len(optimizer.slots) == rule.slots - in_two_passes
        assert len(optimizer.numbers(1, 0.1)) == rule.numbers + in_two_passes * (COMMON + RULES["sgd"].numbers)


@EVERY
def test_declarations_survive_being_written_as_yaml_and_read(name):
    for arguments in alone(name):
        optimizer, problems = OPTIMIZERS.parse({name: arguments}), Problems("optimizer.yaml", "")
        tree = read(to_yaml({name: optimizer.plain()}), problems)
        assert not problems
        assert OPTIMIZERS.parse(plain(tree)) == optimizer
        assert OPTIMIZERS.parse({name: json.loads(json.dumps(optimizer.plain()))}) == optimizer
