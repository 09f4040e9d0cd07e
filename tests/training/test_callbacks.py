import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.training.callbacks import EarlyStopping

CASES = json.loads((Path(__file__).parents[1] / "fixtures/early_stopping.json").read_text(encoding="utf-8"))["cases"]
DIRECTIONS = {"accuracy": "max"}


def follow(watcher, values, monitor, first=0):
    """Drive a watcher with epoch numbers as weights; the epoch it stops at, or None."""
    for epoch, value in enumerate(values[first:], first):
        if watcher.epoch_end(epoch, {monitor: float(value)}, {"w": np.array([float(epoch)])}):
            return epoch
    return None


@pytest.mark.parametrize("case", CASES, ids=[f"{number}" for number in range(len(CASES))])
def test_early_stopping_stops_and_restores_where_keras_does(case):
    declared = EarlyStopping(**case["config"])
    watcher = declared.watch(DIRECTIONS)
    stopped = follow(watcher, case["values"], declared.monitor)
    assert stopped == case["stopped_epoch"]
    ended = len(case["values"]) - 1 if stopped is None else stopped
    assert (ended if watcher.restored is None else watcher.tensors["w"][0]) == case["weights_epoch"]


@pytest.mark.parametrize("case", CASES[::5], ids=[f"{number}" for number in range(0, len(CASES), 5)])
def test_early_stopping_goes_on_from_what_json_kept(case):
    declared = EarlyStopping(**case["config"])
    for cut in range(1, len(case["values"])):
        first, second = declared.watch(DIRECTIONS), declared.watch(DIRECTIONS)
        stopped = follow(first, case["values"][:cut], declared.monitor)
        if stopped is None:
            second.state, second.tensors = json.loads(json.dumps(first.state)), first.tensors
            stopped = follow(second, case["values"], declared.monitor, cut)
        assert stopped == case["stopped_epoch"]


def test_mode_auto_goes_by_what_is_better_for_the_metric():
    watcher = EarlyStopping(monitor="val_accuracy").watch(DIRECTIONS)
    assert follow(watcher, [0.1, 0.2, 0.3, 0.2], "val_accuracy") == 3
