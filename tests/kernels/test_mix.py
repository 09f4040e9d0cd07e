"""Batches mixed against NumPy in float64, and against Keras with the draws handed over."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.kernels.augment import mix
from cnncli.kernels.augment.mix import Mixing
from cnncli.kernels.jit.runtime import Scratch, tensor
from tests.kernels.agreement import DTYPES, assert_agree, same_bits_on_1_and_2_threads
from tests.kernels.support import execute
from tests.reference import mix as twin

SEED, STEP, STREAM, WEIGHTS = 3, 2**35, 256, 512
SHAPES = [(6, 9, 14, 1), (5, 13, 8, 3), (7, 1, 1, 2), (1, 4, 4, 1)]
ALPHAS = [(0.2, 0.2), (1, 1), (1e-6, 1 + 1e-6), (1e-6, 1e-6)]
FIXTURE = Path(__file__).parent.parent / "fixtures" / "mixing.npz"


def apply(change, x, alpha, step=STEP):
    clock = np.array([SEED, step, 0])
    mixing = Mixing(tensor(clock), STREAM, WEIGHTS, alpha)
    execute(lambda scratch: change(tensor(x), mixing, scratch))
    return x


def drawn(batch, alpha, step=STEP):
    return twin.drawn(SEED, STREAM, WEIGHTS, step, batch, alpha)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (40, 3), (40, 1)])
def test_rows_are_blended_with_those_of_a_permutation(shape, dtype):
    for alpha in ALPHAS:
        x = np.random.default_rng(0).normal(0, 1, shape).astype(dtype)
        order, weight, _, _ = drawn(len(x), alpha)
        expected = twin.blended(x.astype(np.float64), order, weight)
        assert_agree(apply(mix.blend, x, alpha), expected, alpha)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_rectangles_of_the_partners_are_pasted_whole(shape, dtype):
    for alpha in ALPHAS:
        x = np.random.default_rng(0).normal(0, 1, shape).astype(dtype)
        expected = twin.pasted(x, *drawn(len(x), alpha))
        assert np.array_equal(apply(mix.paste, x, alpha), expected)


def test_the_twin_does_with_kerass_draws_what_keras_does():
    with np.load(FIXTURE) as arrays:
        keras = dict(arrays)
    order, weight, left, top = (keras[name] for name in ("order", "weight", "left", "top"))
    for name in ("images", "targets"):
        assert np.allclose(twin.blended(keras[name], order, weight), keras[f"mix_up_{name}"], rtol=0, atol=1e-6)
    assert np.allclose(twin.blended(keras["targets"], order, weight), keras["cut_mix_targets"], rtol=0, atol=1e-6)
    for name in ("images", "masks"):
        assert np.array_equal(twin.pasted(keras[name], order, weight, left, top), keras[f"cut_mix_{name}"])


def test_each_row_is_the_partner_of_one_and_every_pair_is_as_likely():
    times = np.zeros((4, 4))
    for step in range(2000):
        x = apply(mix.blend, np.eye(4), (1e-6, 1e-6), step)
        assert set(np.unique(x.round(9))) <= {0, 1}  # with so small an α one of the two has all the weight
        times[drawn(4, (1, 1), step)[0], range(4)] += 1
    assert (times.sum(0) == 2000).all()
    assert (times.sum(1) == 2000).all()
    assert np.abs(times / 2000 - 0.25).max() < 0.03


@pytest.mark.parametrize(
    ("alpha", "distribution"),
    [(1.0, lambda w: w), (0.5, lambda w: 2 / np.pi * np.arcsin(np.sqrt(w))), (0.2, None), (0.03, None)],
)
def test_weights_come_from_a_beta_distribution(alpha, distribution):
    count = 20_000
    weights = np.sort([mix.beta(5, 9, 512, row, alpha) for row in range(count)])
    assert ((weights >= 0) & (weights <= 1)).all()
    assert abs(weights.mean() - 0.5) < 0.015
    assert abs(weights.var() - 1 / (4 * (2 * alpha + 1))) < 0.005
    if distribution is not None:  # Kolmogorov and Smirnov: 1.95 / √n is passed once in a thousand times
        steps = np.arange(count + 1) / count
        expected = distribution(weights)
        assert max((steps[1:] - expected).max(), (expected - steps[:-1]).max()) < 1.95 / np.sqrt(count)


@pytest.mark.parametrize("change", [mix.blend, mix.paste])
def test_the_number_of_threads_changes_no_bit(change):
    x, clock = np.random.default_rng(1).random((60, 28, 28, 1), np.float32), np.array([SEED, STEP, 0])
    measured, mixing = Scratch(), Mixing(tensor(clock), STREAM, WEIGHTS, (1, 1))
    change(tensor(x), mixing, measured)
    memory = np.zeros(measured.used + 64, np.uint8)
    base = -(-memory.ctypes.data // 64) * 64
    assert same_bits_on_1_and_2_threads(lambda: change(tensor(x), mixing, Scratch(base)), x)
