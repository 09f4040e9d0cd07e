"""Dropouts and noise in training: what they do to their input, and what their random numbers depend on."""

import numpy as np
import pytest

from cnncli.errors import ShapeError
from cnncli.layers import vocabulary
from cnncli.layers.layer import LAYERS
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Value
from tests.layers.harness import LayerHarness

vocabulary.layers()
SELU_FLOOR = -1.7580993408473766


def run(name, shape, batch=4, x=None, clock=(7, 3), **arguments):
    layer = LAYERS.parse({name: arguments})
    one = LayerHarness(layer, [shape], batch=batch, dtype="float64", training=True).fill(1)
    one.clock[:2] = clock
    if x is not None:
        one.inputs[0][...] = x
    return one.inputs[0].copy(), one.run()


def test_spatial_dropout_drops_whole_channels():
    x, y = run("SpatialDropout2D", (5, 6, 40), rate=0.25)
    ratio = y / x
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1, :1], ratio.shape), atol=1e-12)
    kept = ratio[:, 0, 0] != 0
    np.testing.assert_allclose(ratio[:, 0, 0][kept], 1 / 0.75)
    assert 0.6 < kept.mean() < 0.9
    assert len({tuple(row) for row in kept}) == 4, "every sample has its own channels"


def test_stochastic_depth_drops_whole_samples_as_in_kerass_convnext():
    x, y = run("StochasticDepth", (5, 6), batch=400, drop_path_rate=0.3)
    kept = (y != 0).any((1, 2))
    np.testing.assert_allclose(y, np.where(kept[:, None, None], x / 0.7, 0))
    assert kept.mean() == pytest.approx(0.7, abs=0.08)


@pytest.mark.parametrize("noise_shape", [[None, 1, 6, None], [None, None, 1, 1], [None, 1, 1, 1], [None, 5, 6, 8]])
def test_a_noise_shape_is_that_of_the_drops(noise_shape):
    for name in ("Dropout", "AlphaDropout"):
        x, y = run(name, (5, 6, 8), batch=64, rate=0.5, noise_shape=noise_shape)
        dropped = y == 0 if name == "Dropout" else np.isclose(y, y.min())
        shared = tuple(axis for axis, length in enumerate(noise_shape) if length == 1)
        assert (dropped.all(axis=shared) == dropped.any(axis=shared)).all()
        assert 0.2 < dropped.mean() < 0.8
        if name == "Dropout":
            np.testing.assert_allclose(y[~dropped], 2 * x[~dropped])


def test_alpha_dropout_keeps_mean_and_variance_of_normal_numbers():
    normal = np.random.default_rng(2).normal(size=(4, 50_000))
    _, y = run("AlphaDropout", (50_000,), x=normal, rate=0.3)
    assert y.mean() == pytest.approx(0, abs=0.02)
    assert y.var() == pytest.approx(1, abs=0.02)
    a = (0.7 * (1 + 0.3 * SELU_FLOOR**2)) ** -0.5
    floor = a * SELU_FLOOR - 0.3 * a * SELU_FLOOR
    dropped = np.isclose(y, floor)
    assert dropped.mean() == pytest.approx(0.3, abs=0.01)
    np.testing.assert_allclose(y[~dropped], (a * normal - 0.3 * a * SELU_FLOOR)[~dropped])


def test_gaussian_noise_and_dropout_have_the_moments_that_keras_asks_for():
    x, y = run("GaussianNoise", (50_000,), stddev=0.5)
    assert (y - x).mean() == pytest.approx(0, abs=0.01)
    assert (y - x).std() == pytest.approx(0.5, rel=0.01)
    x, y = run("GaussianDropout", (50_000,), rate=0.2)
    assert (y / x).mean() == pytest.approx(1, abs=0.01)
    assert (y / x).std() == pytest.approx(0.5, rel=0.01)


NAMES = [
    *(("Dropout", {"rate": 0.5}), ("SpatialDropout2D", {"rate": 0.5}), ("AlphaDropout", {"rate": 0.5})),
    *(("GaussianDropout", {"rate": 0.5}), ("GaussianNoise", {"stddev": 0.5})),
]


@pytest.mark.parametrize(("name", "arguments"), NAMES)
def test_with_a_seed_of_its_own_it_depends_on_the_step_and_not_on_the_run(name, arguments):
    def found(*clock, **more):
        return run(name, (5, 6, 8), clock=clock, **arguments, **more)[1]

    assert (found(7, 3) == found(7, 3)).all()
    for clock in ((8, 3), (7, 4)):
        assert not (found(7, 3) == found(*clock)).all()
    assert (found(7, 3, seed=5) == found(8, 3, seed=5)).all()
    assert not (found(7, 3, seed=5) == found(7, 4, seed=5)).all()
    assert not (found(7, 3, seed=5) == found(7, 3, seed=-5)).all()


@pytest.mark.parametrize(("name", "arguments"), NAMES)
def test_each_layer_of_a_model_has_numbers_of_its_own_unless_they_have_one_seed(name, arguments):
    def emitted(**more):
        layer, build = LAYERS.parse({name: {**arguments, **more}}), Builder(training=True)
        for _ in range(2):
            layer.lower(build, Value((5, 6, 8)))
        return [call.op.stream for call in build.calls if hasattr(call.op, "stream")]

    first, second = emitted()
    assert first != second
    assert len(set(emitted(seed=4))) == 1


@pytest.mark.parametrize(
    ("noise_shape", "said"),
    [([1, None, None, None], "begins with null, the batch"), ([None, 2, 6, 8], "null, the input's length or 1"),
     ([None, 1], "for each axis")],
)  # fmt: skip
def test_other_noise_shapes_are_refused(noise_shape, said):
    with pytest.raises(ShapeError, match=said):
        run("Dropout", (5, 6, 8), rate=0.5, noise_shape=noise_shape)


@pytest.mark.parametrize(
    ("entry", "shape", "said"),
    [
        ({"Reshape": {"target_shape": [5, -1]}}, (3, 4), "must have the 12 elements"),
        ({"Permute": {"dims": [2, 1]}}, (3, 4, 5), "a number for each axis"),
        ({"RepeatVector": {"n": 2}}, (3, 4), "takes a vector"),
        ({"CenterCrop": {"height": 2, "width": 6}}, (3, 4, 5), "crops only, and does not enlarge"),
        ({"Rescaling": {"scale": [1, 2]}}, (3, 4, 5), "for each of the 5 channels"),
        ({"Softmax": {"axis": [1, 4]}}, (3, 4, 5), "axis must be from 1 to 3"),
        ({"Activation": {"activation": "glu"}}, (3, 4, 5), "must be even"),
        ({"PReLU": {"shared_axes": [4]}}, (3, 4, 5), "axis must be from 1 to 3"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(entry, shape, said):
    with pytest.raises(ShapeError, match=said):
        layer = LAYERS.parse(entry)
        layer.weights(shape)
        layer.lower(Builder(), Value(shape))


def test_hostile_numbers_do_not_spoil_the_others():
    x = np.full((2, 8), 1.0)
    x[0] = [0, -0.0, 1e30, -1e30, 5e-324, 1e-300, np.nan, 3]
    for name, arguments in (("UnitNormalization", {}), ("Rescaling", {"scale": [2.0] * 8})):
        _, y = run(name, (8,), batch=2, x=x, **arguments)
        assert np.isfinite(y[1]).all()
    _, y = run("UnitNormalization", (8,), batch=2, x=np.zeros((2, 8)))
    assert not y.any()
