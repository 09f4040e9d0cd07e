"""Metrics of scores against Keras' (and scikit-learn's, where Keras has none), on hostile data, and their names."""

import json
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.training.metrics.statistics import Totals
from cnncli.training.metrics.vocabulary import METRICS

FIXTURES = Path(__file__).parents[1] / "fixtures"
FIXTURE = json.loads((FIXTURES / "metrics_of_scores.json").read_text())
DATA = {
    name: tuple(np.array(arrays[key], np.float32) for key in ("y_pred", "y_true"))
    for name, arrays in FIXTURE["data"].items()
}
REPORTS = json.loads((FIXTURES / "evaluation.json").read_text())["classes"]


def figures(metric, predictions, targets, cuts=()):
    totals = Totals()
    for rows in np.split(np.arange(len(predictions)), cuts):
        totals.add(metric.count(predictions[rows], targets[rows]))
    return metric.figures(totals.sums())


def described(case):
    return "-".join([case["metric"], case["data"], *(f"{key}={value}" for key, value in case["config"].items())])


@pytest.mark.parametrize("case", FIXTURE["cases"], ids=described)
def test_values_and_names_are_those_of_keras(case):
    metric = METRICS.parse({case["metric"]: case["config"]})
    predictions, targets = DATA[case["data"]]
    found = figures(metric, predictions, targets, [len(targets) // 3])
    assert list(found) == list(metric.names(predictions.shape[-1]))
    assert metric.title == case["called"]
    expected = np.array(case["value"], np.float64)
    np.testing.assert_allclose(np.reshape(list(found.values()), expected.shape), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("case", REPORTS, ids=[case["name"] for case in REPORTS])
def test_agreement_is_that_of_scikit_learn(case):
    scores, labels = np.array(case["scores"], np.float32), np.array(case["labels"])
    targets = np.eye(scores.shape[1], dtype=np.float32)[labels]
    for weights, expected in case["kappa"].items():
        metric = METRICS.parse({"CohenKappa": {"weights": None if weights == "none" else weights}})
        assert figures(metric, scores, targets, [2]) == {"cohen_kappa": pytest.approx(float(expected), nan_ok=True)}
    found = figures(METRICS.parse("mcc"), scores, targets, [2])
    assert found == {"matthews_correlation": pytest.approx(case["matthews"])}


@pytest.mark.parametrize("name", METRICS.classes)
@pytest.mark.parametrize("outputs", [(1,), (3,), (2, 2, 3)])
def test_every_metric_has_a_value_where_no_sample_counts(name, outputs):
    metric = METRICS.classes[name](**{key: METRICS.classes[name].fields[key].kind.sample for key in required(name)})
    if metric.misfit(outputs[-1]):
        return
    nothing = np.zeros((0, outputs[-1]), np.float32)
    assert list(figures(metric, nothing, nothing)) == list(metric.names(outputs[-1]))


def required(name):
    return METRICS.classes[name].needs()


@pytest.mark.parametrize(
    "name", ["Precision", "Recall", "AUC", "F1Score", "TopKCategoricalAccuracy", "CalibrationError"]
)
def test_scores_that_are_not_numbers_are_never_right(name):
    scores = np.full((6, 3), np.nan, np.float32)
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    for value in figures(METRICS.parse(name), scores, targets).values():
        assert isnan(value) or value in (0.0, 0.5) or name == "CalibrationError"


def test_calibration_error_is_that_of_the_evaluation():
    from cnncli.training.metrics.calibration import calibration

    scores, targets = DATA["classes"]
    expected = calibration(scores.max(-1), scores.argmax(-1) == targets.argmax(-1), 5).ece
    found = figures(METRICS.parse({"ece": {"bins": 5}}), scores, targets, [7])
    assert found == {"calibration_error": pytest.approx(expected, abs=1e-8)}


def test_soft_targets_count_by_their_share():
    scores, targets = np.float32([[0.9, 0.1], [0.2, 0.8]]), np.float32([[0.7, 0.3], [0.5, 0.5]])
    (score,) = figures(METRICS.parse({"F1Score": {"average": "micro"}}), scores, targets).values()
    assert score == pytest.approx(0.6, abs=1e-6)  # 1.2 of 2 given and 2 wanted


def test_a_name_of_its_own_tells_metrics_of_one_class_apart():
    metric = METRICS.parse({"Precision": {"class_id": 1, "thresholds": [0.2, 0.8], "name": "of_cats"}})
    assert metric.names(3) == ["of_cats_0", "of_cats_1"]
    with pytest.raises(ValidationError, match="a name of letters"):
        METRICS.parse({"Precision": {"name": "of cats"}})


@pytest.mark.parametrize(
    ("entry", "outputs", "message"),
    [
        ({"Precision": {"class_id": 3}}, 3, "class_id must be less than 3, the number of classes; received 3"),
        ({"IoU": {"target_class_ids": [0, 2]}}, 1, "target_class_ids must be less than 2"),
        ({"AUC": {"label_weights": [1, 2]}}, 3, "label_weights must have a weight for each output; received 2"),
    ],
)
def test_what_does_not_fit_the_outputs_is_said(entry, outputs, message):
    assert METRICS.parse(entry).misfit(outputs).startswith(message)
