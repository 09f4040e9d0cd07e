"""Callbacks at work in a training: what they see, what they may do, and that an interruption changes nothing."""

import json

import numpy as np
import pytest

from cnncli.errors import InterruptedRun
from cnncli.training.callbacks.callback import Callback, Hooks
from cnncli.training.events import BatchDone, Stopped
from cnncli.training.runs import checkpoint
from tests.training import small
from tests.training.small import BATCHES, interrupter, outcome

PLATEAU = {"ReduceLROnPlateau": {"monitor": "loss", "factor": 0.5, "patience": 1, "min_delta": 100.0}}


class Recording(Hooks):
    """Writes down what it sees; changes nothing."""

    def __init__(self):
        super().__init__()
        self.state = {"seen": []}

    def training_begins(self, context):
        with pytest.raises(ValueError, match="read-only"):
            context.weights["dense/kernel"][0] = 1

    def batch_done(self, context, event):
        assert isinstance(event, BatchDone)
        self.state["seen"].append([context.step, event.epoch, event.batch, context.learning_rate])

    def epoch_done(self, context, figures):
        assert context.history[-1] == figures
        self.state["seen"].append([context.epoch, figures["loss"], float(context.weights["dense/bias"][0])])

    def training_ends(self, context):
        context.write("seen.json", json.dumps(self.state["seen"]).encode())


class StopAt(Hooks):
    """Stops after a batch."""

    def batch_done(self, context, event):
        if context.step == BATCHES + 2:
            context.stop()


class Calling(Callback):
    """A callback with these hooks."""

    def hooks(self, directions):
        return self.kind()


class Recorder(Calling):
    kind = Recording


class Stopper(Calling):
    kind = StopAt


@pytest.fixture
def data(tmp_path):
    small.write_data(tmp_path)
    return tmp_path


@pytest.mark.parametrize("after", [2, BATCHES + 1, 2 * BATCHES])
def test_a_rate_that_a_callback_lowered_outlives_an_interruption(data, after):
    plan = small.plan(data, epochs=4, callbacks=[PLATEAU])
    small.run(plan, data / "whole")
    rates = [json.loads(line).get("learning_rate") for line in (data / "whole/metrics.jsonl").read_text().splitlines()]
    assert rates == [0.001, 0.001, 0.0005, 0.00025]
    with pytest.raises(InterruptedRun):
        small.run(plan, data / "run", report=interrupter(after))
    small.run(plan, resume=data / "run")
    assert outcome(data / "run") == outcome(data / "whole")


def test_a_lowered_rate_is_the_rate_of_the_updates_after_it(data):
    """Lowered after two epochs, as a schedule does whose boundary is the step before the next update."""
    schedule = {"PiecewiseConstantDecay": {"boundaries": [2 * BATCHES - 1], "values": [0.01, 0.005]}}
    small.run(small.plan(data, callbacks=[PLATEAU], optimizer="sgd"), data / "lowered")
    small.run(small.plan(data, callbacks=[], optimizer={"SGD": {"learning_rate": schedule}}), data / "scheduled")
    small.run(small.plan(data, callbacks=[], optimizer="sgd"), data / "constant")
    lowered, scheduled, constant = (
        checkpoint.load(data / f"{name}/last.safetensors").digest for name in ("lowered", "scheduled", "constant")
    )
    assert lowered == scheduled != constant


@pytest.mark.parametrize("after", [None, BATCHES - 1, BATCHES + 2])
def test_a_reader_sees_every_batch_and_epoch_once_and_changes_nothing(data, after):
    plan = small.plan(data, epochs=2, callbacks=[Recorder()])
    if after is not None:
        with pytest.raises(InterruptedRun):
            small.run(plan, data / "run", report=interrupter(after))
        small.run(plan, resume=data / "run")
    else:
        small.run(plan, data / "run")
    small.run(small.plan(data, epochs=2, callbacks=[]), data / "plain")
    run, plain = (checkpoint.load(data / f"{name}/last.safetensors").digest for name in ("run", "plain"))
    assert run == plain
    seen = json.loads((data / "run/seen.json").read_text())
    steps = [entry for entry in seen if len(entry) == 4]
    assert steps == [[step + 1, 1 + step // BATCHES, 1 + step % BATCHES, 0.001] for step in range(2 * BATCHES)]
    epochs = [entry for entry in seen if len(entry) == 3]
    assert [entry[0] for entry in epochs] == [1, 2]
    losses = [json.loads(line)["loss"] for line in (data / "run/metrics.jsonl").read_text().splitlines()]
    assert [entry[1] for entry in epochs] == losses


@pytest.mark.parametrize("after", [None, BATCHES + 2])
def test_a_callback_ends_an_epoch_early(data, after):
    plan, events = small.plan(data, epochs=3, callbacks=[Stopper()]), []
    if after is not None:
        with pytest.raises(InterruptedRun):
            small.run(plan, data / "run", report=interrupter(after))
        small.run(plan, resume=data / "run", report=events.append)
    else:
        small.run(plan, data / "run", report=events.append)
    assert events[-1] == Stopped(2, "Stopper")
    kept = checkpoint.load(data / "run/last.safetensors")
    state = json.loads(kept.metadata["state"])
    assert (state["epoch"], state["step"], len(state["history"])) == (2, BATCHES + 2, 2)
    assert np.isfinite(kept.weights["dense/kernel"]).all()


@pytest.mark.parametrize("after", [1, 3, BATCHES + 1])
def test_accumulated_gradients_outlive_an_interruption(data, after):
    """Four batches an update, six an epoch: every second update has batches of two epochs."""
    plan = small.plan(data, epochs=2, callbacks=[], optimizer={"Adam": {"gradient_accumulation_steps": 4}})
    small.run(plan, data / "whole")
    with pytest.raises(InterruptedRun):
        small.run(plan, data / "run", report=interrupter(after))
    small.run(plan, resume=data / "run")
    assert outcome(data / "run") == outcome(data / "whole")
