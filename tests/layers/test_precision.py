"""Every layer with bfloat16 activations: near float32; kernels that store it round what those of float32 compute."""

import numpy as np
import pytest

from cnncli.graph import precision
from cnncli.layers.layer import LAYERS
from cnncli.layers.vocabulary import layers
from cnncli.ops.conv import Conv2D
from cnncli.ops.dense import Dense
from cnncli.ops.transpose import Conv2DTranspose
from tests.layers.harness import LayerHarness
from tests.reference import bfloat16


def pytest_generate_tests(metafunc):
    """The first example of each layer, because kernels of their own are compiled; `--long`: all examples."""
    last = None if metafunc.config.getoption("--long") else 1
    metafunc.parametrize(
        ("name", "arguments", "shapes"),
        [
            pytest.param(name, dict(example.arguments), list(example.inputs), id=f"{name}-{number}")
            for name, cls in layers().items()
            for number, example in enumerate(cls.examples[:last])
        ],
    )


def results(name, arguments, shapes, *, mixed=True):
    """The output and the gradients in training, and the operations. Inputs are numbers that bfloat16 has."""
    layer = LAYERS.parse({name: arguments})
    one = LayerHarness(layer, shapes, batch=2, dtype="float32", training=True, mixed=mixed).fill(0)
    for array in (*one.inputs, one.cotangent):
        array[...] = bfloat16.widen(bfloat16.narrow(array))
    return [one.run(), *one.gradients()], [call.op for call in one.program.calls]


def test_kernels_that_store_bfloat16_round_what_those_of_float32_compute(name, arguments, shapes, monkeypatch):
    got, ops = results(name, arguments, shapes)
    exact, _ = results(name, arguments, shapes, mixed=False)
    for array, near in zip(got, exact, strict=True):  # by the mean: a rounded number may lie beyond a kink
        assert np.abs(array - near).mean() < 0.01 * max(1.0, np.abs(near).max())
    if not any(isinstance(op, Conv2D | Conv2DTranspose | Dense) for op in ops):  # products of bfloat16 are others
        monkeypatch.setattr(precision._Rewriting, "_narrow", lambda self, call: False)
        for array, cast in zip(got, results(name, arguments, shapes)[0], strict=True):
            np.testing.assert_array_equal(array, cast)
