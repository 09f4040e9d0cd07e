"""Whole training steps give the same bits in shared buffers, portion by portion, as with a buffer for each value
and as one operation after the other."""

import numpy as np
import pytest

from cnncli.graph import memory
from cnncli.graph.model import Model, Node, only
from cnncli.graph.network import Network
from cnncli.graph.schedule import Segment
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers

layers()

INNER = [
    {"Activation": {"activation": "relu"}},
    {"Activation": {"activation": "tanh"}},
    {"Activation": {"activation": "sigmoid"}},
    {"Activation": {"activation": "softmax"}},
    {"Activation": {"activation": "linear"}},
    {"Dropout": {"rate": 0.4}},
    {"MaxPooling2D": {"pool_size": 2, "strides": 1, "padding": "same"}},
    {"AveragePooling2D": {"pool_size": 3, "strides": 1, "padding": "same"}},
    {"Conv2D": {"filters": 2, "kernel_size": 2, "padding": "same", "activation": "relu", "activity_regularizer": "l2"}},
    {
        "Conv2D": {
            "filters": 2,
            "kernel_size": 1,
            "kernel_regularizer": {"L1L2": {"l1": 0.01, "l2": 0.01}},
            "use_bias": False,
        }
    },
    {"Dense": {"units": 2, "activation": "sigmoid", "activity_regularizer": "l1"}},
    {"Add": {}},
    {"Activation": {"activation": "gelu"}},
    {"Activation": {"activation": "hard_silu"}},
    {"ReLU": {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}},
    {"LeakyReLU": {}},
    {"Softmax": {"axis": 1}},
    {"Rescaling": {"scale": 0.5, "offset": 0.1}},
    {"BatchNormalization": {}},
    {"LayerNormalization": {}},
    {"Multiply": {}},
    {"Average": {}},
    {"Maximum": {}},
    {"Subtract": {}},
    {"Conv2D": {"filters": 2, "kernel_size": 2, "padding": "same", "activation": "silu"}},
    {"SeparableConv2D": {"filters": 2, "kernel_size": 2, "padding": "same", "depth_multiplier": 3}},
    {"SeparableConv2D": {"filters": 2, "kernel_size": 3, "padding": "same", "depth_multiplier": 5}},
]
JOINS = ("Add", "Multiply", "Average", "Maximum")
LAST = [
    [{"Flatten": {}}, {"Dense": {"units": 3, "activation": "softmax", "activity_regularizer": "l2"}}],
    [{"Flatten": {}}, {"Dense": {"units": 3}}, {"Activation": {"activation": "sigmoid"}}],
    [{"Flatten": {}}, {"Dense": {"units": 3}}, {"Dropout": {"rate": 0.2}}, {"Activation": {"activation": "softmax"}}],
    [{"Dense": {"units": 3, "activation": "softmax"}}, {"Flatten": {}}],
]


def random_model(seed):
    """Layers that read any earlier ones of the same shape, several of them the same ones."""
    rng = np.random.default_rng(seed)
    nodes, names = [], ["input"]
    for number in range(rng.integers(2, 10)):
        entry = INNER[rng.integers(len(INNER))]
        kind = next(iter(entry))
        inputs = rng.choice(names[-4:], 2 if kind == "Subtract" else rng.integers(2, 4) if kind in JOINS else 1)
        nodes.append(Node(f"n{number}", LAYERS.parse(entry), tuple(map(str, inputs))))
        names.append(f"n{number}")
    nodes.append(Node("all", LAYERS.parse({"Concatenate": {}}), tuple(names)))
    for number, entry in enumerate(LAST[seed % len(LAST)]):
        nodes.append(Node(f"last{number}", LAYERS.parse(entry), (nodes[-1].name,)))
    return Model((3, 3, 2), tuple(nodes))


def apart(calls, placed, kept, size, *, spans, lasting):
    """No two values share memory but views: neither one after the other, nor in place, nor portion after portion."""
    owners, found = {}, {}
    for call in calls:
        for value in call.outputs:
            if call.op.is_view:
                source = memory.find(owners, call.inputs[0])
                if value in placed:
                    owners[source] = value
                else:
                    owners[value] = source
            elif value not in placed:
                found[value] = (0, len(calls))
    return memory.Lives(owners, {value: life for value, life in found.items() if value not in owners}, [])


def results(model, loss):
    """What training and evaluation give, bit by bit, in memory that held NaN before."""
    network = Network(model, LOSSES.parse(loss), batch_size=3, dtype="float64")
    network.initialize(1)
    rng = np.random.default_rng(2)
    network.inputs[...] = rng.normal(size=network.inputs.shape)
    only(network.targets)[...] = rng.random(only(network.targets).shape)
    found = []
    for run in (lambda n: network.train_step(n, 5, 6), network.evaluate):
        for n in (3, 2):
            run(3)
            network.memory[...] = 0xFF
            network.gradients.data[...] = 0
            run(n)
            found += [only(network.predictions)[:n].tobytes(), network.losses[:n].tobytes(), network.penalty()]
            found.append(network.gradients.data.tobytes())
            assert np.isfinite(network.gradients.data).all()
            assert np.isfinite(network.losses[:n]).all()
    return found, network.memory.size


@pytest.mark.parametrize(("number", "loss"), list(enumerate(LOSSES.classes)))
def test_sharing_memory_and_going_through_steps_portion_by_portion_change_no_bit(number, loss, monkeypatch):
    saved = 0
    for seed in range(4 * number, 4 * number + 4):  # each loss behind all of LAST
        model = random_model(seed)
        shared, used = results(model, loss)
        with monkeypatch.context() as patch:
            patch.setattr(memory, "lives", apart)
            alone, needed = results(model, loss)
        with monkeypatch.context() as patch:
            patch.setattr(Segment, "parts", lambda segment, *_: [*segment.before, *segment.per_row, *segment.after])
            step_by_step, _ = results(model, loss)
        assert shared == alone == step_by_step, f"model {seed}"
        saved += needed - used
    assert saved > 0


def test_what_inference_makes_of_weights_first_is_not_overwritten_before_it_is_used(monkeypatch):
    nodes, source = [], "input"
    for number in range(8):
        convolution = {"Conv2D": {"filters": 16, "kernel_size": 1, "strides": 1 + (number == 6), "use_bias": False}}
        for kind, entry in (("conv", convolution), ("bn", {"BatchNormalization": {}})):
            nodes.append(Node(f"{kind}{number}", LAYERS.parse(entry), (source,)))
            source = nodes[-1].name
    model = Model((64, 64, 16), tuple(nodes))  # four images fill a segment; the last ones are smaller

    def predicted():
        network = Network(model, LOSSES.parse("mean_squared_error"), batch_size=2)
        network.initialize(1)
        network.inputs[...] = np.random.default_rng(2).normal(size=network.inputs.shape)
        network.predict(2)
        return only(network.predictions).copy()

    shared = predicted()
    monkeypatch.setattr(memory, "lives", apart)
    np.testing.assert_array_equal(shared, predicted())
