"""The contract of every registered metric, with its defaults and with each option."""

import inspect
import json
from fractions import Fraction
from itertools import product
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import plain
from cnncli.spec.yaml.writer import to_yaml
from cnncli.training.metrics.statistics import Totals
from cnncli.training.metrics.vocabulary import METRICS

FIXTURES = Path(__file__).parents[1] / "fixtures"
OPTIONS = {
    "threshold": 0.7,
    "ignore_class": 1,
    "class_aggregation": "variance_weighted_average",
    "name": "of_mine",
    "k": 2,
    "thresholds": [0.6, 0.2],
    "top_k": 1,
    "class_id": 1,
    "num_thresholds": 7,
    **dict.fromkeys(("specificity", "sensitivity", "precision", "recall"), 0.6),
    "curve": "PR",
    "summation_method": "majoring",
    "multi_label": True,
    "label_weights": [1, 2, 0.5, 1],
    "from_logits": True,
    "label_smoothing": 0.1,
    "average": "macro",
    "beta": 2,
    "target_class_ids": [1],
    "weights": "quadratic",
    "bins": 4,
}
"""A value other than the default for each field."""
OF_TWO_CLASSES, OF_ONE = ("CohenKappa", "MatthewsCorrelation"), ("ignore_class-(1,)", "ignore_class-(3, 2, 1)")
"""Metrics that are always 0 where one class is left, and the cases where it is."""
OF_KERAS = {case["metric"] for case in json.loads((FIXTURES / "metrics_of_scores.json").read_text())["cases"]}
SAMPLES = 60


def _accuracy(metric, scores, targets):
    if scores.shape[-1] == 1:
        return {"accuracy": sum((s > 0.5) == t for s, t in zip(scores.flat, targets.flat, strict=True)) / scores.size}
    rows = scores.reshape(-1, scores.shape[-1]), targets.reshape(-1, scores.shape[-1])
    return {"accuracy": np.mean([max(s) == s[list(t).index(1)] for s, t in zip(*rows, strict=True)])}


def _binary_accuracy(metric, scores, targets):
    right = [(s > metric.threshold) == t for s, t in zip(scores.flat, targets.flat, strict=True)]
    return {"binary_accuracy": sum(right) / len(right)}


def _of_classes(metric, scores, targets, score):
    """The mean of a score of sets of places: those of a class, and those that were given it."""
    rows = scores.reshape(-1, scores.shape[-1]), targets.reshape(-1, scores.shape[-1])
    number = (lambda row: int(row[0] > 0.5)) if scores.shape[-1] == 1 else (lambda row: list(row).index(max(row)))
    given, own = ({at: number(row) for at, row in enumerate(array)} for array in rows)
    found = []
    for cls in range(max(2, scores.shape[-1])):
        a, b = ({at for at in of if of[at] == cls and own[at] != metric.ignore_class} for of in (given, own))
        found += [score(a, b)] if a | b else []
    return {metric.title: np.mean(found)}


def _mean_iou(metric, scores, targets):
    return _of_classes(metric, scores, targets, lambda a, b: len(a & b) / len(a | b))


def _dice(metric, scores, targets):
    return _of_classes(metric, scores, targets, lambda a, b: 2 * len(a & b) / (len(a) + len(b)))


def _errors(scores, targets):
    return [float(s) - float(t) for s, t in zip(scores.flat, targets.flat, strict=True)]


def _mean_absolute_error(metric, scores, targets):
    return {"mean_absolute_error": sum(map(abs, _errors(scores, targets))) / scores.size}


def _mean_squared_error(metric, scores, targets):
    return {"mean_squared_error": sum(error**2 for error in _errors(scores, targets)) / scores.size}


def _root_mean_squared_error(metric, scores, targets):
    return {"root_mean_squared_error": _mean_squared_error(metric, scores, targets)["mean_squared_error"] ** 0.5}


def _r2_score(metric, scores, targets):
    found, weights = [], []
    for output in range(scores.shape[-1]):
        s, t = (array[..., output].astype(np.float64).ravel() for array in (scores, targets))
        weights.append(np.sum((t - np.mean(t)) ** 2))
        found.append(1 - np.sum((s - t) ** 2) / weights[-1])
    return {"r2_score": np.average(found, weights=weights if metric.class_aggregation[0] == "v" else None)}


def _agreement(metric, scores, targets):
    """Number of samples, and of each pair of a true and a predicted class."""
    rows = scores.reshape(-1, scores.shape[-1]), targets.reshape(-1, scores.shape[-1])
    number = (lambda row: int(row[0] > 0.5)) if scores.shape[-1] == 1 else (lambda row: int(row.argmax()))
    pairs = [(number(t), number(s)) for s, t in zip(*rows, strict=True)]
    return [pair for pair in pairs if pair[0] != metric.ignore_class]


def _cohen_kappa(metric, scores, targets):
    pairs = _agreement(metric, scores, targets)
    cost = (lambda a, b: (a - b) ** 2) if metric.weights else (lambda a, b: a != b)
    seen, by_chance = (sum(cost(t, s) for t, s in them) for them in (pairs, product(*zip(*pairs, strict=True))))
    return {"cohen_kappa": float(1 - Fraction(int(seen) * len(pairs), int(by_chance)))}


def _matthews_correlation(metric, scores, targets):
    """The covariance of indicators of classes, over the root of their variances."""
    true, given = (np.eye(5)[list(numbers)] for numbers in zip(*_agreement(metric, scores, targets), strict=True))

    def covariance(a, b):
        return np.sum((a - a.mean(0)) * (b - b.mean(0)))

    below = np.sqrt(covariance(true, true) * covariance(given, given))
    return {"matthews_correlation": covariance(true, given) / below if below else 0.0}


def _calibration_error(metric, scores, targets):
    rows = scores.reshape(-1, scores.shape[-1]), targets.reshape(-1, scores.shape[-1])
    bins = {}
    for s, t in zip(*rows, strict=True):
        p = float(max(s))
        sure, right = (p, t[s.argmax()]) if len(s) > 1 else (max(p, 1 - p), (p > 0.5) == t[0])
        bins.setdefault(ceil(sure * metric.bins), []).append(sure - float(right))
    return {"calibration_error": sum(abs(sum(gaps)) for gaps in bins.values()) / len(rows[0])}


TWINS = {
    "CalibrationError": _calibration_error,
    "CohenKappa": _cohen_kappa,
    "MatthewsCorrelation": _matthews_correlation,
    "Accuracy": _accuracy,
    "BinaryAccuracy": _binary_accuracy,
    "MeanIoU": _mean_iou,
    "Dice": _dice,
    "MeanAbsoluteError": _mean_absolute_error,
    "MeanSquaredError": _mean_squared_error,
    "RootMeanSquaredError": _root_mean_squared_error,
    "R2Score": _r2_score,
}
"""(metric, all scores, all targets) → its figures, sample by sample; of others Keras' values are known."""
CASES = [
    pytest.param(metric, outputs, id=f"{name}-{'-'.join(arguments)}-{outputs}")
    for name, cls in METRICS.classes.items()
    for arguments in ({}, *({field: OPTIONS[field]} for field in cls.fields))
    for outputs in ((1,), (4,), (3, 2, 4), (3, 2, 1))
    if not (metric := cls(**{field: OPTIONS[field] for field in cls.needs()} | arguments)).misfit(outputs[-1])
]
WITH_TWINS = [
    case
    for case in CASES
    if type(case.values[0]).__name__ in TWINS
    if not (type(case.values[0]).__name__ in OF_TWO_CLASSES and case.id.endswith(OF_ONE))
]


def drawn(outputs):
    """Scores, and targets with a 1 for a class; for one output a 1 or a 0."""
    random = np.random.default_rng(5)
    scores = random.random((SAMPLES, *outputs), np.float32)
    if outputs[-1] == 1:
        return scores, random.integers(0, 2, scores.shape).astype(np.float32)
    targets = np.zeros_like(scores)
    np.put_along_axis(targets, random.integers(0, outputs[-1], (SAMPLES, *outputs[:-1], 1)), 1, -1)
    return scores, targets


def counted(metric, batches, totals=None):
    totals = totals or Totals()
    for scores, targets in batches:
        totals.add(metric.count(scores, targets))
    return totals


@pytest.mark.parametrize("name", METRICS.classes)
def test_every_metric_has_a_twin_tried_options_and_a_documentation(name):
    cls = METRICS.classes[name]
    assert name in TWINS or name in OF_KERAS, f"the metric {name} has neither a twin in this file nor cases of Keras"
    assert cls.fields.keys() <= OPTIONS.keys(), "add a value of each field to OPTIONS"
    assert inspect.getdoc(cls)
    assert cls.__doc__ is not None, "the docstring must be its own, not inherited"
    assert cls.better in ("min", "max")


@pytest.mark.parametrize(("metric", "outputs"), WITH_TWINS)
def test_its_figures_are_those_of_the_naive_twin(metric, outputs):
    scores, targets = drawn(outputs)
    figures = metric.figures(counted(metric, [(scores, targets)]).sums())
    assert tuple(figures) == tuple(metric.names(outputs[-1]))
    (expected,) = TWINS[type(metric).__name__](metric, scores, targets).values()
    bound = 1e-8 if type(metric).__name__ == "CalibrationError" else 1e-12  # which adds up units of 2⁻³⁰
    assert figures == {metric.title: pytest.approx(expected, rel=bound)}
    (other,) = TWINS[type(metric).__name__](metric, scores[::-1], targets).values()
    assert figures != {metric.title: pytest.approx(other, rel=1e-12)}, "the comparison must notice other answers"


@pytest.mark.parametrize(("metric", "outputs"), CASES)
def test_it_does_not_depend_on_how_samples_are_divided_into_batches_nor_on_an_interruption(metric, outputs):
    scores, targets = drawn(outputs)
    found = []
    for cuts in ([], [30], [1, 2, 40], list(range(7, SAMPLES, 7))):
        parts = [(scores[rows], targets[rows]) for rows in reversed(np.split(np.arange(SAMPLES), cuts))]
        found.append(metric.figures(counted(metric, parts).sums()))
        for interruption in range(1, len(parts)):
            kept = counted(metric, parts[:interruption]).tensors()
            totals = Totals()
            totals.restore(kept)
            found.append(metric.figures(counted(metric, parts[interruption:], totals).sums()))
    assert all(tuple(each) == tuple(metric.names(outputs[-1])) for each in found)
    np.testing.assert_array_equal([list(each.values()) for each in found], [list(found[0].values())] * len(found))


@pytest.mark.parametrize(("metric", "outputs"), CASES[::4])
def test_declarations_survive_being_written_as_yaml_and_read(metric, outputs):
    problems = Problems("metric.yaml", "")
    tree = read(to_yaml({type(metric).__name__: metric.plain()}), problems)
    assert not problems
    assert METRICS.parse(plain(tree)) == metric
