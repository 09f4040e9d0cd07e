from math import erf, exp, pi, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from numba import njit

from cnncli.kernels.batch import random
from tests.reference import random as twin

# Counter, key and output of philox4x32 with 10 rounds, from Random123's kat_vectors.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


@njit
def compiled(c0, c1, c2, c3, k0, k1):
    return random.philox(c0, c1, c2, c3, k0, k1)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter, key, expected):
    inputs = [np.uint64(word) for word in words(counter) + words(key)]
    assert list(compiled(*inputs)) == words(expected)
    assert list(twin.philox(words(counter), words(key))) == words(expected)
    c0, stream, step_low, step_high = words(counter)
    key_low, key_high = words(key)
    if c0 == 0:
        found = random.bits(key_low + (key_high << 32), stream, step_low + (step_high << 32), 4)
        assert list(found) == words(expected)


def test_numpy_compiled_and_plain_python_versions_agree_on_random_counters():
    generator = np.random.default_rng(1)
    for _ in range(100):
        seed, step = (int(number) for number in generator.integers(0, 2**64, 2, dtype=np.uint64))
        stream, count = int(generator.integers(0, 2**32)), int(generator.integers(0, 23))
        found = random.bits(seed, stream, step, count)
        assert found.dtype == np.uint32
        assert np.array_equal(found, twin.bits(seed, stream, step, count))
        if count:
            counter = [0, stream, step % 2**32, step >> 32, seed % 2**32, seed >> 32]
            assert compiled(*[np.uint64(word) for word in counter])[0] == found[0]


def test_the_comparison_notices_swapped_words_and_neighbouring_counters():
    found = random.bits(5, 6, 7, 8)
    assert not np.array_equal(found, twin.bits(6, 5, 7, 8))
    for other in [(4, 6, 7), (5, 7, 7), (5, 6, 8), (5 + 2**32, 6, 7), (5, 6, 7 + 2**32)]:
        assert not np.isin(random.bits(*other, 8), found).any()


def test_a_longer_draw_begins_with_the_shorter_one():
    assert np.array_equal(random.bits(1, 2, 3, 1001)[:10], random.bits(1, 2, 3, 10))


def test_seeds_and_streams_wrap_and_too_long_draws_are_refused():
    assert np.array_equal(random.bits(-1, -1, -1, 5), random.bits(2**64 - 1, 2**32 - 1, 2**64 - 1, 5))
    with pytest.raises(ValueError, match="at most 2\\*\\*34"):
        random.bits(0, 0, 0, 2**34 + 1)


def test_quantile_inverts_the_distribution_function_everywhere():
    fractions = np.concatenate([np.linspace(0.001, 0.999, 999), 10.0 ** -np.arange(2, 300, 7), [0.075, 0.925, 0.5]])
    expected = [NormalDist().inv_cdf(fraction) for fraction in fractions]
    assert random.quantile(fractions) == pytest.approx(expected, rel=1e-14, abs=1e-15)
    # Not through the same algorithm: Φ(quantile(u)) = u.
    back = [(1 + erf(x / sqrt(2))) / 2 for x in random.quantile(fractions[:999])]
    assert back == pytest.approx(fractions[:999], rel=1e-12)


def test_uniform_fills_its_interval_evenly():
    x = random.uniform((400, 500), -3, 5, seed=11, stream=0)
    assert x.shape == (400, 500)
    assert x.dtype == np.float64
    assert -3 < x.min() < -2.999
    assert 4.999 < x.max() < 5
    assert x.mean() == pytest.approx(1, abs=4 * 8 / sqrt(12 * x.size))
    assert x.var() == pytest.approx(64 / 12, rel=0.01)
    shares = np.histogram(x, bins=16, range=(-3, 5))[0] / x.size
    assert shares == pytest.approx(np.full(16, 1 / 16), rel=0.04)


def test_normal_has_its_moments_and_tails():
    x = random.normal((200_000,), 2, 3, seed=12, stream=1)
    z = (x - 2) / 3
    assert z.mean() == pytest.approx(0, abs=4 / sqrt(z.size))
    assert z.var() == pytest.approx(1, rel=0.015)
    assert (z**4).mean() == pytest.approx(3, rel=0.05)
    for bound in (1, 2, 3):
        assert (np.abs(z) > bound).mean() == pytest.approx(1 - erf(bound / sqrt(2)), rel=0.1)


def test_truncated_normal_stays_within_two_deviations_of_the_uncut_normal():
    x = random.truncated_normal((200_000,), 1, 0.5, seed=13, stream=2)
    z = (x - 1) / 0.5
    assert -2 <= z.min() < -1.99
    assert 1.99 < z.max() <= 2
    variance = 1 - 4 * exp(-2) / sqrt(2 * pi) / erf(sqrt(2))  # of a normal cut off at ±2: 0.7737
    assert z.mean() == pytest.approx(0, abs=4 / sqrt(z.size))
    assert z.var() == pytest.approx(variance, rel=0.01)


def test_neighbours_streams_and_seeds_are_uncorrelated():
    x, bound = random.normal((100_000,), 0, 1, 14, 0), 4 / sqrt(100_000)
    for other in (np.roll(x, 1), random.normal((100_000,), 0, 1, 14, 1), random.normal((100_000,), 0, 1, 15, 0)):
        assert abs((x * other).mean()) < bound


def test_scalars_and_empty_shapes_have_that_shape():
    assert random.normal((), 0, 1, 1, 1).shape == ()
    assert random.uniform((0, 3), 0, 1, 1, 1).shape == (0, 3)


def test_permutation_holds_every_number_once_and_depends_on_every_argument():
    found = random.permutation(1000, 1, 2, 3)
    assert found.dtype == np.int64
    assert np.array_equal(np.sort(found), np.arange(1000))
    for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)]:
        assert (random.permutation(1000, *other) == found).sum() < 10
    high, low = twin.bits(1, 2, 3, 2000).reshape(1000, 2).T.tolist()
    assert found.tolist() == sorted(range(1000), key=lambda i: high[i] * 2**32 + low[i])
    assert len(random.permutation(0, 1, 2, 3)) == 0


def test_every_order_of_three_is_equally_likely():
    orders = [tuple(random.permutation(3, 16, 0, step).tolist()) for step in range(6000)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 20.5  # χ² with 5 degrees of freedom, 0.1 %
