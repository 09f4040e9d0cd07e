"""Normalizations that are made again for the backward pass: the same bits, less memory."""

import numpy as np
import pytest

from cnncli.graph import objective as objectives
from cnncli.graph.model import Model, Node, only
from cnncli.graph.network import Network
from cnncli.graph.objective import objective
from cnncli.graph.rematerialize import rematerialized
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from cnncli.ops.batch_normalization import BatchNormalization, Renormalization
from cnncli.ops.ir import Tape, Value
from cnncli.ops.merging import Add, Affine

layers()
LOSS = LOSSES.parse("categorical_crossentropy")
ENTRIES = [
    ("conv", {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same"}}, ["input"]),
    ("norm", {"BatchNormalization": {}}, ["conv"]),
    ("act", {"Activation": {"activation": "gelu"}}, ["norm"]),
    ("left", {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same"}}, ["act"]),
    ("right", {"BatchNormalization": {"scale": False, "epsilon": 0.1}}, ["left"]),
    ("add", {"Add": {}}, ["right", "act"]),
    ("flat", {"Flatten": {}}, ["add"]),
    ("last", {"BatchNormalization": {"center": False}}, ["flat"]),
    ("out", {"Dense": {"units": 3, "activation": "softmax"}}, ["last"]),
]


def model(normalization=None):
    """The entries, optionally with another normalization in place of theirs."""
    given = (
        (name, normalization or entry if "BatchNormalization" in entry else entry, inputs)
        for name, entry, inputs in ENTRIES
    )
    return Model((6, 5, 2), tuple(Node(name, LAYERS.parse(entry), tuple(inputs)) for name, entry, inputs in given))


MODEL = model()


def gradients(model, threads=2):
    network = Network(model, LOSS, batch_size=16, threads=threads)
    network.initialize(1)
    rng = np.random.default_rng(2)
    network.inputs[...] = rng.normal(size=network.inputs.shape)
    only(network.targets)[...] = np.eye(3)[rng.integers(3, size=16)]
    network.train_step(16, 0, 1)
    return network.gradients.data.tobytes(), network.memory.size


@pytest.mark.parametrize(
    "normalization", [None, "LayerNormalization", "RMSNormalization", {"GroupNormalization": {"groups": 2}}]
)
def test_the_gradients_keep_their_bits_and_need_less_memory(normalization, monkeypatch):
    network = model(normalization)
    again, less = gradients(network)
    alone, _ = gradients(network, threads=1)
    monkeypatch.setattr(objectives, "rematerialized", lambda calls, loss: list(calls))
    kept, more = gradients(network)
    assert again == kept == alone
    assert less < more


class Cheap(Add):
    """An operation that says how its output is made again: of its first input alone."""

    def remade(self, call):
        return Affine(2.0), call.inputs[:1]


def test_any_operation_may_say_how_its_output_is_made_again():
    tape, x = Tape(owner="layer"), Value((3,))
    y = tape.emit(Cheap(), x, x)
    loss = tape.emit(Add(), y)
    tape.emit_all(Add(), y, loss)
    first, second, again, last = rematerialized(tape.calls, loss)
    assert (first.output, second.inputs, second.output) == (y, (y,), loss)
    assert (again.op, again.inputs, again.owner) == (Affine(2.0), (x,), "layer")
    assert last.inputs == (again.output, loss)


def test_each_normalization_that_the_backward_pass_reads_is_made_again_once_and_its_first_output_forgotten():
    found = objective(MODEL, LOSS, "train")
    loss = next(i for i, call in enumerate(found.calls) if found.loss in call.outputs)
    forward, backward = found.calls[: loss + 1], found.calls[loss + 1 :]
    made = {call.output: call.owner for call in forward if isinstance(call.op, BatchNormalization)}
    assert not {value for call in backward for value in call.inputs} & made.keys()
    # "right" is read by an addition alone, whose derivative needs no value.
    assert [call.owner for call in backward if isinstance(call.op, Renormalization)] == ["last", "norm"]
    assert [call.op for call in forward if isinstance(call.op, Renormalization)] == []
