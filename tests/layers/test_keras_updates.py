"""Constraints and initializers against figures made with real Keras."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.kernels.jit import runtime
from cnncli.layers.constraints import CONSTRAINTS
from cnncli.layers.initializers import INITIALIZERS

FIXTURE = json.loads((Path(__file__).parent.parent / "fixtures" / "optimizers.json").read_text())


@pytest.mark.parametrize("case", FIXTURE["constraints"], ids=lambda case: f"{case['constraint']}-{case['config']}")
def test_constraints_give_what_keras_gives(case):
    weight = np.array(case["input"], np.float32)
    runtime.run(CONSTRAINTS.parse({case["constraint"]: case["config"]}).steps(runtime.tensor(weight)))
    np.testing.assert_allclose(weight, np.array(case["output"]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "case", FIXTURE["initializers"], ids=lambda case: f"{case['initializer']}-{len(case['shape'])}d"
)
def test_initializers_draw_from_the_distribution_of_keras(case):
    shape = tuple(case["shape"])
    initializer = INITIALIZERS.parse({case["initializer"]: {}})
    drawn = np.concatenate([initializer.draw(shape, seed, 3).ravel() for seed in range(200_000 // np.prod(shape))])
    arguments, spread = case["arguments"], case["sample"]["std"]
    if case["distribution"] == "uniform":
        low, high = arguments["minval"], arguments["maxval"]
    elif case["distribution"] == "truncated_normal":
        low, high = (arguments["mean"] + sign * 2 * arguments["stddev"] for sign in (-1, 1))
    else:
        low, high = (arguments["mean"] + sign * 7 * arguments["stddev"] for sign in (-1, 1))
    assert low <= drawn.min()
    assert drawn.max() <= high
    if case["distribution"] != "normal":
        assert drawn.max() > high - 0.01 * (high - low)
        assert drawn.min() < low + 0.01 * (high - low)
    assert abs(drawn.std() - spread) < 0.01 * spread
    assert abs(drawn.mean() - arguments.get("mean", 0.0)) < 0.01 * spread
