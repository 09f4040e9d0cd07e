"""Batch normalization and its gradients agree with the twin, whatever the channels, and do not depend on threads."""

from typing import NamedTuple

import numpy as np
import pytest

from cnncli.kernels.elementwise.activation_names import parts
from cnncli.kernels.jit.runtime import Scratch, tensor
from cnncli.kernels.normalization import batch_normalization, batch_normalization_gradient
from cnncli.kernels.normalization.batch_normalization import Normalization, Running
from cnncli.kernels.vector import channels
from tests.kernels.support import DTYPES, SHAPES, assert_close, execute, normal, unwritten
from tests.reference import activations as functions
from tests.reference import normalization as twin

EPSILON, MOMENTUM = 1e-3, 0.9


class Case(NamedTuple):
    """Arrays of one normalization; gamma or beta may be None."""

    x: np.ndarray
    grad: np.ndarray
    gamma: np.ndarray | None
    beta: np.ndarray | None
    mean: np.ndarray
    variance: np.ndarray

    @property
    def factors(self):
        """gamma and beta, or what stands for them."""
        return (1.0 if self.gamma is None else self.gamma), (0.0 if self.beta is None else self.beta)


def random_case(seed: int, dtype: str, shape: tuple[int, ...] | None = None) -> Case:
    rng = np.random.default_rng(seed)
    if shape is None:
        leading = tuple(int(size) for size in rng.choice([1, 2, 3, 5, 19], size=rng.integers(1, 4)))
        shape = (*leading, int(rng.choice([1, 3, 8, 16, 17, 32, 65, 130])))
    x, depth = normal(rng, dtype, *shape), shape[-1:]
    x += rng.standard_normal(depth)
    gamma, beta = (normal(rng, dtype, *depth) if rng.integers(3) else None for _ in range(2))
    return Case(
        x, normal(rng, dtype, *shape), gamma, beta, normal(rng, dtype, *depth), np.abs(normal(rng, dtype, *depth))
    )


def constants(case: Case, saved: np.ndarray, kind: str) -> Normalization:
    gamma, beta = (None if array is None else tensor(array) for array in (case.gamma, case.beta))
    return Normalization(gamma, beta, tensor(saved), EPSILON, kind)


def training(case: Case, kind: str = "linear", threads: int = 2):
    """y, saved, new mean, new variance; gradients of x, gamma, beta."""
    dtype, depth = case.x.dtype.name, case.x.shape[-1]
    out, saved, mean, variance = (unwritten(dtype, *shape) for shape in (case.x.shape, (2, depth), (depth,), (depth,)))
    running = Running(*map(tensor, (case.mean, case.variance, mean, variance)), MOMENTUM)
    normalization = constants(case, saved, kind)
    execute(lambda s: batch_normalization.training(tensor(case.x), normalization, running, tensor(out), s), threads)
    grads = unwritten(dtype, *case.x.shape), unwritten(dtype, depth), unwritten(dtype, depth)
    x, grad, places = tensor(case.x), tensor(case.grad), [tensor(array) for array in grads]
    execute(lambda s: batch_normalization_gradient.training(x, grad, normalization, *places, s), threads)
    return (out, saved, mean, variance), grads


def inference(case: Case, kind: str = "linear", threads: int = 2):
    """y and the gradient of x."""
    out, back = unwritten(case.x.dtype.name, *case.x.shape), unwritten(case.x.dtype.name, *case.x.shape)
    normalization, given = constants(case, case.mean, kind), (tensor(case.mean), tensor(case.variance))
    x, grad = tensor(case.x), tensor(case.grad)
    execute(lambda s: batch_normalization.inference(x, normalization, *given, tensor(out), s), threads)
    execute(lambda s: batch_normalization_gradient.inference(x, grad, normalization, *given, tensor(back), s), threads)
    return out, back


def apart(actual: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, in roundings of the largest number."""
    scale = max(1.0, np.abs(expected).max()) * np.finfo(actual.dtype).eps
    return float(np.abs(actual - expected).max() / scale)


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_agrees_with_the_definition(dtype: str) -> None:
    for seed in range(SHAPES):
        case = random_case(seed, dtype)
        gamma, beta = case.factors
        (y, saved, mean, variance), (grad_x, grad_gamma, grad_beta) = training(case)
        expected_mean, expected_variance = twin.moments(case.x)
        # A channel of few and nearly equal numbers is divided by nearly nothing: what is lost there is lost anyhow.
        spread = 1 / np.sqrt(expected_variance + EPSILON)
        scale = (1 + spread.max()) * np.abs(np.append(case.x, [1])).max()
        assert apart(y, twin.normalized(case.x, expected_mean, expected_variance, gamma, beta, EPSILON)) < 50 * scale
        assert apart(saved[0], expected_mean) < 50
        assert apart(saved[1], spread) < 50 * scale**2
        assert apart(mean, MOMENTUM * case.mean + (1 - MOMENTUM) * expected_mean) < 50
        assert apart(variance, MOMENTUM * case.variance + (1 - MOMENTUM) * expected_variance) < 50 * scale
        expected = twin.gradients(case.x, case.grad, gamma, EPSILON)
        terms = case.x.size // case.x.shape[-1]
        for got, wanted in zip((grad_x, grad_gamma, grad_beta), expected, strict=True):
            assert apart(got, wanted) < 50 * scale**3 * np.sqrt(terms)


@pytest.mark.parametrize("dtype", DTYPES)
def test_inference_agrees_with_the_definition(dtype: str) -> None:
    for seed in range(SHAPES):
        case = random_case(seed, dtype)
        gamma, beta = case.factors
        y, back = inference(case)
        spread = 1 / np.sqrt(case.variance + EPSILON)
        scale = 10 * spread.max()
        assert apart(y, twin.normalized(case.x, case.mean, case.variance, gamma, beta, EPSILON)) < 50 * scale
        assert apart(back, case.grad * spread * gamma) < 50 * scale


@pytest.mark.parametrize(
    "kind", ["relu", "silu", "gelu", "tanh", "hard_silu", "leaky_relu(0.01)", "clipped_relu(1.5, 0.25, 0.5)"]
)  # with slopes from the input and from the output, and with constants: test_activations has all
def test_an_activation_is_that_of_the_plain_normalization_and_its_gradient_goes_through(kind: str) -> None:
    name, constants = parts(kind)
    for seed in range(30):
        case = random_case(seed, "float64")
        for run in (training, inference):
            plain = run(case)[0][0] if run is training else run(case)[0]
            slopes = case._replace(grad=case.grad * functions.derivative(name, plain, *constants))
            got, expected = run(case, kind), run(slopes)
            y = got[0][0] if run is training else got[0]
            np.testing.assert_allclose(y, getattr(functions, name)(plain, *constants), rtol=1e-11, atol=1e-11)
            backs, wanteds = ((found[1] if run is training else [found[1]]) for found in (got, expected))
            for back, wanted in zip(backs, wanteds, strict=True):
                np.testing.assert_allclose(back, wanted, rtol=1e-6, atol=1e-6 * (1 + np.abs(wanted).max()))


def test_a_hand_computed_normalization() -> None:
    x = np.array([[1.0], [3.0]])
    case = Case(x, np.array([[1.0], [0.0]]), np.array([2.0]), np.array([5.0]), np.zeros(1), np.ones(1))
    (y, saved, mean, variance), (_, grad_gamma, grad_beta) = training(case)
    inverse = 1 / np.sqrt(1 + EPSILON)
    np.testing.assert_allclose(y.ravel(), [5 - 2 * inverse, 5 + 2 * inverse])
    np.testing.assert_allclose([*saved.ravel(), *mean, *variance], [2, inverse, 0.2, 1.0])
    np.testing.assert_allclose([*grad_gamma, *grad_beta], [-inverse, 1])


@pytest.mark.parametrize("shape", [(13, 40, 50, 16), (9, 33, 7), (8, 1), (3, 2, 5000), (40, 31, 3)])
def test_one_and_two_threads_give_the_same_bits(shape: tuple[int, ...]) -> None:
    case = random_case(1, "float32", shape)
    one, two = ([*first, *second] for first, second in (training(case, "relu", 1), training(case, "relu", 2)))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(inference(case, "relu", 1), inference(case, "relu", 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["linear", "relu", "sigmoid", "gelu"])
def test_a_number_alone_in_its_channel_has_no_gradient_at_all(dtype: str, kind: str) -> None:
    """It is its own mean: whatever it is, y is beta. A residue of rounding would be all that Adam sees."""
    for shape in ((1, 1), (1, 7), (1, 64), (1, 130), (1, 1, 1, 33)):
        case = random_case(2, dtype, shape)
        case = case._replace(x=case.x * 1000 + 3)
        (y, saved, *_), (grad_x, grad_gamma, grad_beta) = training(case, kind)
        np.testing.assert_array_equal(saved[0], case.x.reshape(-1))
        beta = np.broadcast_to(case.factors[1], shape).astype(np.float64)
        np.testing.assert_allclose(y, getattr(functions, kind, np.array)(beta), rtol=1e-5, atol=1e-6)
        assert not grad_x.any()
        assert not grad_gamma.any()
        assert kind == "relu" or grad_beta.any()


def test_a_mean_far_from_zero_costs_no_digits() -> None:
    x = np.random.default_rng(0).normal(1000, 1, (4000, 3)).astype(np.float32)
    case = Case(x, x, None, None, np.zeros(3, np.float32), np.ones(3, np.float32))
    mean, variance = twin.moments(x)
    y = training(case)[0][0]
    np.testing.assert_allclose(y, twin.normalized(x, mean, variance, 1, 0, EPSILON), atol=2e-4)


def test_nan_spoils_its_channel_and_no_other() -> None:
    case = random_case(0, "float32", (5, 4, 3))
    case.x[2, 1, 1] = np.nan
    y = training(case)[0][0]
    assert np.isnan(y[..., 1]).all()
    assert np.isfinite(y[..., [0, 2]]).all()


def test_a_period_is_whole_vectors_and_whole_sets_of_channels() -> None:
    assert [channels.period(depth) for depth in (1, 3, 8, 16, 17, 40)] == [16, 48, 16, 16, 272, 80]


def test_scratch_does_not_fall_when_the_batch_grows() -> None:
    used = []
    for batch in range(1, 12):
        case, scratch = random_case(0, "float32", (batch, 3, 5)), Scratch()
        saved = np.zeros((2, 5), np.float32)
        places = tensor(case.x), tensor(case.grad), constants(case, saved, "linear"), tensor(case.x), None, None
        batch_normalization_gradient.training(*places, scratch)
        used.append(scratch.used)
    assert used == sorted(used)


def test_the_comparison_notices_one_wrong_element() -> None:
    case = random_case(0, "float32")
    y = training(case)[0][0]
    wrong = y.astype(np.float64)
    wrong.flat[-1] += 0.01
    assert apart(y, y.astype(np.float64)) == 0
    assert apart(y, wrong) > 1000
    assert_close(y, y.astype(np.float64))
