"""The seed network over 20 Adam steps, beside real Keras on the same weights and batches."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.graph.model import Model, Node, only
from cnncli.graph.network import Network
from cnncli.kernels.jit import runtime
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import CategoricalCrossentropy
from cnncli.layers.vocabulary import layers
from cnncli.training.optimizers.optimizers import Adam
from cnncli.training.optimizers.update import Update
from tests.fixtures import seed_network as seed

HERE = Path(__file__).parent
FIXTURE = np.load(HERE.parent / "fixtures" / "seed_network.npz", allow_pickle=False)
LAYER_LIST = [
    ("conv2d", "Conv2D", {"filters": 32, "kernel_size": 3, "activation": "relu"}),
    ("max_pooling2d", "MaxPooling2D", {}),
    ("conv2d_1", "Conv2D", {"filters": 64, "kernel_size": 3, "activation": "relu"}),
    ("max_pooling2d_1", "MaxPooling2D", {}),
    ("flatten", "Flatten", {}),
    ("dense", "Dense", {"units": 128, "activation": "relu"}),
    ("dense_1", "Dense", {"units": 10, "activation": "softmax"}),
]


@pytest.fixture
def network():
    layers()
    before = ["input", *(name for name, _, _ in LAYER_LIST)]
    nodes = [
        Node(name, LAYERS.parse({kind: arguments}), (previous,))
        for (name, kind, arguments), previous in zip(LAYER_LIST, before, strict=False)
    ]
    return Network(Model((28, 28, 1), tuple(nodes)), CategoricalCrossentropy(), batch_size=seed.BATCH_SIZE)


def steps(network):
    """Each step's loss; weights move by Adam with Keras' defaults."""
    update = Update(network, Adam())
    for number, (x, y) in enumerate(seed.batches(HERE.parent.parent / "data" / "mnist5k.npz"), 1):
        network.inputs[...], only(network.targets)[...] = x, y
        network.train_step(len(x), 0, number)
        yield float(network.losses.astype(np.float64).mean())
        update.run(number)


def test_losses_and_final_weights_of_20_adam_steps_are_those_of_keras(network):
    network.load(seed.initial_weights())
    np.testing.assert_allclose(list(steps(network)), FIXTURE["losses"], rtol=1e-4)
    final = seed.stored_weights(FIXTURE, seed.STEPS + 1)
    apart = np.concatenate([np.abs(network.weights[name] - final[name]).ravel() for name in seed.SHAPES])
    assert np.quantile(apart, 0.999) <= 1e-4


@pytest.mark.parametrize("step", seed.STORED_STEPS)
def test_gradients_from_keras_own_weights_are_those_of_keras(network, step):
    network.load(seed.stored_weights(FIXTURE, step))
    x, y = seed.batches(HERE.parent.parent / "data" / "mnist5k.npz")[step - 1]
    network.inputs[...], only(network.targets)[...] = x, y
    network.train_step(len(x), 0, step)
    for name, (gradient, norm) in seed.stored_gradients(FIXTURE, step).items():
        got, positions = network.gradients[name], seed.gradient_positions(name)
        sample = got if positions is None else got.ravel()[positions]
        np.testing.assert_allclose(sample, gradient, rtol=1e-4, atol=1e-4 * np.abs(gradient).max())
        np.testing.assert_allclose(np.linalg.norm(got.astype(np.float64)), norm, rtol=1e-4)


def test_weights_are_the_same_bits_for_any_number_of_threads(network):
    ends = []
    for threads in (1, 2):
        runtime.set_threads(threads)
        network.initialize(5)
        list(steps(network))
        ends.append(network.weights.data.tobytes())
    assert ends[0] == ends[1]


def test_initial_weights_are_a_pure_function_of_the_seed(network):
    drawn = []
    for number in (1, 1, 2):
        network.initialize(number)
        drawn.append(network.weights.data.copy())
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert np.abs(network.weights["conv2d/kernel"]).max() <= np.sqrt(6 / (9 + 9 * 32))
