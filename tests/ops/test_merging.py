"""Merges of values of different shapes: what is computed, and that nothing is repeated in memory for it."""

import numpy as np
import pytest

from cnncli.ops.builder import Builder
from cnncli.ops.differentiate import differentiate
from cnncli.ops.ir import Value
from cnncli.ops.merging import Broadcast, Multiply, Reduce
from tests.layers.harness import LayerHarness, finite_differences, gradients_agree
from tests.ops import declared

MERGES = {
    "add": lambda build, *xs: build.add(*xs),
    "subtract": lambda build, *xs: build.subtract(*xs),
    "multiply": lambda build, *xs: build.multiply(*xs),
    "maximum": lambda build, *xs: build.extreme("maximum", *xs),
    "minimum": lambda build, *xs: build.extreme("minimum", *xs),
}
TWINS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
SHAPES = [
    [(3, 4, 5), (1, 1, 5)],
    [(3, 4, 1), (3, 4, 17)],
    [(3, 4, 5), (5,)],
    [(3, 4, 5), (1, 4, 1)],
    [(1, 4, 1), (3, 1, 2)],
    [(3, 4, 5), (1, 1, 1)],
    [(2, 3, 2, 3, 2), (1, 3, 1, 3, 1)],
]


def harness(name, shapes, dtype="float64", **more):
    return LayerHarness(declared.of(MERGES[name]), shapes, batch=2, dtype=dtype, training=True, **more).fill(0)


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("name", MERGES)
def test_a_merge_that_broadcasts_is_numpys_and_its_gradients_are_finite_differences(name, shapes):
    for dtype in ("float64", "float32"):
        one = harness(name, shapes, dtype)
        rank = max(map(len, shapes)) + 1
        inputs = [x.reshape(len(x), *(1,) * (rank - x.ndim), *x.shape[1:]) for x in one.inputs]
        assert np.array_equal(one.run(), TWINS[name](*inputs))
    one = harness(name, shapes)
    got, expected = one.gradients(), finite_differences(one)
    assert gradients_agree(got, expected)
    got[-1].flat[0] += 1e-4 * max(1.0, *(np.abs(array).max() for array in expected))
    assert not gradients_agree(got, expected), "the comparison must notice a perturbed gradient"


@pytest.mark.parametrize("other", [(1, 1, 20), (12, 11, 1), (20,)])
def test_threads_do_not_change_a_bit(other):
    found = []
    for threads in (1, 2):
        one = harness("multiply", [(12, 11, 20), other], "float32", threads=threads)
        found.append([one.run().tobytes(), *(array.tobytes() for array in one.gradients())])
    assert found[0] == found[1]


@pytest.mark.parametrize("other", [(1, 1, 20), (12, 11, 1), (1, 1, 1)])
@pytest.mark.parametrize("name", MERGES)
def test_the_bits_are_those_of_an_explicit_broadcast(name, other):
    copied = declared.of(lambda build, a, b: MERGES[name](build, a, build.broadcast(b, a.shape)))
    found = []
    for layer in (declared.of(MERGES[name]), copied):
        one = LayerHarness(layer, [(12, 11, 20), other], batch=2, dtype="float32", training=True).fill(0)
        found.append([one.run().tobytes(), *(array.tobytes() for array in one.gradients())])
    assert found[0] == found[1]


def test_weighing_channels_repeats_nothing_and_keeps_no_product():
    build, x, gate = Builder(training=True), Value((8, 8, 32)), Value((1, 1, 32))
    y = build.multiply(x, gate)
    differentiate(build, [x, gate], {y: Value(y.shape)})
    assert [call.op for call in build.calls] == [Multiply(), Reduce("sum", (0,)), Reduce("sum", (1,)), Multiply()]
    assert build.calls[-1].op.overwrites == 0  # the gradient, which has no later use


def test_three_different_shapes_are_merged_in_order():
    build = Builder()
    assert build.add(Value((2,)), Value((3, 1, 2)), Value((3, 4, 1))).shape == (3, 4, 2)
    assert not any(isinstance(call.op, Broadcast) for call in build.calls)


def test_only_a_few_last_axes_are_repeated():
    build = Builder()
    build.subtract(Value((8, 8, 4, 3)), Value((1, 1, 4, 1)))
    build.subtract(Value((8, 8, 4, 128)), Value((1, 1, 4, 1)))
    assert [call.output.shape for call in build.calls if isinstance(call.op, Broadcast)] == [(1, 1, 4, 3)]
