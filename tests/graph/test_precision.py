"""mixed_bfloat16: what is stored how, and that training in it is training."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.graph.model import Model, Node, only
from cnncli.graph.network import Network
from cnncli.graph.objective import training_memory
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from cnncli.ops.cast import Cast
from cnncli.training.optimizers.optimizers import SGD, Adam
from cnncli.training.optimizers.update import Update
from tests.fixtures import networks

layers()
FIXTURES = Path(__file__).parent.parent / "fixtures"
LOSS = LOSSES.parse("categorical_crossentropy")
ENTRIES = [
    ("conv", {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same"}}, ["input"]),
    ("norm", {"BatchNormalization": {}}, ["conv"]),
    ("act", {"Activation": {"activation": "relu"}}, ["norm"]),
    ("left", {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same"}}, ["act"]),
    ("right", {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same", "activation": "gelu"}}, ["act"]),
    ("add", {"Add": {}}, ["left", "right"]),
    ("pool", {"MaxPooling2D": {}}, ["add"]),
    ("flat", {"Flatten": {}}, ["pool"]),
    ("drop", {"Dropout": {"rate": 0.2}}, ["flat"]),
    ("out", {"Dense": {"units": 3, "activation": "softmax"}}, ["drop"]),
]
MODEL = Model((8, 8, 2), tuple(Node(name, LAYERS.parse(entry), tuple(inputs)) for name, entry, inputs in ENTRIES))
BATCH = 16


def chain(entries, shape):
    """Layers one after another: n0, n1, …"""
    names = ["input", *(f"n{number}" for number in range(len(entries)))]
    nodes = (Node(names[n + 1], LAYERS.parse(entry), (names[n],)) for n, entry in enumerate(entries))
    return Model(shape, tuple(nodes))


def trained(policy, threads=2, steps=20):
    """The losses of training steps, and the network after them."""
    network = Network(MODEL, LOSS, batch_size=BATCH, policy=policy, threads=threads)
    network.initialize(1)
    update, rng, losses = Update(network, Adam()), np.random.default_rng(2), []
    for step in range(1, steps + 1):
        classes = rng.integers(3, size=BATCH)
        only(network.targets)[...] = np.eye(3)[classes]
        network.inputs[...] = rng.normal(size=network.inputs.shape) + 0.3 * classes[:, None, None, None]
        network.train_step(BATCH, 0, step)
        update.run(step)
        losses.append(float(network.losses.mean()))
    return losses, network


@pytest.fixture(scope="module")
def mixed():
    return trained("mixed_bfloat16")


def test_losses_are_near_those_of_float32_and_not_the_same(mixed):
    exact, _ = trained("float32")
    assert mixed[0] != exact
    np.testing.assert_allclose(mixed[0], exact, rtol=0.02)


def test_losses_of_20_steps_are_as_near_to_those_of_float32_in_keras_as_its_own():
    keras = json.loads((FIXTURES / "mixed.json").read_text(encoding="utf-8"))
    convolution = {"kernel_size": 3, "padding": "same", "use_bias": False}
    normalization = {"BatchNormalization": {"momentum": 0.9}}
    entries = [
        *({"Conv2D": {"filters": 16, **convolution}}, normalization, {"ReLU": {}}),
        *({"Conv2D": {"filters": 32, "strides": 2, **convolution}}, normalization, {"ReLU": {}}),
        *({"GlobalAveragePooling2D": {}}, {"Dense": {"units": 10, "activation": "softmax"}}),
    ]
    network = Network(chain(entries, (16, 16, 3)), LOSS, batch_size=networks.BATCH_SIZE, policy="mixed_bfloat16")
    first = networks.first_weights(keras["rows"])
    network.load({f"n{n}/{name}": value for n, weights in enumerate(first) for name, value in weights.items()})
    update, losses = Update(network, SGD(learning_rate=0.05, momentum=0.9)), []
    for step, (images, targets) in enumerate(networks.batches((16, 16, 3), 10), 1):
        network.inputs[...], only(network.targets)[...] = images, targets
        network.train_step(len(images), 0, step)
        losses.append(float(network.losses.mean(dtype=np.float64)))
        update.run(step)
    exact, mixed = np.array(keras["float32"]), np.array(keras["mixed_bfloat16"])
    apart = np.abs(mixed - exact).max()
    assert np.abs(losses - exact).max() <= apart
    assert np.abs(losses - mixed).max() <= 2 * apart  # two of them may lie on either side of float32


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_gives_the_same_bits(mixed, threads):
    _, other = trained("mixed_bfloat16", threads)
    assert other.weights.data.tobytes() == mixed[1].weights.data.tobytes()
    assert other.frozen.data.tobytes() == mixed[1].frozen.data.tobytes()


def test_everything_inside_is_bfloat16_and_everything_that_is_given_or_read_float32(mixed):
    what = mixed[1].runs["train"].objective
    outside = {*what.given, *what.kept, *what.gradients.values(), *what.lowered.builder.updates}
    assert {value.dtype for value in outside} == {"float32", "int64"}
    widened = {call.output for call in what.calls if isinstance(call.op, Cast) and call.op.dtype == "float32"}
    rounded = {call.inputs[0] for call in what.calls if isinstance(call.op, Cast) and call.op.dtype == "bfloat16"}
    exact = {value for call in what.calls if call.op.reads_exactly for value in call.inputs}
    inside = {value for call in what.calls for value in call.outputs if value.batched} - outside
    reals = {value for value in inside if value.dtype == "float32"}
    assert reals <= widened | rounded | exact
    assert any(value.dtype == "bfloat16" for value in inside)


def test_each_value_is_cast_for_the_calls_of_one_layer_only(mixed):
    calls = mixed[1].runs["train"].objective.calls
    for number, call in enumerate(calls):
        if isinstance(call.op, Cast):
            readers = [reader for reader in calls[number:] if call.output in reader.inputs]
            assert call.op.dtype == "bfloat16" or {reader.owner for reader in readers} == {call.owner}


def test_memory_of_activations_is_half_of_that_of_float32():
    model = chain([ENTRIES[0][1], *[ENTRIES[0][1], {"BatchNormalization": {}}] * 20], (8, 8, 2))

    def buffers(policy):
        few, many = (training_memory(model, LOSS, batch, 0, policy) for batch in (32, 64))
        return many - few

    assert 0.45 < buffers("mixed_bfloat16") / buffers("float32") < 0.65


def test_evaluation_and_prediction_use_the_policy(mixed):
    _, network = mixed
    network.evaluate(BATCH)
    evaluated = only(network.probabilities).copy()
    network.predict(BATCH)
    np.testing.assert_allclose(only(network.probabilities), evaluated, atol=0.01)
    exact = Network(MODEL, LOSS, batch_size=BATCH)
    exact.load(network.tensors())
    exact.inputs[...] = network.inputs
    exact.predict(BATCH)
    assert (only(exact.probabilities) != only(network.probabilities)).any()
    np.testing.assert_allclose(only(exact.probabilities), only(network.probabilities), atol=0.02)
