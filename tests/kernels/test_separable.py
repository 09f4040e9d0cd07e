"""A 1×1 convolution and a depthwise one, computed as one, have the bits of both in sequence and agree with NumPy.

In either order: `expanded_depthwise` and `separable`.
"""

import numpy as np
import pytest

from cnncli.kernels.conv import conv2d, depthwise, expanded_depthwise, separable
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.gemm.epilogue import Epilogue
from cnncli.kernels.jit.runtime import tensor
from tests.kernels import convolutions
from tests.kernels.convolutions import Case
from tests.kernels.support import assert_close, execute, normal, unwritten
from tests.reference import convolution

SHAPES = [  # batch, height, width, channels, filters, taps, strides, padding, output, activations
    (1, 7, 6, 5, 3, 3, (1, 1), (1, 1), (7, 6), ("relu6", "linear")),
    (3, 9, 8, 24, 70, 3, (2, 2), (0, 0), (5, 4), ("relu", "relu6")),
    (2, 12, 13, 40, 90, 5, (1, 2), (2, 1), (12, 7), ("linear", "relu")),
    (2, 2, 3, 4, 33, 5, (1, 1), (2, 2), (2, 3), ("relu6", "relu6")),
]
LIMITS = {"linear": (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}
POINT = Geometry((1, 1), (0, 0))
ORDERS = {expanded_depthwise: (conv2d, depthwise), separable: (depthwise, conv2d)}


def made(kind, shape: tuple) -> tuple[Case, Case]:
    """The two convolutions in their order, the second without images."""
    batch, height, width, channels, filters, taps, strides, padding, out, _ = shape
    rng, turned = np.random.default_rng(0), kind is separable
    filtered = channels if turned else filters
    between = (*out, channels) if turned else (height, width, filters)
    kernels = normal(rng, "float32", 1, 1, channels, filters), normal(rng, "float32", taps, taps, 1, filtered)
    geometries = POINT, Geometry(strides, padding, (1, 1), filtered)
    biases = normal(rng, "float32", filters), normal(rng, "float32", filtered)
    x, middle = normal(rng, "float32", batch, height, width, channels), normal(rng, "float32", batch, *between)
    last = normal(rng, "float32", batch, *out, filters)
    order = slice(None, None, -1 if turned else 1)
    (kernel, other), (geometry, places), (bias, more) = kernels[order], geometries[order], biases[order]
    return Case(x, kernel, bias, middle, geometry), Case(middle, other, more, last, places)


def fused(kind, first: Case, second: Case, activations: tuple[str, str], threads: int) -> np.ndarray:
    out = unwritten("float32", *second.grad.shape)
    pairs = [
        (tensor(case.kernel), Epilogue(tensor(case.bias), activation))
        for case, activation in zip((first, second), activations, strict=True)
    ]
    geometry = (first if kind is separable else second).geometry._replace(groups=1)
    execute(lambda scratch: kind.forward(tensor(first.x), *pairs, tensor(out), geometry, scratch), threads)
    return out


@pytest.mark.parametrize("near", [256 << 10, 1 << 11])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ORDERS)
def test_both_as_one_have_the_bits_of_both_in_sequence(monkeypatch, kind, shape, near) -> None:
    monkeypatch.setattr(kind, "NEAR", near)  # parts of images, as large ones have
    monkeypatch.setattr(kind, "GRAIN", 1 << 10)
    first, second = made(kind, shape)
    between, activations = first, shape[-1]
    for module, case, activation in zip(ORDERS[kind], (first, second), activations, strict=True):
        x = case.x if case is first else between
        between = convolutions.forward(module.forward, case._replace(x=x), activation=activation)
    for threads in (1, 3):
        assert fused(kind, first, second, activations, threads).tobytes() == between.tobytes()


@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.parametrize("kind", ORDERS)
def test_both_as_one_agree_with_numpy(kind, shape) -> None:
    first, second = made(kind, shape)
    expected = first.x.astype(np.float64)
    for case, activation in zip((first, second), shape[-1], strict=True):
        size = case.grad.shape[1:3]
        expected = convolution.forward(expected, case.kernel, case.bias, size, case.geometry)
        expected = np.clip(expected, *LIMITS[activation])
    assert_close(fused(kind, first, second, shape[-1], 2), expected, 25 * shape[3])
