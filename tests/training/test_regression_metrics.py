"""Metrics of numbers, against Keras and against exact rational arithmetic."""

import json
from fractions import Fraction
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from cnncli.training.metrics.exact_sums import exact_sums, read_sums
from cnncli.training.metrics.statistics import Totals
from cnncli.training.metrics.vocabulary import METRICS

CASES = json.loads((Path(__file__).parent.parent / "fixtures" / "metrics.json").read_text())["cases"]


def figure(metric, predictions, targets, cuts=()):
    totals = Totals()
    for rows in np.split(np.arange(len(predictions)), cuts):
        totals.add(metric.count(predictions[rows], targets[rows]))
    return metric.figures(totals.sums())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_figures_and_names_are_those_of_keras(case):
    metric = METRICS.parse({case["metric"]: case["config"]})
    arrays = [np.array(case[key], np.float32) for key in ("y_pred", "y_true")]
    assert figure(metric, *arrays, cuts=[8]) == {case["called"]: pytest.approx(case["value"], rel=2e-5, abs=1e-6)}


@pytest.mark.parametrize(
    ("alias", "name"), [("mae", "mean_absolute_error"), ("MSE", "mean_squared_error"), ("R2Score", "r2_score")]
)
def test_aliases_are_those_of_keras(alias, name):
    assert METRICS.parse(alias).names() == (name,)


def test_sums_are_exact_for_all_magnitudes_and_signs():
    random = np.random.default_rng(0)
    terms = np.ldexp(random.uniform(-1, 1, (500, 2)), random.integers(-1074, 1000, (500, 2)))
    terms[:4, 0] = [5e-324, -5e-324, 1.7976931348623157e308, 0.0]
    halves = exact_sums(terms[:123]) + exact_sums(terms[123:])
    assert np.array_equal(halves, exact_sums(terms))
    assert read_sums(halves) == [sum(map(Fraction, column)) for column in terms.T.tolist()]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_makes_every_figure_of_its_epoch_nan(bad):
    predictions = np.array([[1.0], [bad], [2.0]], np.float32)
    for metric in ("mae", "mse", "RootMeanSquaredError", "R2Score"):
        (value,) = figure(METRICS.parse(metric), predictions, np.array([[1], [2], [4]], np.float32), [1]).values()
        assert isnan(value)


def test_r2_of_targets_far_from_zero_does_not_lose_digits():
    targets = np.float32(1e6) + np.arange(8, dtype=np.float32).reshape(-1, 1)
    predictions = targets + np.float32(1)
    assert figure(METRICS.parse("R2Score"), predictions, targets) == {"r2_score": float(1 - Fraction(8, 42))}
