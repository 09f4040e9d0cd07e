"""McNemar's test against SciPy 1.17: binomtest(m, n).pvalue, and 2 · binom.cdf(m − 1, n, ½) + binom.pmf(m, n, ½)."""

from fractions import Fraction
from math import comb

import pytest

from cnncli.training.metrics.mcnemar import McNemar


@pytest.mark.parametrize(
    ("first", "second", "exact", "mid"),
    [
        (0, 0, 1.0, 1.0),
        (1, 1, 1.0, 1.0),
        (5, 15, 0.04138946533203125, 0.026603698730468747),
        (9, 3, 0.14599609375, 0.09228515625000001),
        (500, 600, 0.0028195449914364284, 0.0025647727977531768),
        (0, 8, 0.0078125, 0.003906250000000007),
    ],
)
def test_p_values_are_those_of_scipy(first, second, exact, mid):
    test = McNemar(700, first, second, 30)
    assert test.exact_p == pytest.approx(exact, rel=1e-12)
    assert test.mid_p == pytest.approx(mid, rel=1e-12)


@pytest.mark.parametrize("first", range(7))
def test_p_values_are_sums_over_all_ways(first):
    ways = {k: Fraction(comb(6, k), 64) for k in range(7)}
    least = min(first, 6 - first)
    exact = min(1, 2 * sum(ways[k] for k in range(least + 1)))
    mid = 2 * sum(ways[k] for k in range(least)) + ways[least]
    assert (McNemar(0, first, 6 - first, 0).exact_p, McNemar(0, first, 6 - first, 0).mid_p) == (exact, mid)


def test_shares_are_of_all_samples():
    assert McNemar(6, 2, 1, 1).shares == (0.8, 0.7)
