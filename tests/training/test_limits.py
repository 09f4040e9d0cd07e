"""max_steps, max_time and save_freq: where a training ends or is saved; a resumed run ends with the same bytes."""

import json
from dataclasses import replace

import pytest

from cnncli.training.distributed import batch
from cnncli.training.durations import Duration, SaveFreq, seconds
from cnncli.training.events import BatchDone, EpochDone, Stopped
from cnncli.training.loop import loop
from cnncli.training.runs import checkpoint
from tests.training import small
from tests.training.small import BATCHES, outcome

EPOCHS = 3
CALLBACKS = [
    {"EarlyStopping": {"patience": 9, "restore_best_weights": True}},
    {"ReduceLROnPlateau": {"monitor": "loss", "factor": 0.5, "patience": 1, "min_delta": 100.0}},
    {"LearningRateScheduler": {"schedule": {2: 0.01}}},
    {"ModelCheckpoint": {"filepath": "{epoch}-{val_loss:.3f}.safetensors", "save_best_only": True, "max_to_keep": 1}},
    {"ModelCheckpoint": {"filepath": "steps/{epoch}-{batch}.safetensors", "save_freq": 4}},
    "TerminateOnNaN",
]
"""Every callback, some of them twice."""


class Killed(BaseException):
    """The process ends at once: nothing more is written."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    small.write_data(folder)
    small.run(plan(folder), folder / "whole")
    return folder


def plan(folder, **fit):
    made = small.plan(folder, epochs=EPOCHS, callbacks=CALLBACKS)
    return replace(made, fit=made.fit.replace(**fit))


def models(run):
    return {str(file.relative_to(run)): file.read_bytes() for file in run.rglob("*.safetensors")}


def state_of(run):
    return json.loads(checkpoint.load(run / "last.safetensors").metadata["state"])


@pytest.mark.parametrize("steps", [1, BATCHES, BATCHES + 2])
def test_a_run_that_max_steps_ended_goes_on_with_more_to_the_same_bytes(data, tmp_path, steps):
    events = []
    result = small.run(plan(data, max_steps=steps), tmp_path / "run", report=events.append)
    epoch, batch = divmod(steps, BATCHES)
    assert len([event for event in events if isinstance(event, BatchDone)]) == steps
    assert events[-1] == Stopped(epoch + (batch > 0), "max_steps", batch)
    assert [event.figures["epoch"] for event in events if isinstance(event, EpochDone)] == list(
        range(1, epoch + 1 + (batch > 0))
    )
    assert result.test is not None
    assert "val_loss" in result.figures
    found = json.loads((tmp_path / "run/result.json").read_text())
    assert (found["state"], found["stopped_by"], result.stopped_by) == ("finished", "max_steps", "max_steps")
    assert (state_of(tmp_path / "run")["epoch"], state_of(tmp_path / "run")["batch"]) == (epoch, batch)
    small.run(plan(data, max_steps=None), resume=tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(data / "whole")


def test_a_run_that_max_steps_ended_tells_when_resumed_that_nothing_is_left(data, tmp_path):
    limited, events = plan(data, max_steps=BATCHES + 2), []
    first = small.run(limited, tmp_path / "run")
    before = outcome(tmp_path / "run")
    again = small.run(limited, resume=tmp_path / "run", report=events.append)
    assert str(events[0]) == "notice: max_steps 8 ended this run; add --max-steps 16 to train on"
    assert (again, outcome(tmp_path / "run")) == (first, before)


def test_a_training_of_which_max_steps_is_the_last_one_is_not_cut_short(data, tmp_path):
    events = []
    result = small.run(plan(data, max_steps=EPOCHS * BATCHES), tmp_path / "run", report=events.append)
    assert (result.stopped_by, isinstance(events[-1], EpochDone)) == ("", True)
    assert outcome(tmp_path / "run") == outcome(data / "whole")


@pytest.mark.parametrize("best", [1, 2])
def test_the_best_epoch_before_a_cut_comes_back_when_the_run_goes_on(data, tmp_path, monkeypatch, best):
    """The second epoch is cut after two batches; its validation is better than the first, or worse."""
    losses, real = iter([2.0, 1.0 if best == 2 else 3.0]), loop.evaluated

    def evaluated(*given, **more):
        sums = real(*given, **more)
        sums.losses = [next(losses) * sums.samples]
        return sums

    monkeypatch.setattr(loop, "evaluated", evaluated)
    whole = small.plan(data, epochs=EPOCHS, callbacks=[])
    limited = replace(whole, fit=whole.fit.replace(max_steps=BATCHES + 2))
    assert small.run(limited, tmp_path / "run").epoch == best
    first = checkpoint.load(tmp_path / "run/best.safetensors").digest
    losses = iter([9.0, 9.0])
    assert small.run(whole, resume=tmp_path / "run").epoch == 1
    assert (checkpoint.load(tmp_path / "run/best.safetensors").digest == first) == (best == 1)
    monkeypatch.undo()
    assert small.run(replace(whole, fit=whole.fit.replace(epochs=1)), tmp_path / "one").digest == (
        checkpoint.load(tmp_path / "run/best.safetensors").digest
    )


class Clock:
    """A clock that each batch advances by a second."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(batch, "perf_counter", lambda: self.now)

    def __call__(self, event):
        self.now += isinstance(event, BatchDone)


def test_max_time_ends_the_training_after_a_batch_and_begins_anew_with_each_command(data, tmp_path, monkeypatch):
    clock, events = Clock(monkeypatch), []

    def report(event):
        clock(event)
        events.append(event)

    limited = plan(data, max_time="8s")
    small.run(limited, tmp_path / "run", report=report)
    assert events[-1] == Stopped(2, "max_time", 2)
    small.run(limited, resume=tmp_path / "run", report=report)
    assert events[-1] == Stopped(3, "max_time", 4)
    assert small.run(limited, resume=tmp_path / "run", report=report).stopped_by == ""
    assert outcome(tmp_path / "run") == outcome(data / "whole")


@pytest.mark.parametrize(("freq", "after", "kept"), [(4, 11, 8), ("3s", 11, 9), ("epoch", 11, 6), (1, 13, 13)])
def test_a_killed_training_loses_no_more_than_the_batches_since_it_was_saved(
    data, tmp_path, monkeypatch, freq, after, kept
):
    clock, trained = Clock(monkeypatch), []

    def report(event):
        clock(event)
        trained.append(isinstance(event, BatchDone))
        if sum(trained) == after + 1:  # the batch before it is saved
            raise Killed

    often = plan(data, save_freq=freq)
    monkeypatch.setattr("cnncli.training.loop.session._give_up", lambda *about: None)
    with pytest.raises(Killed):
        small.run(often, tmp_path / "run", report=report)
    monkeypatch.undo()
    assert state_of(tmp_path / "run")["step"] == kept
    small.run(often, resume=tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(data / "whole")
    assert models(tmp_path / "run") == models(data / "whole")


@pytest.mark.parametrize(
    ("text", "number"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172800), ("1d2h3m4s", 93784)],
)
def test_a_duration_is_a_number_with_a_unit_or_several(text, number):
    assert seconds(text) == Duration().read(text) == number
    assert SaveFreq().read(text) == text


@pytest.mark.parametrize("value", ["", "10", "m", "10 m", "0s", "1:30", "-5m", 0, -1, True, None, float("inf"), [5]])
def test_what_is_no_duration_is_refused(value):
    for kind in (Duration(), SaveFreq()):
        with pytest.raises(ValueError, match="duration like"):
            kind.read(value)
    assert Duration().read(2.5) == 2.5
