"""Optimizers step by step against trajectories made with real Keras."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.kernels import runtime
from cnncli.training.optimizers import OPTIMIZERS

CASES = json.loads((Path(__file__).parent.parent / "fixtures" / "optimizers.json").read_text())["optimizers"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_step_moves_the_weights_as_in_keras(case, dtype):
    optimizer = OPTIMIZERS.parse({case["optimizer"]: case["config"]})
    weights, gradient = np.array(case["weight"], dtype), np.zeros(6, dtype)
    slots, hyper = [np.zeros(6, dtype) for _ in optimizer.slots], np.zeros(len(optimizer.hyper(1)))
    places = [runtime.tensor(array) for array in (weights, gradient, *slots, hyper)]
    update = runtime.Program(optimizer.steps(places[0], places[1], places[2:-1], places[-1]))
    for number, (given, expected) in enumerate(zip(case["gradients"], case["trajectory"], strict=True), 1):
        gradient[:], hyper[:] = given, optimizer.hyper(number)
        update.run()
        np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
