"""Constraints, initializers and regularizers against figures made with real Keras."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.errors import ShapeError
from cnncli.kernels.batch import random
from cnncli.kernels.jit import runtime
from cnncli.layers import vocabulary
from cnncli.layers.constraints import CONSTRAINTS
from cnncli.layers.initializers import INITIALIZERS
from cnncli.layers.layer import LAYERS
from cnncli.layers.regularizers import REGULARIZERS
from tests.layers.harness import LayerHarness

vocabulary.layers()
FIXTURE = json.loads((Path(__file__).parent.parent / "fixtures" / "optimizers.json").read_text())
WEIGHTS = json.loads((Path(__file__).parent.parent / "fixtures" / "weights.json").read_text())


@pytest.mark.parametrize("case", FIXTURE["constraints"], ids=lambda case: f"{case['constraint']}-{case['config']}")
def test_constraints_give_what_keras_gives(case):
    weight = np.array(case["input"], np.float32)
    runtime.run(CONSTRAINTS.parse({case["constraint"]: case["config"]}).steps(runtime.tensor(weight)))
    np.testing.assert_allclose(weight, np.array(case["output"]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "case", FIXTURE["initializers"], ids=lambda case: f"{case['initializer']}-{case['config']}-{len(case['shape'])}d"
)
def test_initializers_draw_from_the_distribution_of_keras(case):
    drawn = drawn_like(case)
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
    assert abs(drawn.mean() - (low + high) / 2) < 0.01 * spread


def drawn_like(case):
    """200,000 values of an initializer, of weights of a shape."""
    shape = tuple(case["shape"])
    initializer = INITIALIZERS.parse({case["initializer"]: case["config"]})
    return np.concatenate([initializer.draw(shape, seed, 3).ravel() for seed in range(200_000 // np.prod(shape))])


@pytest.mark.parametrize("case", WEIGHTS["initializers"], ids=lambda case: f"{case['initializer']}-{case['shape']}")
def test_initializers_without_chance_give_what_keras_gives(case):
    np.testing.assert_allclose(known(case), np.array(case["values"]), rtol=1e-6, atol=1e-6)


def known(case):
    """The weight of an initializer; of Orthogonal, the products of its vectors."""
    drawn = INITIALIZERS.parse({case["initializer"]: case["config"]}).draw(tuple(case["shape"]), 5, 3)
    if case["initializer"] != "Orthogonal":
        return drawn
    matrix = drawn.reshape(-1, drawn.shape[-1])
    return matrix.T @ matrix if len(matrix) >= matrix.shape[1] else matrix @ matrix.T


@pytest.mark.parametrize("case", WEIGHTS["regularizers"], ids=lambda case: f"{case['regularizer']}-{case['config']}")
def test_regularizers_give_what_keras_gives(case):
    penalty, gradient = penalized(case)
    np.testing.assert_allclose(penalty, case["penalty"], rtol=1e-5)
    np.testing.assert_allclose(gradient, np.array(case["gradient"]), rtol=1e-5, atol=1e-6)


def penalized(case):
    """The penalty on a weight of a layer of no other use, and its gradient."""
    weight = np.array(case["weight"], np.float32)
    regularizer = {"kernel_regularizer": {case["regularizer"]: case["config"]}, "use_bias": False}
    *size, inputs, units = weight.shape
    kind = {"Conv2D": {"filters": units, "kernel_size": size}} if size else {"Dense": {"units": units}}
    ((name, arguments),) = kind.items()
    layer = LAYERS.parse({name: {**arguments, **regularizer}})
    one = LayerHarness(layer, [(*size, inputs)], batch=2, dtype="float32", training=True)
    one.weights["kernel"][...] = weight
    for array in (*one.inputs, one.cotangent):
        array[...] = 0
    _, gradient = one.gradients()
    return one.penalty(), gradient


@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (7, 7), (3, 3, 4, 10), (1, 2, 3, 20)])
def test_an_orthogonal_weight_is_the_factor_of_qr_with_positive_diagonal(shape):
    drawn = INITIALIZERS.parse({"orthogonal": {"gain": 2.0}}).draw(shape, 5, 3)
    matrix = drawn.reshape(-1, shape[-1]) / 2
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(tall.T @ tall, np.eye(tall.shape[1]), atol=1e-12)
    normal = random.normal(tall.shape, 0.0, 1.0, 5, 3)
    q, r = np.linalg.qr(normal)
    np.testing.assert_allclose(tall, q * np.sign(np.diag(r)), atol=1e-11)


def test_an_orthogonal_matrix_prefers_no_direction():
    drawn = np.array([INITIALIZERS.parse("orthogonal").draw((3, 3), seed, 3) for seed in range(4000)])
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose((drawn**2).mean(axis=0), 1 / 3, atol=0.03)


def test_the_identity_times_gain():
    drawn = INITIALIZERS.parse({"IdentityInitializer": {"gain": 3}}).draw((2, 4), 5, 3)
    np.testing.assert_array_equal(drawn, 3 * np.eye(2, 4))


def test_a_seed_of_its_own_replaces_that_of_the_run_and_the_place_in_the_model():
    given = INITIALIZERS.parse({"he_normal": {"seed": 7}})
    np.testing.assert_array_equal(given.draw((3, 4), 1, 3), given.draw((3, 4), 2, 9))
    other = INITIALIZERS.parse({"he_normal": {"seed": 8}}).draw((3, 4), 1, 3)
    assert not np.isclose(given.draw((3, 4), 1, 3), other).any()
    assert given.draw((3, 4), 0, 0).dtype == np.float64


@pytest.mark.parametrize(
    ("entry", "shape", "said"),
    [
        ("orthogonal", (4,), "at least two axes"),
        ("identity", (2, 3, 4), "two axes"),
        ({"glorot_uniform": {"input_axes": [2], "output_axes": [1]}}, (3, 4), "in range"),
    ],
)
def test_an_initializer_refuses_shapes_that_it_has_no_weight_of(entry, shape, said):
    with pytest.raises(ShapeError, match=said):
        INITIALIZERS.parse(entry).check(shape)


def test_null_is_what_keras_takes_it_for():
    layer = LAYERS.parse({"Dense": {"units": 2, "kernel_initializer": None, "bias_initializer": None}})
    assert layer.kernel_initializer == layer.bias_initializer == INITIALIZERS.parse("glorot_uniform")
    assert [REGULARIZERS.parse({name: {"l1": None}}).l1 for name in ("L1", "L1L2")] == [0.01, 0.0]
    assert [REGULARIZERS.parse({name: {"l2": None}}).l2 for name in ("L2", "L1L2")] == [0.01, 0.0]


@pytest.mark.parametrize(
    ("entry", "shape", "said"),
    [
        (
            {"Conv2D": {"filters": 2, "kernel_size": 3, "kernel_regularizer": "OrthogonalRegularizer"}},
            (5, 5, 1),
            "weight",
        ),
        ({"Dense": {"units": 2, "activity_regularizer": "orthogonal_regularizer"}}, (5,), "outputs"),
    ],
)
def test_angles_are_those_of_weights_of_two_axes(entry, shape, said):
    with pytest.raises(ShapeError, match=f"takes weights of two axes; received {said} of shape"):
        LayerHarness(LAYERS.parse(entry), [shape], batch=2, dtype="float32", training=True)
