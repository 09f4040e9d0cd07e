"""Temperature scaling against a search over a grid, and samples whose temperature is known."""

import numpy as np
import pytest

from cnncli.training.metrics import temperature


def nll(logits, targets, t):
    """By definition, sample by sample."""
    total = 0.0
    for z, row in zip(logits / t, targets, strict=True):
        total += np.log(np.exp(z - z.max()).sum()) + z.max() - row @ z
    return total / len(logits)


def drawn(true, classes=4, count=300, seed=0):
    """Logits, and labels that they have the probabilities of at the temperature `true`."""
    random = np.random.default_rng(seed)
    z = 3 * random.normal(size=(count, classes))
    p = np.exp(z / true) / np.exp(z / true).sum(1, keepdims=True)
    labels = [random.choice(classes, p=row) for row in p]
    return z, np.eye(classes)[labels]


def grid(logits, targets):
    """The best of finer and finer grids over the logarithm of the temperature."""
    low, high = -5.0, 5.0
    for _ in range(8):
        points = np.linspace(low, high, 41)
        at = int(np.argmin([nll(logits, targets, np.exp(point)) for point in points]))
        low, high = points[max(at - 1, 0)], points[min(at + 1, 40)]
    return np.exp((low + high) / 2)


@pytest.mark.parametrize(("true", "seed"), [(0.3, 1), (1.0, 2), (2.5, 3)])
def test_it_is_the_one_that_a_search_finds(true, seed):
    z, targets = drawn(true, seed=seed)
    found = temperature.fit(z, targets)
    assert found == pytest.approx(grid(z, targets), rel=1e-6)
    assert temperature.negative_log_likelihood(z / found, targets) == pytest.approx(nll(z, targets, found), rel=1e-12)


def test_samples_of_a_known_temperature_give_it_back():
    for true in (0.5, 1.7, 4.0):
        z, targets = drawn(true, count=40_000, seed=5)
        assert temperature.fit(z, targets) == pytest.approx(true, rel=0.03)


def test_targets_that_are_the_probabilities_at_a_temperature_give_exactly_that():
    z = np.random.default_rng(7).normal(size=(50, 3)) * 6
    for true in (0.02, 0.9, 30.0, 1000.0):
        p = temperature.softmax(z / true)
        assert temperature.fit(z, p) == pytest.approx(true, rel=1e-9)


def test_a_number_per_row_and_the_order_of_samples_do_not_matter():
    z, targets = drawn(1.4)
    moved = z + np.random.default_rng(1).normal(size=(len(z), 1)) * 100
    assert temperature.fit(moved[::-1], targets[::-1]) == pytest.approx(temperature.fit(z, targets), rel=1e-9)


def test_none_is_best_where_all_samples_are_right_or_no_better_than_chance():
    z = np.array([[2.0, 0.0], [0.0, 1.0]])
    assert temperature.fit(z, np.eye(2)) is None
    assert temperature.fit(z, np.eye(2)[::-1]) is None


def test_probabilities_have_the_softmax_and_sigmoid_of_their_logits():
    """In float32 up to its rounding, and where it underflows to 0 too."""
    z = np.random.default_rng(2).normal(size=(200, 5)) * 5
    p = temperature.softmax(z).astype(np.float32)
    again = temperature.softmax(temperature.logits(p) / 2.5)
    np.testing.assert_allclose(again, temperature.softmax(z / 2.5), rtol=1e-6)
    yes = temperature.sigmoid(z).astype(np.float32)
    near = np.abs(z) < 8
    np.testing.assert_allclose(
        temperature.sigmoid(temperature.log_odds(yes) / 2)[near], temperature.sigmoid(z / 2)[near], rtol=1e-4
    )
    for extreme in (np.float32([[1, 0]]), np.float32([[0, 1]])):
        assert np.isfinite(temperature.logits(extreme)).all()
        assert np.isfinite(temperature.log_odds(extreme)).all()
        np.testing.assert_allclose(temperature.softmax(temperature.logits(extreme)), extreme, atol=1e-44)
        np.testing.assert_allclose(temperature.sigmoid(temperature.log_odds(extreme)), extreme, atol=1e-7)
