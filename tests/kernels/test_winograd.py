"""Winograd's convolution agrees with the definition, keeps zeros, and does not depend on threads or batch."""

import itertools
from functools import partial

import numpy as np
import pytest

from cnncli.kernels.conv import winograd, winograd_gradient
from cnncli.kernels.conv.geometry import Geometry, suits_winograd
from cnncli.kernels.elementwise import activations
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.gemm.epilogue import Epilogue
from cnncli.kernels.jit.runtime import Scratch, tensor
from tests.kernels import convolutions
from tests.kernels.convolutions import Case
from tests.kernels.support import DTYPES, SHAPES, assert_close, execute, normal, unwritten
from tests.reference import activations as twins
from tests.reference import convolution


def case_of(rng: np.random.Generator, dtype: str, batch: int, image: tuple[int, int], depth: tuple[int, int]) -> Case:
    """A 3×3 convolution, padded or not."""
    padding = tuple(int(size) for size in rng.integers(0, 3, 2))
    out = [size + int(rng.integers(2 * before, 5)) - 2 for size, before in zip(image, padding, strict=True)]
    out = [max(1, min(size, image[axis] + 2 * padding[axis] - 2)) for axis, size in enumerate(out)]
    channels, filters = depth
    return Case(
        normal(rng, dtype, batch, *image, channels),
        normal(rng, dtype, 3, 3, channels, filters),
        normal(rng, dtype, filters) if rng.integers(2) else None,
        normal(rng, dtype, batch, *out, filters),
        Geometry((1, 1), padding),  # type: ignore[arg-type]
    )


def random_case(seed: int, dtype: str) -> Case:
    rng = np.random.default_rng(seed)
    image = int(rng.integers(3, 14)), int(rng.integers(3, 14))
    depth = tuple(int(size) for size in rng.choice([1, 3, 8, 16, 17, 33], 2))
    return case_of(rng, dtype, int(rng.choice([1, 2, 3, 9])), image, depth)  # type: ignore[arg-type]


def large_case(batch: int) -> Case:
    case = case_of(np.random.default_rng(1), "float32", 11, (37, 26), (33, 40))
    return case._replace(x=case.x[:batch], grad=case.grad[:batch])


def deep_case(batch: int, dtype: str = "float32", image: tuple[int, int] = (7, 10)) -> Case:
    """So few tiles and so many filters that the filters of few images are divided among threads."""
    case = case_of(np.random.default_rng(2), dtype, 5, image, (136, 200))
    return case._replace(x=case.x[:batch], grad=case.grad[:batch])


forward = partial(convolutions.forward, winograd.forward)
grad_input = partial(convolutions.grad_input, winograd.grad_input)
grad_weight = partial(convolutions.grad_weight, winograd_gradient.grad_weight)


def pooled_alone(case: Case, threads: int = 2) -> np.ndarray:
    return forward_pooled(case, threads)[0]


def forward_pooled(case: Case, threads: int = 2) -> tuple[np.ndarray, np.ndarray]:
    batch, rows, columns, filters = case.grad.shape
    out = unwritten(case.x.dtype.name, batch, rows // 2, columns // 2, filters)
    winner = np.full(out.shape, 99, np.uint8)
    bias = None if case.bias is None else tensor(case.bias)
    arrays = tensor(case.x), tensor(case.kernel), bias, tensor(out), tensor(winner)
    execute(lambda scratch: winograd.forward_pooled(*arrays, case.geometry, scratch), threads)
    return out, winner


OPERATIONS = (forward, grad_input, grad_weight, pooled_alone)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_three_agree_with_the_definition(dtype: str) -> None:
    for seed in range(SHAPES):
        case = random_case(seed, dtype)
        x, kernel, bias, grad, geometry = case
        assert_close(forward(case), convolution.forward(x, kernel, bias, grad.shape[1:3], geometry), case.terms)
        assert_close(grad_input(case), convolution.grad_input(grad, x, kernel, geometry), case.terms)
        assert_close(grad_weight(case), convolution.grad_weight(grad, x, kernel, geometry), case.terms)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pooled_it_agrees_with_the_definition_and_names_a_cell_that_won(dtype: str) -> None:
    for seed in range(SHAPES):
        case = random_case(seed, dtype)
        x, kernel, bias, grad, geometry = case
        rows, columns = (size // 2 for size in grad.shape[1:3])
        if not rows or not columns:
            continue
        out, winner = forward_pooled(case)
        convolved = convolution.forward(x, kernel, bias, (2 * rows, 2 * columns), geometry)
        squares = convolved.reshape(len(x), rows, 2, columns, 2, -1).transpose(0, 1, 3, 5, 2, 4)
        cells = np.concatenate([squares.reshape(*squares.shape[:4], 4), np.zeros((*squares.shape[:4], 1))], axis=-1)
        assert_close(out, cells.max(axis=-1), kernel.size)
        # The cell that won has the largest value but for rounding; 4 stands for none above 0.
        chosen = np.take_along_axis(cells, winner[..., None].astype(np.int64), axis=-1)[..., 0]
        assert_close(out, chosen, kernel.size)


@pytest.mark.parametrize("kind", list(activations.KINDS))
def test_an_activation_goes_over_every_pixel_once(kind: str) -> None:
    for case in [*(random_case(seed, "float64") for seed in range(20)), large_case(3)]:
        np.testing.assert_allclose(
            forward(case, activation=kind), getattr(twins, kind)(forward(case)), rtol=1e-5, atol=1e-6
        )


def test_slopes_of_an_activation_go_beside_every_pixel() -> None:
    for case in [*(random_case(seed, "float64") for seed in range(20)), large_case(3)]:
        slopes = convolutions.slopes(winograd.forward, case, "silu")
        np.testing.assert_allclose(slopes, twins.derivative("silu", forward(case)), rtol=1e-5, atol=1e-6)


def test_what_is_exactly_zero_stays_so() -> None:
    # Rows of nothing, as digits have them: a ReLU behind them must not open.
    rng = np.random.default_rng(0)
    case = large_case(2)._replace(bias=None)
    case.x[:, 5:14], case.x[:, :, 20:] = 0, 0
    case.x[:, :5] = rng.integers(0, 255, case.x[:, :5].shape) / np.float32(255)
    x, kernel, bias, grad, geometry = case
    expected = convolution.forward(x, kernel, bias, grad.shape[1:3], geometry)
    assert (expected == 0).sum() > 1000
    np.testing.assert_array_equal(forward(case)[expected == 0], 0)


def test_nan_comes_through() -> None:
    case = large_case(1)
    case.x[0, 9, 9, 3] = np.nan
    x, kernel, bias, grad, geometry = case
    expected = convolution.forward(x, kernel, bias, grad.shape[1:3], geometry)
    assert np.isnan(forward(case)[np.isnan(expected)]).all()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("batch", [1, 11])
def test_one_and_two_threads_give_the_same_bits(operation, batch: int) -> None:
    case = large_case(batch)
    np.testing.assert_array_equal(operation(case, 1), operation(case, 2))


@pytest.mark.parametrize("operation", [forward, grad_input, pooled_alone])
def test_an_image_alone_gives_the_same_bits_as_in_a_batch(operation) -> None:
    np.testing.assert_array_equal(operation(large_case(1)), operation(large_case(11))[:1])
    for batch, image in itertools.product((1, 2, 3), ((7, 10), (3, 4))):
        alone, together = (deep_case(number, image=image) for number in (batch, 5))
        np.testing.assert_array_equal(operation(alone), operation(together)[:batch])


@pytest.mark.parametrize("more", [0.25, 1])
def test_no_part_of_the_filters_of_an_image_alone_is_empty(monkeypatch, more: float) -> None:
    # As with 257 to 288 filters and the panels of 32 of AVX-512: three parts of three panels hold all.
    panel = microkernel.family("float32").panel
    filters = int((8 + more) * panel)
    monkeypatch.setattr(winograd, "LEAST_FILTERS", 2 * panel)
    case = case_of(np.random.default_rng(4), "float32", 5, (7, 8), (16, filters))
    alone = case._replace(x=case.x[:1], grad=case.grad[:1])
    np.testing.assert_array_equal(forward(alone), forward(case)[:1])
    steps = winograd.forward(
        *(tensor(array) for array in (alone.x, case.kernel)), Epilogue(), tensor(alone.grad), case.geometry, Scratch()
    )
    parts, share = (int(steps[-1].parameters[name][0]) for name in ("parts", "share"))
    assert (parts, share) == (3, 3 * panel)


@pytest.mark.parametrize("kind", ["relu", "silu"])
def test_an_activation_and_its_slopes_go_over_every_filter_of_an_image_alone(kind: str) -> None:
    alone, together = deep_case(1), deep_case(5)
    np.testing.assert_array_equal(forward(alone, activation=kind), forward(together, activation=kind)[:1])
    slopes = (convolutions.slopes(winograd.forward, case, kind) for case in (alone, together))
    np.testing.assert_array_equal(next(slopes), next(slopes)[:1])


def test_the_gradients_are_the_adjoints_of_the_forward_pass() -> None:
    for seed in range(50):
        case = random_case(seed, "float64")._replace(bias=None)
        product = np.vdot(forward(case), case.grad)
        scale = 1e-12 * (1 + np.linalg.norm(forward(case)) * np.linalg.norm(case.grad))
        assert abs(np.vdot(case.x, grad_input(case)) - product) < scale
        assert abs(np.vdot(case.kernel, grad_weight(case)) - product) < scale


@pytest.mark.parametrize("portion", [1, 2, 3])
def test_the_weight_gradient_does_not_depend_on_how_many_images_are_taken_at_a_time(portion: int) -> None:
    for size in (4, 9):
        case = case_of(np.random.default_rng(portion), "float32", 40, (size, size), (16, 24))
        np.testing.assert_array_equal(grad_weight(case, portion=portion), grad_weight(case))


def test_one_large_image_is_divided_among_threads() -> None:
    case, scratch = large_case(1), Scratch()
    steps = winograd.forward(tensor(case.x), tensor(case.kernel), Epilogue(), tensor(case.grad), case.geometry, scratch)
    assert steps[-1].chunks > 1


@pytest.mark.parametrize(("side", "chunks"), [(16, 4), (10, 3), (8, 2), (4, 1)])
def test_few_small_images_are_divided_as_far_as_their_tiles_go(side: int, chunks: int) -> None:
    x, kernel, out = (
        np.zeros(shape, np.float32) for shape in ((1, side, side, 16), (3, 3, 16, 16), (1, side, side, 16))
    )
    arrays = tensor(x), tensor(kernel), Epilogue(), tensor(out)
    assert winograd.forward(*arrays, Geometry((1, 1), (1, 1)), Scratch())[-1].chunks == chunks


@pytest.mark.parametrize("channels", [17, 64, 128, 200, 256, 512])
@pytest.mark.parametrize("side", [4, 7, 14, 28])
def test_few_images_are_divided_by_filters_too(side: int, channels: int) -> None:
    x, kernel = np.zeros((1, side, side, channels), np.float32), np.zeros((3, 3, channels, channels), np.float32)
    arrays = tensor(x), tensor(kernel), Epilogue(), tensor(x)
    chunks = winograd.forward(*arrays, Geometry((1, 1), (1, 1)), Scratch())[-1].chunks
    assert chunks >= min(4, max(channels // 64, (side // 2) ** 2 // 8, 1))


@pytest.mark.parametrize("case", [random_case(0, "float32"), deep_case(1)], ids=["small", "deep"])
def test_scratch_does_not_fall_when_the_batch_grows(case: Case) -> None:
    used = []
    for batch in range(1, 12):
        x, out = (np.zeros((batch, *array.shape[1:]), np.float32) for array in (case.x, case.grad))
        scratch = Scratch()
        winograd.forward(tensor(x), tensor(case.kernel), Epilogue(), tensor(out), case.geometry, scratch)
        weight = Scratch()
        winograd_gradient.grad_weight(tensor(x), tensor(out), tensor(case.kernel), case.geometry, weight)
        used.append((scratch.used, scratch.used_by_thread, weight.used))
    assert [list(sizes) for sizes in zip(*used, strict=True)] == [sorted(sizes) for sizes in zip(*used, strict=True)]


@pytest.mark.parametrize(
    ("kernel", "geometry", "out", "answer"),
    [
        ((3, 3, 32, 32), Geometry((1, 1), (1, 1)), (8, 8, 32), True),
        ((3, 3, 15, 64), Geometry((1, 1), (1, 1)), (8, 8, 64), False),
        ((3, 3, 32, 32), Geometry((2, 2), (1, 1)), (8, 8, 32), False),
        ((3, 3, 32, 32), Geometry((1, 1), (2, 2), (2, 2)), (8, 8, 32), False),
        ((3, 3, 32, 64), Geometry((1, 1), (1, 1), (1, 1), 2), (8, 8, 32), False),
        ((5, 3, 32, 32), Geometry((1, 1), (1, 1)), (8, 8, 32), False),
        ((3, 3, 32, 32), Geometry((1, 1), (1, 1)), (3, 8, 32), False),
    ],
)
def test_it_is_chosen_by_the_shape_alone(kernel, geometry, out, answer: bool) -> None:
    assert suits_winograd(kernel, geometry, out) is answer


def test_the_weight_gradient_of_many_weights_is_summed_in_blocks() -> None:
    case = case_of(np.random.default_rng(0), "float32", 2, (6, 5), (160, 300))
    found = grad_weight(case, 1)
    assert_close(found, convolution.grad_weight(case.grad, case.x, case.kernel, case.geometry), case.terms)
    assert grad_weight(case, 2).tobytes() == found.tobytes()


def test_the_comparison_notices_one_wrong_element() -> None:
    case = random_case(0, "float32")
    wrong = forward(case).astype(np.float64)
    assert_close(forward(case), wrong, case.terms)
    wrong.flat[-1] += 0.01
    with pytest.raises(AssertionError):
        assert_close(forward(case), wrong, case.terms)
