"""Moving averages of the weights: what is validated, what the files hold, and resuming."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnncli.errors import InterruptedRun
from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.network import Network
from cnncli.layers.core import Dense, Flatten
from cnncli.layers.losses import LOSSES
from cnncli.training.loop import loop
from cnncli.training.metrics.evaluation import evaluated
from cnncli.training.optimizers.update import Update
from cnncli.training.runs import checkpoint
from cnncli.training.sections import CompileSection, FitSection
from tests.training import small

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "averages.json").read_text())["cases"]
AVERAGED = {"Adam": {"use_ema": True, "ema_momentum": 0.9}}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_two_epochs_are_those_of_keras(tmp_path, monkeypatch, case):
    """Whose model has the averages in the end."""
    x, y = np.array(case["x"], np.float32), np.array(case["y"])
    np.savez(tmp_path / "bars.npz", x_train=x[:13], y_train=y[:13], x_val=x[13:], y_val=y[13:])
    kernel, bias = (np.array(array, np.float32) for array in case["start"])
    dense = Node("dense", Dense(units=3, activation="softmax"), ("flatten",))
    plan = replace(
        small.plan(tmp_path, validation_split=0.0),
        model=Model((2, 2, 1), (Node("flatten", Flatten(), (INPUT,)), dense)),
        compile=CompileSection(optimizer=case["optimizer"], loss="categorical_crossentropy"),
        fit=FitSection(epochs=2, batch_size=5, shuffle=False),
    )
    start = {"dense/kernel": kernel, "dense/bias": bias}
    assert case["val_loss"][1] < case["val_loss"][0]  # the best epoch is the last
    small.assert_fits_as_keras(plan, tmp_path / "run", monkeypatch, start, case, kept="best")


@pytest.fixture
def data(tmp_path):
    small.write_data(tmp_path)
    return tmp_path


def test_the_model_file_has_the_averages_and_the_checkpoint_both(data):
    """And the same training without averages goes the same way."""
    small.run(small.plan(data, optimizer=AVERAGED, epochs=1, callbacks=[]), data / "run")
    small.run(small.plan(data, epochs=1, callbacks=[]), data / "plain")
    best, last, plain = (
        checkpoint.load(data / file)
        for file in ("run/best.safetensors", "run/last.safetensors", "plain/last.safetensors")
    )
    for name, weight in plain.weights.items():
        assert (last.weights[name] == weight).all()
        average = last.extra.get(f"optimizer/average/{name}", weight)  # statistics have none
        assert (best.weights[name] == average).all()
    assert any((best.weights[name] != weight).any() for name, weight in plain.weights.items())


def test_callbacks_keep_the_averages_of_the_best_epoch(data):
    stopping = [{"EarlyStopping": {"patience": 5, "restore_best_weights": True}}]
    small.run(small.plan(data, optimizer=AVERAGED, callbacks=stopping), data / "run")
    small.run(small.plan(data, optimizer=AVERAGED, callbacks=[]), data / "plain")
    best, plain = (checkpoint.load(data / run / "best.safetensors") for run in ("run", "plain"))
    assert best.about.epoch == plain.about.epoch
    assert best.digest == plain.digest


def test_an_interruption_while_validating_the_averages_saves_the_weights(data, monkeypatch):
    def interrupting(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return evaluated(*arguments, **options)

    plan = small.plan(data, optimizer=AVERAGED, epochs=2)
    small.run(plan, data / "whole")
    monkeypatch.setattr(loop, "evaluated", interrupting)
    with pytest.raises(InterruptedRun):
        small.run(plan, data / "run")
    monkeypatch.undo()
    small.run(plan, resume=data / "run")
    assert small.outcome(data / "run") == small.outcome(data / "whole")


def test_the_averages_come_and_go():
    dense = Node("dense", Dense(units=2), (INPUT,))
    network = Network(Model((3,), (dense,)), LOSSES.parse("mse"), batch_size=1)
    network.initialize(0)
    update = Update(network, CompileSection(optimizer=AVERAGED, loss="mse").optimizer)
    network.gradients.data[:] = 1
    for step in (1, 2):
        update.run(step)
    weights, averages = network.weights.data.copy(), update.slots["average"].data.copy()
    with pytest.raises(ZeroDivisionError), update.averages():
        assert (network.weights.data == averages).all()
        with update.averages(shown=False):
            assert (network.weights.data == weights).all()
        with update.averages():
            assert (network.weights.data == averages).all()
        raise ZeroDivisionError
    assert (network.weights.data == weights).all()
    assert (update.slots["average"].data == averages).all()
