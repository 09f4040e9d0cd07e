"""Training in mixed_bfloat16: as exact as in float32, and its runs know how they were trained."""

from dataclasses import replace

import numpy as np
import pytest

import cnncli
from cnncli.errors import InterruptedRun
from cnncli.spec.spec import load
from tests.cli.test_train import SPEC
from tests.cli.test_train import cnncli as command
from tests.training import small
from tests.training.small import BATCHES, interrupter


@pytest.fixture
def data(tmp_path):
    small.write_data(tmp_path)
    return tmp_path


def plan(data, policy):
    made = small.plan(data)
    return replace(made, compile=made.compile.replace(dtype_policy=policy))


def test_neither_threads_nor_interruptions_in_the_middle_of_an_epoch_change_a_bit(data):
    mixed = plan(data, "mixed_bfloat16")
    small.run(mixed, data / "whole", threads=1)
    with pytest.raises(InterruptedRun):
        small.run(mixed, data / "run", report=interrupter(2))
    with pytest.raises(InterruptedRun):
        small.run(mixed, resume=data / "run", report=interrupter(BATCHES + 1), threads=3)
    small.run(mixed, resume=data / "run")
    assert small.outcome(data / "run") == small.outcome(data / "whole")
    small.run(plan(data, "float32"), data / "exact")
    assert small.outcome(data / "exact") != small.outcome(data / "whole")


def test_a_run_evaluates_and_predicts_as_it_was_trained_unless_told_otherwise(data):
    (data / "bars.yaml").write_text(SPEC)
    trained = command(data, "train", "bars.yaml", "--dtype", "bf16", "--output", "run")
    assert trained.returncode == 0, trained.stderr
    assert load(data / "run" / "spec.yaml").compile.dtype_policy == "mixed_bfloat16"
    with np.load(data / "bars.npz") as arrays:
        images = arrays["x_test"]
    own, mixed, exact = (
        cnncli.load(data / "run", dtype=dtype).predict(images).probabilities for dtype in (None, "bf16", "float32")
    )
    assert (own == mixed).all()
    assert (own != exact).any()
    np.testing.assert_allclose(own, exact, atol=0.01)
    resumed = command(data, "train", "--resume", "run", "--dtype", "float32")
    assert resumed.returncode == 2
    assert "--dtype" in resumed.stderr
