"""What an update does to the arenas of a whole network."""

from itertools import cycle

import numpy as np
import pytest

from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.network import Network
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import LAYERS
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from cnncli.training.optimizers.update import Update
from tests.training.optimizer_cases import ONE_OF, together

WITHOUT_EPSILON = {
    "gradient_accumulation_steps": None,
    "epsilon": 0.0,
    "l1_regularization_strength": 0.0,
    "multipliers": {"l0": 0.1},
}
EVERY = [
    {name: {key: WITHOUT_EPSILON.get(key, value) for key, value in together(name, clipping).items()}}
    for name, clipping in zip(OPTIMIZERS.classes, cycle(ONE_OF), strict=False)
]


def network_of(*entries, shape=(5,)):
    names = [INPUT, *(f"l{number}" for number in range(len(entries)))]
    nodes = (
        Node(name, LAYERS.parse(entry), (before,))
        for before, name, entry in zip(names, names[1:], entries, strict=False)
    )
    network = Network(Model(shape, tuple(nodes)), LOSSES.parse("mse"), batch_size=2)
    network.initialize(3)
    return network


def draw_gradients(network):
    generator = np.random.default_rng(0)
    for gradient in network.gradients.tensors().values():
        gradient[...] = generator.normal(size=gradient.shape)


@pytest.mark.parametrize("optimizer", EVERY, ids=[next(iter(optimizer)) for optimizer in EVERY])
def test_gaps_stay_0_and_what_is_frozen_stays(optimizer):
    """Without epsilon, a gap would become 0 / 0."""
    network = network_of(
        {"Dense": {"units": 3}},
        {"Dense": {"units": 3, "trainable": False}},
        "BatchNormalization",
        {"Dense": {"units": 1}},
    )
    draw_gradients(network)
    frozen, weights = network.frozen.data.copy(), network.weights.data.copy()
    if "Adadelta" in optimizer:  # only epsilon begins to move it
        optimizer = {"Adadelta": {**optimizer["Adadelta"], "epsilon": 0.01}}
    update = Update(network, OPTIMIZERS.parse(optimizer))
    for step in range(1, 4):
        update.run(step)
    inside = np.zeros(weights.size, bool)
    for first, end in network.weights.places():
        inside[first:end] = True
    assert 0 < inside.sum() < inside.size
    for arena in (network.weights, *update.slots.values()):
        assert np.isfinite(arena.data[inside]).all()
        assert (arena.data[~inside] == 0).all()
    assert (network.weights.data[inside] != weights[inside]).all()
    assert (network.frozen.data == frozen).all()


@pytest.mark.parametrize("optimizer", EVERY, ids=[next(iter(optimizer)) for optimizer in EVERY])
def test_a_network_without_weights_has_nothing_to_update(optimizer):
    Update(network_of({"Activation": {"activation": "relu"}}), OPTIMIZERS.parse(optimizer)).run(1)


def test_weight_decay_spares_nothing():
    """Keras decays biases and the weights of BatchNormalization as well."""
    network = network_of({"Dense": {"units": 3, "bias_initializer": "ones"}}, "BatchNormalization")
    before = {name: weight.copy() for name, weight in network.weights.tensors().items()}
    Update(network, OPTIMIZERS.parse({"SGD": {"learning_rate": 0.5, "weight_decay": 0.1}})).run(1)
    for name, weight in network.weights.tensors().items():
        np.testing.assert_allclose(weight, 0.95 * before[name], rtol=1e-6)


def test_clipping_shrinks_each_gradient_or_all_together():
    def moved(**clipping):
        network = network_of({"Dense": {"units": 4}})
        for gradient, value in zip(network.gradients.tensors().values(), (3.0, 0.1), strict=True):
            gradient[...] = value
        before = [weight.copy() for weight in network.weights.tensors().values()]
        Update(network, OPTIMIZERS.parse({"SGD": {"learning_rate": 1, **clipping}})).run(1)
        pairs = zip(before, network.weights.tensors().values(), strict=True)
        return [pytest.approx(float(np.mean(old - new)), rel=1e-5) for old, new in pairs]

    norm = (20 * 9 + 4 * 0.01) ** 0.5
    assert moved() == [3, 0.1]
    assert moved(clipvalue=0.5) == [0.5, 0.1]
    assert moved(clipnorm=0.5) == [0.5 / 20**0.5, 0.1]
    assert moved(global_clipnorm=0.5) == [1.5 / norm, 0.05 / norm]
