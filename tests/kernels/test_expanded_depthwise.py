"""A 1×1 convolution and a depthwise one, computed as one, have the bits of both in sequence and agree with NumPy."""

import numpy as np
import pytest

from cnncli.kernels.conv import conv2d, depthwise, expanded_depthwise
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.gemm.epilogue import Epilogue
from cnncli.kernels.jit.runtime import tensor
from tests.kernels import convolutions
from tests.kernels.convolutions import Case
from tests.kernels.support import assert_close, execute, normal, unwritten
from tests.reference import convolution

SHAPES = [  # batch, height, width, channels, expanded, taps, strides, padding, output, activations
    (1, 7, 6, 5, 3, 3, (1, 1), (1, 1), (7, 6), ("relu6", "linear")),
    (3, 9, 8, 24, 70, 3, (2, 2), (0, 0), (5, 4), ("relu", "relu6")),
    (2, 12, 13, 40, 90, 5, (1, 2), (2, 1), (12, 7), ("linear", "relu")),
    (2, 2, 3, 4, 33, 5, (1, 1), (2, 2), (2, 3), ("relu6", "relu6")),
]


def made(shape: tuple) -> tuple[Case, Case, tuple[str, str]]:
    batch, height, width, channels, expanded, taps, strides, padding, out, activations = shape
    rng = np.random.default_rng(0)
    x, kernel = normal(rng, "float32", batch, height, width, channels), normal(rng, "float32", 1, 1, channels, expanded)
    image = normal(rng, "float32", batch, height, width, expanded)
    first = Case(x, kernel, normal(rng, "float32", expanded), image, Geometry((1, 1), (0, 0)))
    grad, taps_of = normal(rng, "float32", batch, *out, expanded), normal(rng, "float32", taps, taps, 1, expanded)
    second = Case(image, taps_of, normal(rng, "float32", expanded), grad, Geometry(strides, padding, (1, 1), expanded))
    return first, second, activations


def fused(first: Case, second: Case, activations: tuple[str, str], threads: int) -> np.ndarray:
    out = unwritten("float32", *second.grad.shape)
    pairs = [
        (tensor(case.kernel), Epilogue(tensor(case.bias), activation))
        for case, activation in zip((first, second), activations, strict=True)
    ]
    geometry = second.geometry._replace(groups=1)
    execute(
        lambda scratch: expanded_depthwise.forward(tensor(first.x), *pairs, tensor(out), geometry, scratch), threads
    )
    return out


@pytest.mark.parametrize("near", [256 << 10, 1 << 11])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_as_one_have_the_bits_of_both_in_sequence(monkeypatch, shape, near) -> None:
    monkeypatch.setattr(expanded_depthwise, "NEAR", near)  # parts of images, as large ones have
    monkeypatch.setattr(expanded_depthwise, "GRAIN", 1 << 10)
    first, second, activations = made(shape)
    expanded = convolutions.forward(conv2d.forward, first, activation=activations[0])
    expected = convolutions.forward(depthwise.forward, second._replace(x=expanded), activation=activations[1])
    for threads in (1, 3):
        assert fused(first, second, activations, threads).tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_both_as_one_agree_with_numpy(shape) -> None:
    limits = {"linear": (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}
    first, second, activations = made(shape)
    expanded = np.clip(first.x.astype(np.float64) @ first.kernel[0, 0] + first.bias, *limits[activations[0]])
    filtered = convolution.forward(expanded, second.kernel, second.bias, second.grad.shape[1:3], second.geometry)
    expected = np.clip(filtered, *limits[activations[1]])
    assert_close(fused(first, second, activations, 2), expected, 9 * shape[3])
