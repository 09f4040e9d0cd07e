"""Which cross-entropies are of logits, and what outputs that are logits mean."""

import numpy as np
import pytest

from cnncli.graph.model import Model, Node, only
from cnncli.graph.network import Network
from cnncli.graph.objective import objective
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from cnncli.ops.losses import Loss

layers()
CATEGORICAL, SPARSE, BINARY = "categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy"
DENSE, FLATTEN = {"Dense": {"units": 3}}, "Flatten"
SOFTMAX, SIGMOID, LINEAR, HALF = (
    *({"Activation": {"activation": name}} for name in ("softmax", "sigmoid", "linear")),
    {"Dropout": {"rate": 0.5}},
)


def chain(*entries, shape=(4,)):
    names = ["input", *(f"l{number}" for number in range(len(entries)))]
    return Model(shape, tuple(Node(names[i + 1], LAYERS.parse(entry), (names[i],)) for i, entry in enumerate(entries)))


def loss_of(loss, *entries, purpose="train", shape=(4,)):
    """What the loss is computed by."""
    made = objective(chain(*entries, shape=shape), LOSSES.parse(loss), purpose)
    (kind,) = [call.op.kind for call in made.calls if isinstance(call.op, Loss)]
    return kind


@pytest.mark.parametrize(
    ("loss", "entries", "kind"),
    [
        *(
            (loss, [DENSE, end], "softmax_cross_entropy")
            for loss in (CATEGORICAL, SPARSE)
            for end in (SOFTMAX, SIGMOID)
        ),
        *((BINARY, [DENSE, end], "sigmoid_cross_entropy") for end in (SOFTMAX, SIGMOID, "Softmax")),
        (CATEGORICAL, [DENSE], "cross_entropy"),
        (SPARSE, [DENSE], "sparse_cross_entropy"),
        (BINARY, [DENSE], "binary_cross_entropy"),
        ("mse", [DENSE, SOFTMAX], "mean_squared_error"),
        (CATEGORICAL, [DENSE, SOFTMAX, LINEAR], "softmax_cross_entropy"),  # which makes no other value
        (CATEGORICAL, [DENSE, SOFTMAX, FLATTEN], "cross_entropy"),  # which does
        (SPARSE, [DENSE, SOFTMAX, {"Rescaling": {"scale": 1}}], "sparse_cross_entropy"),
        ({CATEGORICAL: {"from_logits": True}}, [DENSE], "softmax_cross_entropy"),
        ({SPARSE: {"from_logits": True}}, [DENSE, FLATTEN], "softmax_cross_entropy"),
        ({BINARY: {"from_logits": True}}, [DENSE, SOFTMAX, FLATTEN], "sigmoid_cross_entropy"),
    ],
)
def test_logits_are_found_where_keras_finds_them(loss, entries, kind):
    assert loss_of(loss, *entries) == loss_of(loss, *entries, purpose="evaluate") == kind


def test_logits_behind_a_dropout_are_found_where_it_drops_nothing():
    assert loss_of(CATEGORICAL, DENSE, SOFTMAX, HALF) == "cross_entropy"
    assert loss_of(CATEGORICAL, DENSE, SOFTMAX, HALF, purpose="evaluate") == "softmax_cross_entropy"


def test_a_softmax_along_another_axis_is_not_that_of_the_loss():
    entries = [{"Conv2D": {"filters": 3, "kernel_size": 1}}, {"Softmax": {"axis": 1}}]
    assert loss_of(SPARSE, *entries, shape=(4, 5, 1)) == "softmax_cross_entropy"
    network = Network(chain(*entries, shape=(4, 5, 1)), LOSSES.parse(SPARSE), batch_size=2, dtype="float64")
    network.initialize(0)
    network.inputs[...] = np.random.default_rng(0).normal(size=network.inputs.shape)
    only(network.targets)[..., 1] = 1
    logits = network.inputs * network.tensor("l0/kernel")[0, 0, 0] + network.tensor("l0/bias")
    network.evaluate(2)
    of_classes = np.log(np.exp(logits).sum(-1)) - logits[..., 1]
    np.testing.assert_allclose(network.losses, of_classes.mean(axis=(1, 2)))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(only(network.predictions), shares)


def trained(loss, *entries):
    network = Network(chain(*entries), LOSSES.parse(loss), batch_size=6)
    network.initialize(1)
    random = np.random.default_rng(0)
    network.inputs[...] = random.normal(size=network.inputs.shape)
    only(network.targets)[...] = np.eye(3)[random.integers(0, 3, 6)]
    network.train_step(6, 0, 1)
    return network


@pytest.mark.parametrize(("loss", "end"), [(CATEGORICAL, SOFTMAX), (SPARSE, SOFTMAX), (BINARY, SIGMOID)])
def test_a_loss_that_is_given_logits_trains_as_one_that_finds_them_to_the_bit(loss, end):
    given, found = trained({loss: {"from_logits": True}}, DENSE), trained(loss, DENSE, end)
    assert given.gradients.data.tobytes() == found.gradients.data.tobytes()
    assert given.losses.tobytes() == found.losses.tobytes()
    for run in ("train_step", "evaluate", "predict"):
        for network in (given, found):
            getattr(network, run)(6, *((0, 1) if run == "train_step" else ()))
        np.testing.assert_allclose(only(given.probabilities), only(found.predictions), rtol=1e-6)
        np.testing.assert_allclose(
            only(given.predictions), given.inputs @ given.tensor("l0/kernel"), rtol=1e-4, atol=1e-6
        )
        assert np.array_equal(only(found.probabilities), only(found.predictions))


def test_the_activation_of_a_loss_that_gives_it_too_is_not_computed_twice():
    for loss, end in ((CATEGORICAL, SOFTMAX), (BINARY, SIGMOID)):
        made = objective(chain(DENSE, end), LOSSES.parse(loss), "train")
        assert [type(call.op).__name__ for call in made.calls[:2]] == ["Dense", "Loss"]
        assert made.lowered.output in made.calls[1].outputs
