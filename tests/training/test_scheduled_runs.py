"""Whole runs with schedules, and with everything that an optimizer remembers."""

import json
import shutil
from itertools import cycle

import numpy as np
import pytest

from cnncli.errors import InterruptedRun
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from tests.training import small
from tests.training.optimizer_cases import ONE_OF, together
from tests.training.test_loop import interrupter

COSINE = {"CosineDecay": {"initial_learning_rate": 0, "decay_steps": "1.5 epochs", "alpha": 0.1}}
COSINE["CosineDecay"] |= {"warmup_target": 0.1, "warmup_steps": 4}
STEPWISE = {"PiecewiseConstantDecay": {"boundaries": ["1 epochs", "1.5 epochs"], "values": [0.01, 0.003, 0.001]}}
RUNS = [
    {name: {**together(name, clipping), "gradient_accumulation_steps": every, "learning_rate": rate}}
    for name, clipping, every, rate in zip(
        OPTIMIZERS.classes, cycle(ONE_OF), cycle([None, 2]), cycle([COSINE, STEPWISE, 0.01]), strict=False
    )
]


@pytest.fixture
def data(tmp_path):
    small.write_data(tmp_path)
    return tmp_path


@pytest.mark.parametrize("optimizer", RUNS, ids=[next(iter(optimizer)) for optimizer in RUNS])
def test_schedules_and_slots_outlive_interruptions_and_growing(data, optimizer):
    """Two interruptions in mid-epoch, then two epochs more than the run began with, on another number of threads."""
    plan, short = (small.plan(data, optimizer=optimizer, epochs=epochs, callbacks=[]) for epochs in (4, 2))
    small.run(plan, data / "whole")
    with pytest.raises(InterruptedRun):
        small.run(short, data / "run", report=interrupter(4), threads=1)
    with pytest.raises(InterruptedRun):
        small.run(short, resume=data / "run", report=interrupter(5), threads=1)
    small.run(short, resume=data / "run", threads=1)
    small.run(plan, resume=data / "run", threads=1)
    assert small.outcome(data / "run") == small.outcome(data / "whole")


def test_each_epoch_says_the_learning_rate_at_its_end(data):
    def rates(optimizer):
        small.run(small.plan(data, optimizer=optimizer, epochs=3, callbacks=[]), data / "run")
        lines = (data / "run/metrics.jsonl").read_text().splitlines()
        shutil.rmtree(data / "run")
        return [json.loads(line).get("learning_rate") for line in lines]

    assert rates({"AdamW": {"learning_rate": STEPWISE}}) == [0.01, 0.001, 0.001]  # 6, 9 and 12, 18 updates
    cosine = [0.1 * (0.9 * (1 + np.cos(np.pi * part)) / 2 + 0.1) for part in (2 / 9, 8 / 9, 1)]
    assert rates({"SGD": {"learning_rate": COSINE}}) == pytest.approx(cosine)
    assert rates("sgd") == [0.01] * 3
