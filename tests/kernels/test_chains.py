"""Copies of images that are changed and mixed: their weights, against the distributions' moments; and their memory."""

import numpy as np
import pytest

from cnncli.kernels.augment import brightness, chains
from cnncli.kernels.jit.runtime import Scratch, images, run, tensor
from tests.kernels.support import execute

CLOCK = np.array([7, 3, 0])
ROWS, CHAINS = 40_000, 3
EVERYTHING = (-np.inf, np.inf)


def weights(alpha, rows=ROWS, clock=CLOCK):
    """The weights of the chains of each row, and its own."""
    found, sums = np.zeros((rows, CHAINS + 1)), np.ones(rows, np.float32)
    places = {"clock": clock.ctypes.data, "weights": found.ctypes.data, "sum": sums.ctypes.data}
    work = images(rows, 1000)
    run([chains.weights_worker.step("float32", work, **places, stream=9, chains=CHAINS, size=1, alpha=alpha)])
    assert not sums.any()
    return found[:, :CHAINS], found[:, CHAINS]


def moments(alpha, beta):
    """The first three moments about 0 of Beta(α, β)."""
    return np.cumprod([(alpha + k) / (alpha + beta + k) for k in range(3)])


@pytest.mark.parametrize("alpha", [0.05, 0.3, 1.0, 2.5, 40.0])
def test_weights_have_the_moments_of_dirichlets_and_of_betas_distribution(alpha):
    shares, own = weights(alpha)
    assert np.allclose(shares.sum(axis=1), 1, rtol=0, atol=1e-12)
    powers = np.arange(1, 4)
    for found, expected in [
        *((shares[:, chain], moments(alpha, (CHAINS - 1) * alpha)) for chain in range(CHAINS)),
        (own, moments(alpha, alpha)),
    ]:
        deviation = np.std(found[:, None] ** powers, axis=0) / np.sqrt(ROWS)
        assert (np.abs((found[:, None] ** powers).mean(axis=0) - expected) < 4 * deviation).all()
    together = (shares[:, 0] * shares[:, 1]).mean()
    assert together == pytest.approx(alpha / (CHAINS * (CHAINS * alpha + 1)), rel=0.05)
    assert abs(np.corrcoef(own, shares[:, 0])[0, 1]) < 4 / np.sqrt(ROWS)


def test_with_1_the_weight_of_the_image_is_uniform():
    own = np.sort(weights(1.0)[1])
    assert np.abs(own - (np.arange(ROWS) + 0.5) / ROWS).max() < 1.63 / np.sqrt(ROWS)  # Kolmogorov's bound of 1 %


@pytest.mark.parametrize("alpha", [1e-308, 1e-5, 1e6, 1e300])
def test_weights_of_any_parameter_are_numbers_that_sum_to_1(alpha):
    shares, own = weights(alpha, 100)
    assert np.allclose(shares.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert ((own >= 0) & (own <= 1)).all()


def test_rows_of_a_part_of_a_batch_have_the_weights_that_they_have_within_it():
    for whole, part in zip(weights(0.5, 30), weights(0.5, 18, np.array([7, 3, 12])), strict=True):
        assert part.tobytes() == whole[12:].tobytes()


def brighter(x, scratch, limits=EVERYTHING):
    """A chain adds its number to the images; the result is limited."""

    def change(copy, chain, scratch):
        return brightness.brighten(copy, tensor(CLOCK), 1, (chain, chain), EVERYTHING)

    clock = tensor(CLOCK)
    return chains.mix(tensor(x), clock, scratch, 9, chains=CHAINS, changes=change, alpha=0.5, limits=limits)


@pytest.mark.parametrize("shape", [(7, 5, 4, 3), (40, 28, 28, 1), (3, 100, 90, 2)])
def test_images_are_blended_with_the_weighted_mean_of_their_copies(shape):
    x = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    shares, own = weights(0.5, len(x))
    mean = shares @ np.arange(CHAINS)
    expected = x + ((1 - own) * mean).reshape(-1, 1, 1, 1)
    found = x.copy()
    execute(lambda scratch: brighter(found, scratch))
    assert np.allclose(found, expected, rtol=0, atol=1e-5)
    execute(lambda scratch: brighter(x, scratch, (-0.5, 0.5)))
    assert np.allclose(x, np.clip(expected, -0.5, 0.5), rtol=0, atol=1e-5)


def test_the_number_of_threads_does_not_matter():
    x = np.random.default_rng(0).normal(0, 1, (40, 28, 28, 1)).astype(np.float32)
    one, two = x.copy(), x.copy()
    execute(lambda scratch: brighter(one, scratch), threads=1)
    execute(lambda scratch: brighter(two, scratch), threads=2)
    assert np.array_equal(one, two)
    assert not np.array_equal(one, x)


def test_a_thread_has_copies_of_few_images_however_many_there_are():
    used = []
    for rows in (64, 6400):
        scratch = Scratch()
        brighter(np.zeros((rows, 64, 64, 3), np.float32), scratch)
        used.append((scratch.used, scratch.used_by_thread))
    assert used[0] == used[1]
    assert used[0][0] == 0
    assert used[0][1] < 2.1 * 64 * 64 * 3 * 4
