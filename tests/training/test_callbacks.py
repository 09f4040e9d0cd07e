"""Callbacks follow traces that Keras left, also when they are interrupted."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.training.callbacks.early_stopping import EarlyStopping
from cnncli.training.callbacks.model_checkpoint import ModelCheckpoint
from cnncli.training.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from cnncli.training.callbacks.vocabulary import CALLBACKS

FIXTURES = Path(__file__).parents[1] / "fixtures"
STOPPING = json.loads((FIXTURES / "early_stopping.json").read_text(encoding="utf-8"))["cases"]
PLATEAUS = json.loads((FIXTURES / "reduce_lr_on_plateau.json").read_text(encoding="utf-8"))["cases"]
TRACES = json.loads((FIXTURES / "callbacks.json").read_text(encoding="utf-8"))
DIRECTIONS = {"accuracy": "max"}


def numbered(cases, step=1):
    """The cases as parameters."""
    return pytest.mark.parametrize("case", cases[::step], ids=[f"{number}" for number in range(0, len(cases), step)])


class Training(SimpleNamespace):
    """A context of a training whose weights are the number of the epoch, from 0."""

    def __init__(self, rate=1.0):
        super().__init__(epoch=0, step=0, stopped=False, learning_rate=rate, weights={}, rates=[], saved=[])
        self.files = {}

    def save_model(self, name, epoch):
        self.saved.append(name)
        self.files[name] = epoch

    def remove_model(self, name):
        self.files.pop(name, None)

    def stop(self):
        self.stopped = True

    def follow(self, hooks, values, monitor, first=0):
        """Epochs with these values; the one, from 0, that it stops at, or None."""
        for epoch, value in enumerate(values[first:], first):
            self.epoch, self.weights = epoch + 1, {"w": np.array([float(epoch)])}
            hooks.epoch_done(self, {monitor: float(value)})
            if self.stopped:
                return epoch
            self.rates.append(self.learning_rate)
        return None


@numbered(STOPPING)
def test_early_stopping_stops_and_restores_where_keras_does(case):
    declared = EarlyStopping(**case["config"])
    hooks = declared.hooks(DIRECTIONS)
    stopped = Training().follow(hooks, case["values"], declared.monitor)
    assert stopped == case["stopped_epoch"]
    ended = len(case["values"]) - 1 if stopped is None else stopped
    assert (ended if hooks.chosen_epoch is None else hooks.tensors["w"][0]) == case["weights_epoch"]
    assert hooks.chosen_epoch in (None, case["weights_epoch"] + 1)


@pytest.mark.parametrize("patience", [0, 1, 2, 5])
@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("baseline", [None, 0.5])
def test_a_loss_that_never_falls_ends_a_training_at_the_first_epoch_possible(patience, start, baseline):
    declared = EarlyStopping(patience=patience, start_from_epoch=start, baseline=baseline)
    stopped = Training().follow(declared.hooks(DIRECTIONS), [1.0] * 20, declared.monitor)
    assert start + declared.fewest == stopped + 1


@numbered(STOPPING, 5)
def test_early_stopping_goes_on_from_what_json_kept(case):
    declared = EarlyStopping(**case["config"])
    for cut in range(1, len(case["values"])):
        first, second = declared.hooks(DIRECTIONS), declared.hooks(DIRECTIONS)
        stopped = Training().follow(first, case["values"][:cut], declared.monitor)
        if stopped is None:
            second.state, second.tensors = json.loads(json.dumps(first.state)), first.tensors
            stopped = Training().follow(second, case["values"], declared.monitor, cut)
        assert stopped == case["stopped_epoch"]


def test_mode_auto_goes_by_what_is_better_for_the_metric():
    hooks = EarlyStopping(monitor="val_accuracy").hooks(DIRECTIONS)
    assert Training().follow(hooks, [0.1, 0.2, 0.3, 0.2], "val_accuracy") == 3


@numbered(PLATEAUS)
@pytest.mark.parametrize("cut", [None, 3, 6])
def test_the_learning_rate_falls_when_and_as_far_as_keras_lets_it(case, cut):
    declared = ReduceLROnPlateau(**case["config"])
    hooks, training = declared.hooks(DIRECTIONS), Training(case["rate"])
    training.follow(hooks, case["values"][:cut], declared.monitor)
    if cut is not None:
        kept = json.loads(json.dumps(hooks.state))
        hooks = declared.hooks(DIRECTIONS)
        hooks.state = kept
        training.follow(hooks, case["values"], declared.monitor, cut)
    assert training.rates == pytest.approx(case["rates"], rel=1e-6)


def resumed(hooks, declared):
    """Hooks that go on from what JSON kept of others."""
    again = declared.hooks(DIRECTIONS)
    again.state = json.loads(json.dumps(hooks.state))
    return again


def saved_by(case, cut=None, **more):
    """The files that ModelCheckpoint writes: [epoch, batch or None, both from 0, name]; and those that stay.

    `cut`: the epoch before which the training is interrupted.
    """
    declared = ModelCheckpoint(**case["config"] | {"filepath": case["config"]["filepath"] + ".safetensors"} | more)
    hooks, training, events = declared.hooks(DIRECTIONS), Training(), []
    for epoch, value in enumerate(map(float, case["values"])):
        hooks = resumed(hooks, declared) if epoch == cut else hooks
        for batch in range(case["batches"]):
            training.step += 1
            running = {"loss": value + 0.3 / (batch + 1)}
            event = SimpleNamespace(epoch=epoch + 1, batch=batch + 1, sums=SimpleNamespace(figures=lambda r=running: r))
            hooks.batch_done(training, event)
            events += [[epoch, batch, name] for name in training.saved]
            training.saved.clear()
        training.epoch = epoch + 1
        figures = {"epoch": epoch + 1, "loss": value / 2, "val_loss": value, "val_accuracy": value}
        hooks.epoch_done(training, figures)
        events += [[epoch, None, name] for name in training.saved]
        training.saved.clear()
    return [[epoch, batch, name.removesuffix(".safetensors")] for epoch, batch, name in events], training.files


@numbered(TRACES["checkpoints"])
@pytest.mark.parametrize("cut", [None, 2])
def test_model_checkpoint_saves_when_and_where_keras_does(case, cut):
    events, files = saved_by(case, cut)
    assert events == case["saved"]
    assert files == {f"{name}.safetensors": epoch + 1 for epoch, _, name in case["saved"]}


@pytest.mark.parametrize("count", [1, 2, 5])
@numbered(TRACES["checkpoints"], 4)
def test_the_newest_files_stay(case, count):
    _, files = saved_by(case, 3, max_to_keep=count)
    names = list(dict.fromkeys(f"{name}.safetensors" for *_, name in reversed(case["saved"])))
    assert set(files) == set(names[:count])


def test_an_epoch_without_the_metric_is_not_saved():
    """Keras overwrites the best model by one that was not validated, or fails for want of the file name."""
    for arguments in (
        {"filepath": "best.of.safetensors", "save_best_only": True},
        {"filepath": "{val_loss}.safetensors"},
    ):
        hooks, training = ModelCheckpoint(**arguments).hooks(DIRECTIONS), Training()
        hooks.epoch_done(training, {"epoch": 1, "loss": 1.0})
        assert not training.saved
        hooks.epoch_done(training, {"epoch": 2, "loss": 1.0, "val_loss": 0.5})
        assert len(training.saved) == 1


@numbered(TRACES["rates"])
@pytest.mark.parametrize("cut", [None, 1, 4])
def test_callbacks_in_a_row_set_the_learning_rates_that_keras_sets(case, cut):
    declared = [CALLBACKS.parse({name: arguments}) for name, arguments in case["callbacks"]]
    hooks, training, rates = [each.hooks(DIRECTIONS) for each in declared], Training(case["rate"]), []
    for epoch, value in enumerate(case["values"]):
        if epoch == cut:
            hooks = [resumed(*pair) for pair in zip(hooks, declared, strict=True)]
        training.epoch = epoch
        for each in hooks:
            each.epoch_begins(training)
        rates.append(training.learning_rate)
        training.epoch = epoch + 1
        for each in hooks:
            each.epoch_done(training, {"val_loss": value})
    assert rates == pytest.approx(case["rates"], rel=1e-6)


@pytest.mark.parametrize(("first", "rate"), [(0, 1.0), (2, 0.5), (6, 0.25), (7, 0.1), (20, 0.1)])
def test_a_training_from_a_later_epoch_on_begins_with_the_rate_of_the_table(first, rate):
    hooks = CALLBACKS.parse({"LearningRateScheduler": {"schedule": {3: 0.5, 5: 0.25, 8: 0.1}}}).hooks(DIRECTIONS)
    training = Training(1.0)
    training.epoch = first
    hooks.epoch_begins(training)
    assert training.learning_rate == rate
