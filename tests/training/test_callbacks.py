"""EarlyStopping and ReduceLROnPlateau follow traces that Keras left, also when they are interrupted."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.training.callbacks.early_stopping import EarlyStopping
from cnncli.training.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau

FIXTURES = Path(__file__).parents[1] / "fixtures"
STOPPING = json.loads((FIXTURES / "early_stopping.json").read_text(encoding="utf-8"))["cases"]
PLATEAUS = json.loads((FIXTURES / "reduce_lr_on_plateau.json").read_text(encoding="utf-8"))["cases"]
DIRECTIONS = {"accuracy": "max"}


def numbered(cases, step=1):
    """The cases as parameters."""
    return pytest.mark.parametrize("case", cases[::step], ids=[f"{number}" for number in range(0, len(cases), step)])


class Training(SimpleNamespace):
    """A context of a training whose weights are the number of the epoch, from 0."""

    def __init__(self, rate=1.0):
        super().__init__(epoch=0, stopped=False, learning_rate=rate, weights={}, rates=[])

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
