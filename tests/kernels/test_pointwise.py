"""1×1 convolutions that are divided by pixels, by filters, or by both agree with NumPy's product, on any threads."""

import numpy as np
import pytest

from cnncli.kernels.conv import conv2d, pointwise
from cnncli.kernels.conv.conv2d import Geometry
from cnncli.kernels.gemm.epilogue import Epilogue
from cnncli.kernels.jit.runtime import Pass, Scratch, run, tensor
from tests.kernels import convolutions
from tests.kernels.convolutions import Case
from tests.kernels.support import assert_close, normal, unwritten
from tests.reference import activations as twins

SHAPES = {  # (batch, height, width, channels, filters): parts of an image by (pixels, filters)
    (1, 5, 5, 160, 203): (1, 3),
    (3, 12, 12, 64, 100): (4, 1),
    (2, 6, 10, 256, 136): (2, 3),
    (16, 5, 5, 160, 203): (1, 3),
    (3, 1, 2, 8, 5): (1, 1),
}


def made(shape: tuple[int, ...]) -> Case:
    rng = np.random.default_rng(0)
    batch, height, width, channels, filters = shape
    x, kernel = normal(rng, "float32", batch, height, width, channels), normal(rng, "float32", 1, 1, channels, filters)
    grad = normal(rng, "float32", batch, height, width, filters)
    return Case(x, kernel, normal(rng, "float32", filters), grad, Geometry((1, 1), (0, 0)))


def expected(case: Case) -> np.ndarray:
    return (case.x.astype(np.float64) @ case.kernel[0, 0] + case.bias).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_parts_are_computed_on_any_number_of_threads(shape) -> None:
    case = made(shape)
    linear = convolutions.forward(conv2d.forward, case)
    assert_close(linear, expected(case), shape[3])
    for threads in (1, 3):
        assert convolutions.forward(conv2d.forward, case, threads).tobytes() == linear.tobytes()
    np.testing.assert_array_equal(convolutions.forward(conv2d.forward, case, activation="relu"), np.maximum(linear, 0))
    slopes = convolutions.slopes(conv2d.forward, case, "silu")
    np.testing.assert_allclose(slopes, twins.derivative("silu", linear), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_whole_images_of_a_pass_give_the_bits_of_their_parts(shape) -> None:
    case, measured = made(shape), Scratch()
    out = unwritten("float32", *case.grad.shape)
    arrays = tensor(case.x), tensor(case.kernel), Epilogue(tensor(case.bias)), tensor(out), case.geometry
    conv2d.forward(*arrays, measured)
    memory = np.zeros(measured.used // 8 + 8)
    *before, step = conv2d.forward(*arrays, Scratch(memory.ctypes.data + -memory.ctypes.data % 64))
    assert (step.parameters["row_tiles"][0], step.parameters["column_tiles"][0]) == SHAPES[shape]
    run([*before, Pass([step], shape[0], 2, 2)])
    assert out.tobytes() == convolutions.forward(conv2d.forward, case).tobytes()


def test_one_small_image_with_many_filters_is_divided_among_threads() -> None:
    case = made((1, 5, 5, 160, 203))
    *_, step = conv2d.forward(
        *map(tensor, (case.x, case.kernel)), Epilogue(), tensor(case.grad), case.geometry, Scratch()
    )
    assert step.worker == pointwise.pointwise_worker.address("float32")
    assert step.chunks == 3
