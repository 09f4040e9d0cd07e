"""The contract of every registered metric, with its defaults and with each option."""

import inspect

import numpy as np
import pytest

from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import plain
from cnncli.spec.yaml.writer import to_yaml
from cnncli.training.metrics.statistics import Totals
from cnncli.training.metrics.vocabulary import METRICS

OPTIONS = {"threshold": 0.7, "ignore_class": 1, "class_aggregation": "variance_weighted_average"}
"""A value other than the default for each field."""
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
    return {metric.names[0]: np.mean(found)}


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


TWINS = {
    "Accuracy": _accuracy,
    "BinaryAccuracy": _binary_accuracy,
    "MeanIoU": _mean_iou,
    "Dice": _dice,
    "MeanAbsoluteError": _mean_absolute_error,
    "MeanSquaredError": _mean_squared_error,
    "RootMeanSquaredError": _root_mean_squared_error,
    "R2Score": _r2_score,
}
"""(metric, all scores, all targets) → its figures, sample by sample."""
CASES = [
    pytest.param(cls(**arguments), outputs, id=f"{name}-{'-'.join(arguments)}-{outputs}")
    for name, cls in METRICS.classes.items()
    for arguments in ({}, *({field: OPTIONS[field]} for field in cls.fields if field in OPTIONS))
    for outputs in ((1,), (4,), (3, 2, 4), (3, 2, 1))
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
    assert name in TWINS, f"the metric {name} has no twin: write one in tests/training/test_metric_contract.py"
    assert cls.fields.keys() <= OPTIONS.keys(), "add a value of each field to OPTIONS"
    assert inspect.getdoc(cls)
    assert cls.__doc__ is not None, "the docstring must be its own, not inherited"
    assert cls.better in ("min", "max")


@pytest.mark.parametrize(("metric", "outputs"), CASES)
def test_its_figures_are_those_of_the_naive_twin(metric, outputs):
    scores, targets = drawn(outputs)
    figures = metric.figures(counted(metric, [(scores, targets)]).sums())
    assert tuple(figures) == tuple(metric.names)
    expected = TWINS[type(metric).__name__](metric, scores, targets)
    assert figures == pytest.approx(expected, rel=1e-12)
    others = TWINS[type(metric).__name__](metric, scores[::-1], targets)
    assert figures != pytest.approx(others, rel=1e-12), "the comparison must notice other answers"


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
    assert found == [found[0]] * len(found)


@pytest.mark.parametrize(("metric", "outputs"), CASES[::4])
def test_declarations_survive_being_written_as_yaml_and_read(metric, outputs):
    problems = Problems("metric.yaml", "")
    tree = read(to_yaml({type(metric).__name__: metric.plain()}), problems)
    assert not problems
    assert METRICS.parse(plain(tree)) == metric
