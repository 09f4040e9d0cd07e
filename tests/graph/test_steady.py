"""With steady weights, a run after the first makes nothing anew of weights alone, and gives the same bits."""

import numpy as np
import pytest

from cnncli.graph.model import Model, Node, only
from cnncli.graph.network import Network
from cnncli.kernels.gemm.dense import pack_worker
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers

layers()
ENTRIES = [
    {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same", "use_bias": False, "kernel_regularizer": "l2"}},
    {"BatchNormalization": {}},
    {"ReLU": {}},
    {"Conv2D": {"filters": 20, "kernel_size": 3, "padding": "same", "activation": "gelu"}},
    {"SeparableConv2D": {"filters": 24, "kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2}},
    {"BatchNormalization": {}},
    {"Conv2DTranspose": {"filters": 5, "kernel_size": 3, "strides": 2, "activation": "tanh"}},
    {"Flatten": {}},
    {"Dense": {"units": 3, "activation": "softmax"}},
]


@pytest.fixture(params=[(1, "float32"), (2, "float32"), (2, "mixed_bfloat16")], ids=str)
def network(request):
    nodes, before = [], "input"
    for number, entry in enumerate(ENTRIES):
        nodes.append(Node(f"n{number}", LAYERS.parse(entry), (before,)))
        before = f"n{number}"
    model = Model((8, 8, 16), tuple(nodes))
    threads, policy = request.param
    loss = LOSSES.parse("categorical_crossentropy")
    made = Network(model, loss, batch_size=6, threads=threads, policy=policy)
    made.initialize(1)
    rng = np.random.default_rng(2)
    made.inputs[...] = rng.normal(size=made.inputs.shape)
    only(made.targets)[...] = np.eye(3)[rng.integers(3, size=6)]
    return made


def steps(program, n, again):
    return len(program.bound[n][again].steps)


def test_runs_with_steady_weights_give_the_bits_of_others(network):
    images, expected = network.inputs.copy(), {}
    for n in (6, 1, 4):
        network.predict(n)
        expected[n] = only(network.predictions)[:n].tobytes()
    with network.steady_weights():
        for n in (6, 6, 1, 1, 4, 6, 6):
            network.inputs[:n] = images[:n]
            network.predict(n)
            assert only(network.predictions)[:n].tobytes() == expected[n]
            network.evaluate(n)
            network.evaluate(n)
            losses, penalty = network.losses[:n].tobytes(), network.penalty()
            network.memory[...] = 0xFF
        program = network.runs["predict"].program
    assert steps(program, 6, again=True) < steps(program, 6, again=False)
    network.evaluate(6)
    assert (network.losses.tobytes(), network.penalty()) == (losses, penalty)


def test_factors_of_products_are_packed_once(network):
    with network.steady_weights():
        network.predict(6)
        network.predict(6)
    whole, again, _ = network.runs["predict"].program.bound[6]
    packing = {made.address for made in pack_worker.compiled.values()}
    assert any(step.worker in packing for step in whole.steps)
    assert not any(step.worker in packing for step in again.steps)


def test_images_too_few_for_all_threads_go_through_shared_memory(network):
    network.predict(1)
    program = network.runs["predict"].program
    apart = sum(value.bytes for value in program.elsewhere)
    assert sum(array.nbytes for array in program.bound[1].arrays) < 0.7 * apart


def test_weights_that_change_between_are_seen(network):
    network.predict(6)
    before = only(network.predictions).copy()
    with network.steady_weights():
        network.predict(6)
    network.tensor("n0/kernel")[...] *= 2
    network.tensor("n1/moving_mean")[...] += 1
    network.predict(6)
    changed = only(network.predictions).copy()
    with network.steady_weights():
        network.predict(6)
        assert only(network.predictions).tobytes() == changed.tobytes()
    assert not np.array_equal(before, changed)


def test_what_was_made_of_weights_is_made_anew_after_another_kind_of_run(network):
    with network.steady_weights():
        network.predict(6)
        expected = only(network.predictions).tobytes()
        network.evaluate(6)
        network.memory[...] = 0xFF
        network.predict(6)
        assert only(network.predictions).tobytes() == expected
