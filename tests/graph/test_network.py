"""Whole networks: graphs with branches, penalties and dropout, checked by float64 finite differences and by hand."""

import tracemalloc
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest

from cnncli.errors import CnncliError, ShapeError
from cnncli.graph.model import Model, Node, lower, only, summarize
from cnncli.graph.network import Network
from cnncli.graph.objective import training_memory
from cnncli.layers.initializers import INITIALIZERS
from cnncli.layers.layer import LAYERS, Layer, Weight
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from cnncli.ops import streams

layers()


def model(input_shape, *entries):
    """Nodes from (name, inputs, layer, arguments)."""
    nodes = [Node(name, LAYERS.parse({kind: arguments}), inputs) for name, inputs, kind, arguments in entries]
    return Model(input_shape, tuple(nodes))


def branches(classes=3):
    return model(
        (6, 6, 2),
        ("a", ("input",), "Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "tanh"}),
        ("b", ("a",), "Conv2D", {"filters": 4, "kernel_size": 1, "kernel_regularizer": {"L2": {"l2": 0.1}}}),
        ("drop", ("b",), "Dropout", {"rate": 0.3}),
        ("sum", ("a", "drop", "a"), "Add", {}),
        ("join", ("sum", "b", "input"), "Concatenate", {}),
        ("pool", ("join",), "MaxPooling2D", {}),
        ("flat", ("pool",), "Flatten", {}),
        ("out", ("flat",), "Dense", {"units": classes, "activation": "softmax", "activity_regularizer": "l2"}),
    )


def filled(network, n, classes=3, seed=0):
    random = np.random.default_rng(seed)
    network.inputs[:n] = random.normal(size=(n, *network.inputs.shape[1:]))
    only(network.targets)[:n] = np.eye(classes)[random.integers(0, classes, n)]
    return network


def objective(network, n):
    network.train_step(n, 11, 5)
    return float(network.losses[:n].sum() / n) + network.penalty()


@pytest.mark.parametrize("loss", LOSSES.classes)
def test_gradients_of_a_branched_network_are_the_finite_differences(loss):
    network = Network(branches(), LOSSES.parse(loss), batch_size=5, dtype="float64")
    network.initialize(3)
    filled(network, 4)
    network.sample_weight[:] = [1, 0.5, 2, 0, 1]
    objective(network, 4)
    gradients = network.gradients.data.copy()
    random = np.random.default_rng(1)
    used = np.concatenate([np.arange(s.offset, s.offset + np.prod(s.shape)) for s in network.weights.segments.values()])
    for index in random.choice(used, 60, replace=False):
        before = network.weights.data[index]
        network.weights.data[index] = before + 1e-6
        above = objective(network, 4)
        network.weights.data[index] = before - 1e-6
        slope = (above - objective(network, 4)) / 2e-6
        network.weights.data[index] = before
        assert slope == pytest.approx(gradients[index], rel=1e-6, abs=1e-6)


def test_a_smaller_batch_gives_the_same_rows_as_a_larger_one():
    network = Network(branches(), LOSSES.parse("categorical_crossentropy"), batch_size=8)
    network.initialize(0)
    filled(network, 8)
    network.predict(8)
    whole = only(network.predictions).copy()
    network.predict(3)
    assert np.array_equal(only(network.predictions)[:3], whole[:3])
    network.evaluate(3)
    np.testing.assert_allclose(only(network.predictions)[:3], whole[:3], rtol=1e-6)


def test_dropout_is_at_work_only_in_training_and_keyed_by_the_step():
    network = Network(branches(), LOSSES.parse("categorical_crossentropy"), batch_size=4)
    network.initialize(0)
    filled(network, 4)
    seen = []
    for seed, step in ((1, 1), (1, 1), (1, 2), (2, 1)):
        network.train_step(4, seed, step)
        seen.append(only(network.predictions).copy())
    network.evaluate(4)
    assert np.array_equal(seen[0], seen[1])
    for other in (seen[2], seen[3], only(network.predictions)):
        assert not np.array_equal(seen[0], other)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "mean_squared_error"])
def test_without_training_dropout_gives_its_input(loss):
    net = model((3,), ("drop", ("input",), "Dropout", {"rate": 0.9}))
    network = Network(net, LOSSES.parse(loss), batch_size=4)
    network.inputs[...] = np.arange(1, 13).reshape(4, 3)
    for run in (network.evaluate, network.predict):
        run(4)
        assert np.array_equal(only(network.predictions), network.inputs)


def softmax_of(logits, loss):
    """A network whose output is the softmax of its first weight's rows, after a training step; all targets class 0."""
    net = model((1,), ("out", ("input",), "Dense", {"units": 3, "activation": "softmax", "use_bias": False}))
    network = Network(net, LOSSES.parse(loss), batch_size=1)
    network.inputs[...], only(network.targets)[...] = 1, [[1, 0, 0]]
    network.weights["out/kernel"][...] = logits
    network.train_step(1, 0, 1)
    return network


def test_a_confident_mistake_keeps_its_whole_gradient():
    # From probabilities, clipped to 1e-7, both loss and gradient would stop at e⁻¹⁶.
    network = softmax_of([-50, 50, 0], "categorical_crossentropy")
    assert network.losses[0] == pytest.approx(100)
    np.testing.assert_allclose(network.gradients["out/kernel"], [[-1, 1, 0]], atol=1e-6)


def test_only_cross_entropy_is_taken_from_the_logits():
    network = softmax_of([0, 0, 0], "mean_squared_error")
    assert network.losses[0] == pytest.approx((4 / 9 + 1 / 9 + 1 / 9) / 3)


def test_nothing_is_computed_that_nobody_reads():
    net = model(
        (4, 4, 1),
        ("conv", ("input",), "Conv2D", {"filters": 2, "kernel_size": 3, "kernel_regularizer": "l2"}),
        ("flat", ("conv",), "Flatten", {}),
        ("out", ("flat",), "Dense", {"units": 3, "activation": "softmax"}),
    )
    network = Network(net, LOSSES.parse("categorical_crossentropy"), batch_size=1)
    network.train_step(1, 0, 1)
    network.predict(1)
    train, predict = (
        [type(call.op).__name__ for call in network.runs[kind].program.calls] for kind in ("train", "predict")
    )
    assert "Softmax" not in train, "the loss gives the probabilities"
    assert "Conv2DGradInput" not in train, "nobody asks for the input's gradient"
    assert predict == ["Conv2D", "Reshape", "Dense", "Softmax"]


def test_each_weight_is_drawn_from_numbers_of_its_own():
    entries = [(name, ("input",), "Dense", {"units": 4}) for name in "ab"]
    network = Network(model((4,), *entries), LOSSES.parse("mean_squared_error"), batch_size=1)
    network.initialize(0)
    assert not np.isclose(network.weights["a/kernel"], network.weights["b/kernel"]).any()


def test_no_two_uses_of_a_seed_share_a_stream():
    # 65,536 of each sort is more than a model can have.
    starts = [streams.SHUFFLE, streams.DROPOUT, streams.WEIGHTS, 1 << 32]
    assert min(b - a for a, b in pairwise(starts)) >= 1 << 16


def test_each_dropout_draws_a_mask_of_its_own():
    net = model(
        (1000,),
        ("a", ("input",), "Dropout", {"rate": 0.5}),
        ("b", ("input",), "Dropout", {"rate": 0.5}),
        ("both", ("a", "b"), "Concatenate", {}),
    )
    network = Network(net, LOSSES.parse("mean_squared_error"), batch_size=1)
    network.inputs[...] = 1
    network.train_step(1, 0, 1)
    a, b = only(network.predictions).reshape(2, 1000) != 0
    assert (a == b).mean() == pytest.approx(0.5, abs=0.07)


def test_views_handed_out_stay_valid_when_another_program_is_planned():
    network = Network(branches(), LOSSES.parse("categorical_crossentropy"), batch_size=4)
    network.initialize(0)
    filled(network, 4)
    network.predict(4)
    held, copy = only(network.predictions), only(network.predictions).copy()
    before = network.memory
    network.train_step(4, 0, 1)
    assert network.memory is not before, "the larger program must have moved the memory, or this shows nothing"
    assert np.array_equal(held, copy)


def test_padding_between_tensors_stays_zero():
    network = Network(branches(), LOSSES.parse("categorical_crossentropy"), batch_size=4)
    network.initialize(0)
    filled(network, 4)
    network.train_step(4, 0, 1)
    gaps = np.ones(network.gradients.data.size, bool)
    for offset, shape in network.gradients.segments.values():
        assert offset * 4 % 64 == 0
        gaps[offset : offset + np.prod(shape)] = False
    assert gaps.any()
    assert not network.gradients.data[gaps].any()


def test_loading_names_the_tensor_that_does_not_fit():
    network = Network(branches(), LOSSES.parse("categorical_crossentropy"), batch_size=4)
    good = {name: array + 1 for name, array in network.weights.tensors().items()}
    network.load(good)
    assert network.weights["b/kernel"][0, 0, 0, 0] == 1
    for change, text in (
        ({"b/kernel": None}, "'b/kernel' is missing"),
        ({"b/kernel": np.zeros((1, 1, 4, 5))}, "received (1, 1, 4, 5) for 'b/kernel', which is (1, 1, 4, 4)"),
        ({"c/kernel": np.zeros(3)}, "it has no 'c/kernel'"),
    ):
        changed = {name: array for name, array in {**good, **change}.items() if array is not None}
        with pytest.raises(CnncliError, match=text.replace("(", r"\(").replace(")", r"\)")):
            network.load(changed)
    assert network.weights["b/kernel"][0, 0, 0, 0] == 1


def test_shape_errors_name_the_rule_the_value_and_the_node():
    for entry, text in (
        (("pool", ("input",), "MaxPooling2D", {"pool_size": 9}), "pool: with padding 'valid' a window must not be"),
        (
            ("conv", ("input",), "Conv2D", {"filters": 4, "kernel_size": 1, "groups": 4}),
            "received 2 channels, groups=4",
        ),
        (("less", ("input",), "Subtract", {}), "Subtract takes exactly 2 inputs; received 1"),
        (("join", ("input", "input"), "Concatenate", {"axis": 0}), "axis must be from 1 to 3, or negative"),
        (("c", ("input",), "Dense", {"units": 2, "kernel_constraint": {"max_norm": {"axis": 2}}}), "received axis=2"),
    ):
        with pytest.raises(ShapeError, match=text):
            lower(model((6, 6, 2), entry))


def test_values_of_different_rank_are_not_joined():
    net = model((5, 1), ("flat", ("input",), "Flatten", {}), ("join", ("input", "flat"), "Concatenate", {}))
    with pytest.raises(ShapeError, match=r"join: .* received \(5, 1\), \(5,\)"):
        lower(net)


@pytest.mark.parametrize("n", [-1, 0, 5])
def test_a_batch_that_is_empty_or_larger_than_planned_is_refused(n):
    network = Network(branches(), LOSSES.parse("categorical_crossentropy"), batch_size=4)
    for run in (network.predict, network.evaluate, lambda n: network.train_step(n, 0, 1)):
        with pytest.raises(ValueError, match=f"1 … 4 samples; received {n}"):
            run(n)


def test_no_threads_are_refused():
    with pytest.raises(ValueError, match="must be between 1 and"):
        Network(branches(), LOSSES.parse("categorical_crossentropy"), batch_size=4, threads=0)


class Tied(Layer):
    """x · (a + b as a matrix + a): three uses of two weights, one of them through a view."""

    units: int = 3
    examples: ClassVar = ()

    def weights(self, *inputs):
        size = inputs[0][0] * self.units
        return {
            "a": Weight((inputs[0][0], self.units), INITIALIZERS.parse("glorot_uniform")),
            "b": Weight((size,), INITIALIZERS.parse("ones")),
            "c": Weight((inputs[0][0], self.units), INITIALIZERS.parse("zeros")),
        }

    def lower(self, build, *inputs):
        a, b, c = build.weight("a"), build.weight("b"), build.weight("c")
        return build.dense(inputs[0], build.add(a, build.reshape(b, a.shape), c), None)


def test_weights_that_share_one_gradient_each_get_it():
    network = Network(
        Model((4,), (Node("tied", Tied(), ("input",)),)), LOSSES.parse("mean_squared_error"), batch_size=2
    )
    network.initialize(0)
    network.inputs[...] = np.arange(8).reshape(2, 4)
    network.train_step(2, 0, 1)
    expected = 2 / 6 * network.inputs.T @ only(network.predictions)
    for name in "abc":
        np.testing.assert_allclose(network.gradients[f"tied/{name}"].reshape(4, 3), expected, rtol=1e-5)


def test_all_faulty_nodes_are_reported_and_the_rest_is_lowered():
    net = model(
        (6, 6, 2),
        ("bad", ("input",), "MaxPooling2D", {"pool_size": 9}),
        ("follows", ("bad",), "Flatten", {}),
        ("good", ("input",), "Flatten", {}),
        ("worse", ("good",), "MaxPooling2D", {}),
    )
    seen = []
    lowered = lower(net, report=lambda node, error: seen.append(node.name))
    assert seen == ["bad", "worse"]
    assert list(lowered.outputs) == ["input", "good"]


def test_the_summary_counts_parameters_and_flops_as_by_hand():
    net = model(
        (28, 28, 1),
        ("conv", ("input",), "Conv2D", {"filters": 32, "kernel_size": 3}),
        ("flat", ("conv",), "Flatten", {}),
        ("dense", ("flat",), "Dense", {"units": 10, "use_bias": False}),
    )
    rows = summarize(net, lower(net))
    assert [row.parameters for row in rows] == [3 * 3 * 32 + 32, 0, 26 * 26 * 32 * 10]
    assert [row.flops for row in rows] == [26 * 26 * 32 * (2 * 9 + 1), 0, 2 * 26 * 26 * 32 * 10]
    assert [row.output_shape for row in rows] == [(26, 26, 32), (21632,), (10,)]


def test_predicted_training_memory_is_what_training_allocates_but_for_scratch():
    loss = LOSSES.parse("categorical_crossentropy")
    network = Network(branches(), loss, batch_size=64)
    filled(network, 64)
    network.train_step(64, 0, 1)
    arrays = (network.weights.data, network.gradients.data, network.inputs, only(network.targets))
    scratch = network.runs["train"].program.size - network.runs["train"].program.shared_at
    held = sum(array.nbytes for array in arrays) + network.memory.size - scratch
    assert training_memory(branches(), loss, 64, 0) == pytest.approx(held, rel=0.02)
    slots = training_memory(branches(), loss, 64, 2) - training_memory(branches(), loss, 64, 0)
    assert slots == 2 * 4 * sum(array.size for array in network.weights.tensors().values())


def test_a_training_step_allocates_no_array():
    network = Network(branches(), LOSSES.parse("categorical_crossentropy"), batch_size=64)
    network.initialize(0)
    filled(network, 64)
    network.train_step(64, 0, 1)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for step in range(2, 12):
            network.train_step(64, 0, step)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 2048, f"{peak} bytes: more than the objects of a call"
    assert network.inputs.nbytes > 8 * 2048, "an array of this network would have been seen"


def test_targets_and_predictions_are_by_the_names_of_the_model_s_outputs():
    network = Network(branches(), LOSSES.parse("categorical_crossentropy"), batch_size=4)
    filled(network, 4)
    for run in (lambda n: network.train_step(n, 0, 1), network.evaluate, network.predict):
        run(4)
        names = [list(by_name) for by_name in (network.targets, network.predictions, network.probabilities)]
        assert names == [list(network.model.outputs)] * 3 == [[branches().nodes[-1].name]] * 3
    with pytest.raises(TypeError):
        network.predictions["other"] = network.inputs


def test_who_knows_of_one_output_refuses_several():
    assert only({"a": 1}) == 1
    with pytest.raises(ValueError, match="received the outputs a, b"):
        only({"a": 1, "b": 2})
