"""A training that diverges stops within a batch, says what was the first not to be finite, and keeps good weights."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from cnncli.errors import DivergedError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.nonfinite import is_finite
from cnncli.layers.vocabulary import LAYERS
from cnncli.training.callbacks.callback import Callback, Hooks
from cnncli.training.runs import checkpoint
from cnncli.training.sections import CompileSection
from tests.training import small

GREAT = {"Rescaling": {"scale": 1e30}}
FLAT = [("flatten", "Flatten")]


@pytest.fixture
def data(tmp_path):
    small.write_data(tmp_path)
    return tmp_path


def chain(*entries):
    """A model of these named layers in a row."""
    names = [INPUT, *(name for name, _ in entries)]
    nodes = [
        Node(name, LAYERS.parse(entry), (before,)) for (name, entry), before in zip(entries, names[:-1], strict=True)
    ]
    return Model((8, 8, 1), tuple(nodes))


def dense(**arguments):
    return ("dense", {"Dense": {"units": 2, **arguments}})


def said(data, model, *, rate=1e-3, policy="float32", **options):
    """How the training of a model ends; its checkpoint has the first weights still."""
    plan = small.plan(data, epochs=2, callbacks=[], model=model)
    compiled = {"optimizer": {"SGD": {"learning_rate": rate, **options}}, "loss": "mse", "dtype_policy": policy}
    plan = replace(plan, compile=CompileSection(**compiled))
    with pytest.raises(DivergedError) as caught:
        small.run(plan, data / "run")
    kept = checkpoint.load(data / "run/last.safetensors")
    assert json.loads(kept.metadata["state"])["step"] == 0
    what, _, rest = str(caught.value).partition("; a smaller learning_rate often helps.")
    assert rest == f" The last good weights, the first ones, are in {data / 'run/last.safetensors'}"
    return what


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_an_output_that_overflows_is_named_by_its_layer(data, policy):
    """Not by the statistics of a normalization behind it, which the same step updates."""
    normalized = ("normalization", "BatchNormalization")
    twice = chain(("first", GREAT), ("second", GREAT), normalized, *FLAT, dense())
    assert (
        said(data, twice, policy=policy) == "the loss is nan in epoch 1, batch 1; first, the output of second has inf"
    )


def test_a_gradient_that_overflows_does_not_reach_the_weights(data):
    """The images are 1e30, the output is 1e10 by its bias, and the loss 1e20: the gradient of the kernel is 1e40."""
    model = chain(
        ("great", GREAT), *FLAT, dense(kernel_initializer="zeros", bias_initializer={"Constant": {"value": 1e10}})
    )
    expected = "gradients are not finite in epoch 1, batch 1; first, the gradient of the weight dense/kernel has inf"
    assert said(data, model) == expected


def test_an_update_that_overflows_is_named_by_the_weight(data):
    model = chain(*FLAT, dense(bias_initializer={"Constant": {"value": 1e10}}))
    assert said(data, model, rate=1e30) == (
        "the loss is inf in epoch 1, batch 2; first, the weight dense/kernel has -inf"
    )


def test_a_loss_that_overflows_is_the_loss_itself(data):
    model = chain(*FLAT, dense(bias_initializer={"Constant": {"value": 1e30}}))
    assert said(data, model) == "the loss is inf in epoch 1, batch 1; first, the loss itself has inf"


def test_accumulated_gradients_that_overflow_end_the_training_in_their_batch(data):
    model = chain(
        ("great", GREAT), *FLAT, dense(kernel_initializer="zeros", bias_initializer={"Constant": {"value": 1e10}})
    )
    assert "epoch 1, batch 1; first, the gradient" in said(data, model, gradient_accumulation_steps=4)


class Breaker(Hooks):
    """Breaks a weight after a batch, and interrupts the training."""

    def batch_done(self, context, event):
        if event.batch == 3:
            context._network.weights["dense/kernel"][5] = np.nan
            os.kill(os.getpid(), signal.SIGINT)


class Breaking(Callback):
    def hooks(self, directions):
        return Breaker()


def test_weights_that_are_not_finite_are_never_saved(data):
    """Not even at an interruption, before the next batch would show it."""
    with pytest.raises(DivergedError) as caught:
        small.run(small.plan(data, callbacks=[Breaking()]), data / "run")
    assert str(caught.value).startswith(
        "the weights are no longer finite in epoch 1 after batch 3: dense/kernel has nan; a smaller"
    )
    assert json.loads(checkpoint.load(data / "run/last.safetensors").metadata["state"])["step"] == 0


def test_a_sum_that_overflows_of_numbers_that_are_finite_is_no_divergence():
    greatest = np.full(1000, np.finfo(np.float32).max)
    assert is_finite(greatest)
    assert is_finite(np.zeros(0, np.float32))
    for value in (np.inf, -np.inf, np.nan):
        greatest[500] = value
        assert not is_finite(greatest)
