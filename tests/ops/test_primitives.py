"""Reductions, rsqrt and weights over a batch: each by itself, and layers that are made of them."""

from functools import partial

import numpy as np
import pytest

from cnncli.errors import ShapeError
from cnncli.layers.normalization import GroupNormalization, LayerNormalization
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Value
from tests.layers.harness import LayerHarness, finite_differences, gradients_agree
from tests.ops import declared
from tests.reference import activations, reduction

REDUCED = [
    ((7,), (0,)),
    ((3, 4, 5), (0,)),
    ((3, 4, 5), (1,)),
    ((3, 4, 5), (2,)),
    ((3, 4, 5), (1, 0)),
    ((3, 4, 5), (0, 2)),
    ((3, 4, 5), (0, 1, 2)),
    ((2, 1, 20), (0, 2)),
    ((3, 1, 4), (1,)),
    ((2, 3, 2, 3), (0, 1, 3)),
    ((2, 3, 2, 3), (0, 2)),
    ((2, 3, 2, 17), (1, 3)),
    ((2, 2, 2, 2, 2), (1, 3)),
]


def reduced(kind, axes, keep, x):
    found = (reduction.mean if kind == "mean" else reduction.summed)(x, [axis + 1 for axis in axes])
    lengths = [1 if axis in axes else length for axis, length in enumerate(x.shape[1:])]
    return found.reshape(len(x), *lengths) if keep else found


def squeeze_and_excite(_, x, squeeze, excite):
    hidden = activations.relu(reduction.mean(x, [1, 2]) @ squeeze)
    return x * activations.sigmoid(hidden @ excite)[:, None, None]


def every_case():
    """(layer, shapes of inputs, twin of inputs and weights) by name."""
    for kind in ("mean", "sum"):
        for shape, axes in REDUCED:
            for keep in (True, False):
                layer = declared.of(lambda build, x, k=kind, a=axes, keep=keep: build.reduce(k, x, a, keep=keep))
                name = f"{kind}-{'x'.join(map(str, shape))}-{axes}-{keep}"
                yield pytest.param(layer, [shape], partial(reduced, kind, axes, keep), id=name)
    for kind, method in (("multiply", "scale"), ("add", "shift")):
        for shape, weight in (((5,), (5,)), ((4, 3, 2), (2,)), ((4, 3, 17), (3, 17)), ((2, 3, 4), (2, 3, 4))):
            layer = declared.of(lambda build, x, m=method: getattr(build, m)(x, build.weight("w")), w=weight)
            yield pytest.param(layer, [shape], partial(reduction.weighted, kind), id=f"{kind}-{shape}-{weight}")
    layer = declared.of(lambda build, x: build.rsqrt(build.multiply(x, x), 0.5))
    yield pytest.param(layer, [(4, 5)], lambda x: reduction.rsqrt(x * x, 0.5), id="rsqrt")
    layer = declared.SqueezeAndExcite()
    yield pytest.param(layer, [(3, 4, 5)], partial(squeeze_and_excite, layer), id="SqueezeAndExcite")


CASES = list(every_case())


def harness(layer, shapes, dtype="float64", **more):
    return LayerHarness(layer, shapes, **{"batch": 2, **more}, dtype=dtype, training=True).fill(0)


@pytest.mark.parametrize(("layer", "shapes", "twin"), CASES)
def test_output_is_that_of_the_naive_twin(layer, shapes, twin):
    for dtype, tolerance in (("float64", 1e-12), ("float32", 2e-5)):
        one = harness(layer, shapes, dtype)
        expected = twin(*(array.astype(np.float64) for array in (*one.inputs, *one.weights.values())))
        got = one.run()
        assert got.shape[1:] == one.output_shape == expected.shape[1:]
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("layer", "shapes", "twin"), CASES)
def test_gradients_are_the_finite_differences_in_float64(layer, shapes, twin):
    one = harness(layer, shapes)
    got, expected = one.gradients(), finite_differences(one)
    assert gradients_agree(got, expected)
    got[0].flat[0] += 1e-4 * max(1.0, *(np.abs(array).max() for array in expected))
    assert not gradients_agree(got, expected), "the comparison must notice a perturbed gradient"


@pytest.mark.parametrize(("layer", "shapes", "twin"), CASES)
def test_float32_gradients_are_those_of_float64(layer, shapes, twin):
    single, double = harness(layer, shapes, "float32"), harness(layer, shapes)
    assert gradients_agree(single.gradients(), double.gradients(), 3e-5)


def test_the_gradient_of_a_weight_is_summed_over_all_its_places():
    for kind, method in (("multiply", "scale"), ("add", "shift")):
        layer = declared.of(lambda build, x, m=method: getattr(build, m)(x, build.weight("w")), w=(3, 5))
        one = harness(layer, [(4, 3, 5)], batch=20)
        expected = reduction.weight_gradient(kind, one.inputs[0], one.cotangent, one.weights["w"])
        np.testing.assert_allclose(one.gradients()[1], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "layer", [LayerNormalization(axis=[1, 2, 3]), GroupNormalization(groups=4), declared.SqueezeAndExcite()]
)
def test_threads_do_not_change_a_bit(layer):
    found = []
    for threads in (1, 2):
        one = harness(layer, [(12, 11, 20)], "float32", batch=37, threads=threads)
        found.append([one.run().tobytes(), *(array.tobytes() for array in one.gradients())])
    assert found[0] == found[1]


def test_a_mean_of_many_loses_no_digits():
    one = harness(declared.of(lambda build, x: build.reduce("mean", x, (0, 1))), [(1 << 10, 1 << 10, 2)], "float32")
    one.inputs[0][...] = 0.1
    assert np.array_equal(one.run(), np.full((2, 1, 1, 2), 0.1, "float32"))


@pytest.mark.parametrize(
    ("emit", "rule"),
    [
        (lambda build, x, w: build.reduce("sum", x, (3,)), r"some of the 3 of \(4, 6, 5\), once each; received \(3,\)"),
        (lambda build, x, w: build.reduce("mean", x, (1, 1)), r"once each; received \(1, 1\)"),
        (lambda build, x, w: build.reduce("sum", x, (-1,)), r"some of the 3"),
        (lambda build, x, w: build.reduce("mean", build.reshape(x, (2, 2, 3, 2, 5)), (0, 2, 4)), "at most two groups"),
        (lambda build, x, w: build.scale(x, w), r"the shape of the last axes; received \(4, 6, 5\), \(3,\)"),
        (lambda build, x, w: build.shift(x, x), "the shape of the last axes"),
    ],
)
def test_what_does_not_fit_is_refused(emit, rule):
    x, w = Value((4, 6, 5)), Value((3,), batched=False)
    with pytest.raises(ShapeError, match=rule):
        emit(Builder(), x, w)
