"""Decisions against a naive search, and costs against sums by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cnncli.errors import CnncliError, UsageError
from cnncli.training.decisions.costs import read_costs
from cnncli.training.decisions.decision import NONE, Decision, Fitted
from cnncli.training.decisions.fit import Wishes, compare, fit
from cnncli.training.decisions.outputs import Outputs
from cnncli.training.metrics.thresholds import Threshold, Want
from cnncli.training.runs import typed_json

FITTED = Fitted("validation", 3, "made", "sha256:0")


def softmax(z):
    powers = np.exp(z - z.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def classes(count=400, number=3, seed=0, noise=1.5):
    """Outputs of a classifier that is right more often than not."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, number, count)
    z = random.normal(size=(count, number)) * noise + 2 * np.eye(number)[labels]
    return Outputs("classes", softmax(z), np.eye(number, dtype=np.float32)[labels])


def sigmoids(kind, outputs, count=400, seed=0):
    random = np.random.default_rng(seed)
    targets = random.integers(0, 2, (count, outputs)).astype(np.float32)
    z = random.normal(size=targets.shape) * 1.5 + 2 * targets - 1
    return Outputs(kind, (1 / (1 + np.exp(-z))).astype(np.float32), targets)


def names(outputs):
    return [f"class {k}" for k in range(max(2, outputs.targets.shape[1]))]


def fitted(outputs, **wishes):
    return fit(outputs, names(outputs), Wishes(**wishes), FITTED)


def naive(scores, right, total, want):
    """Try every score as the threshold: (precision, recall) of the best."""
    best = None
    for threshold in scores:
        taken = scores >= threshold
        precision, recall = right[taken].mean(), right[taken].sum() / total
        measure, other = (precision, recall) if want.measure == "precision" else (recall, precision)
        if measure >= want.share and (best is None or (other, measure) > best[0]):
            best = (other, measure), (precision, recall)
    return best and best[1]


@pytest.mark.parametrize("measure", ["precision", "recall"])
@pytest.mark.parametrize("share", [0.7, 0.8, 0.85])
@pytest.mark.parametrize("outputs", [classes(), sigmoids("choice", 1), sigmoids("labels", 3)], ids=lambda one: one.kind)
def test_thresholds_are_those_that_trying_every_score_finds(outputs, measure, share):
    want = Want(measure, share)
    try:
        decision = fitted(outputs, thresholds=want)
    except CnncliError:
        decision = None
    shares = fitted(outputs).apply(outputs.probabilities)
    expected = []
    for k in range(outputs.targets.shape[1]):
        mine = shares.argmax(1) == k if outputs.kind == "classes" else np.ones(len(shares), bool)
        truth = outputs.targets[:, k] > 0.5
        expected.append(naive(shares[mine, k], truth[mine], truth.sum(), want))
    if None in expected:
        assert decision is None
        return
    np.testing.assert_allclose([(one.precision, one.recall) for one in decision.thresholds], expected)
    answers = decision.decide(shares)
    for k, (precision, recall) in enumerate(expected):
        given = answers[:, k] if outputs.kind == "labels" else answers == (1 if outputs.kind == "choice" else k)
        truth = outputs.targets[:, k] > 0.5
        assert (truth[given].mean(), given[truth].mean()) == pytest.approx((precision, recall))


def test_what_no_threshold_reaches_is_said_of_each_class():
    outputs = classes(noise=3)
    with pytest.raises(CnncliError) as caught:
        fitted(outputs, thresholds=Want("recall", 0.99))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("recall=0.99 for class 'class 0' is reached by no threshold: the highest recall is 0.")
    never = replace(outputs, targets=outputs.targets * [[1, 1, 0]])
    with pytest.raises(CnncliError, match=r"class 'class 2' has no sample in the split: no threshold can be fitted"):
        fitted(never, thresholds=Want("precision", 0.5))


@pytest.mark.parametrize("outputs", [classes(seed=3), sigmoids("choice", 1, seed=3)], ids=lambda one: one.kind)
@pytest.mark.parametrize("thresholds", [None, Want("precision", 0.8)])
def test_unknown_is_answered_where_less_is_certain_and_the_rest_is_as_precise_as_wanted(outputs, thresholds):
    decision = fitted(outputs, thresholds=thresholds, unknown=Want("precision", 0.95))
    shares = decision.apply(outputs.probabilities)
    both = np.hstack([1 - shares, shares]) if outputs.kind == "choice" else shares
    answers, truth = decision.decide(shares), outputs.truth
    answered = answers != NONE
    assert 0 < answered.sum() < len(answers)
    assert (answers == truth)[answered].mean() >= 0.95
    assert decision.after["coverage"] == answered.mean()
    assert decision.after["precision"] == (answers == truth)[answered].mean()
    free = replace(decision, unknown=None).decide(shares)
    sure = both[np.arange(len(free)), free]
    for lower in np.unique(sure[(free != NONE) & (sure < decision.unknown)]):
        taken = (free != NONE) & (sure >= lower)
        assert (free == truth)[taken].mean() < 0.95, "a lower threshold answers more"
    with pytest.raises(CnncliError, match=r"precision=1 for the answers is reached by no threshold: the highest "):
        wrong = replace(outputs, targets=1 - outputs.targets if outputs.kind == "choice" else outputs.targets[:, ::-1])
        fitted(wrong, unknown=Want("precision", 1.0))


def test_answers_of_the_least_expected_cost_are_those_computed_by_hand():
    decision = Decision("classes", 2, 1.0, FITTED, {}, {}, costs=[[0, 10, 2], [1, 0, 2]])
    shares = np.array([[0.95, 0.05], [0.5, 0.5], [0.02, 0.98], [0.9, 0.1], [0.15, 0.85]], np.float32)
    # answering the first costs p1, the second 10 p0, nothing 2: 0.05, 0.5, 0.2, 0.1, 0.85 are the least
    assert decision.decide(shares).tolist() == [0, 0, 1, 0, 0]
    dear = replace(decision, costs=[[0, 10, 0.4], [1, 0, 0.4]])
    assert dear.decide(shares).tolist() == [0, NONE, 1, 0, NONE]
    assert (decision.may_abstain, replace(decision, costs=[[0, 10], [1, 0]]).may_abstain) == (True, False)
    one = replace(decision, kind="choice")
    assert one.decide(shares[:, 1:]).tolist() == decision.decide(shares).tolist()


def test_the_mean_cost_is_reported_without_and_with_the_table():
    outputs = Outputs("classes", np.float32([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]), np.float32([[1, 0], [1, 0], [0, 1]]))
    decision = Decision("classes", 2, 1.0, FITTED, {}, {}, costs=[[0, 9], [1, 0]])
    before, after = compare(decision, outputs)
    assert before["cost"] == 9 / 3  # the second is taken for the other class
    assert after["cost"] == 1 / 3  # the answers are 0, 0, 0: only the last is wrong
    assert before["accuracy"] == after["accuracy"] == pytest.approx(2 / 3)


def test_the_figures_are_those_by_definition():
    outputs = classes(seed=4)
    decision = fitted(outputs)
    truth = outputs.targets.argmax(1)
    for figures, shares in (
        (decision.before, outputs.probabilities),
        (decision.after, decision.apply(outputs.probabilities)),
    ):
        right = shares.argmax(1) == truth
        assert figures["accuracy"] == right.mean()
        assert figures["nll"] == pytest.approx(-np.log(shares[np.arange(len(shares)), truth]).mean(), rel=1e-5)
        gap = 0.0
        for number in range(15):
            inside = (shares.max(1) > number / 15) & (shares.max(1) <= (number + 1) / 15)
            if inside.any():
                gap += inside.mean() * abs(right[inside].mean() - shares.max(1)[inside].mean())
        assert figures["ece"] == pytest.approx(gap, rel=1e-5)
    assert decision.after["nll"] < decision.before["nll"]


def test_the_calibration_error_of_few_samples_is_that_by_hand():
    shares = np.float32([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7]])
    plain = Decision("classes", 2, 1.0, FITTED, {}, {})
    before, _ = compare(plain, Outputs("classes", shares, np.float32([[1, 0], [0, 1], [0, 1]])))
    assert before["ece"] == pytest.approx((2 * 0.4 + 0.3) / 3)
    yes = np.float32([[0.9], [0.9], [0.3]])
    before, _ = compare(replace(plain, kind="choice"), Outputs("choice", yes, np.float32([[1], [0], [0]])))
    assert before["ece"] == pytest.approx((2 * 0.4 + 0.3) / 3)
    labels = replace(plain, kind="labels")
    before, _ = compare(labels, Outputs("labels", shares, np.float32([[1, 0], [0, 1], [0, 1]])))
    assert before["ece"] == pytest.approx((2 * 0.4 + 0.3 + 2 * 0.4 + 0.3) / 6)


@pytest.mark.parametrize("outputs", [classes(), sigmoids("choice", 1), sigmoids("labels", 3)], ids=lambda one: one.kind)
def test_probabilities_are_at_the_temperature_row_by_row_with_and_without_logits(outputs):
    decision = replace(fitted(outputs), temperature=2.5)
    z = np.log(outputs.probabilities.astype(np.float64))
    if outputs.kind != "classes":
        z -= np.log1p(-outputs.probabilities.astype(np.float64))
    expected = softmax(z / 2.5) if outputs.kind == "classes" else 1 / (1 + np.exp(-z / 2.5))
    found = decision.apply(outputs.probabilities)
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(decision.apply(outputs.probabilities, z.astype(np.float32)), expected, rtol=1e-5)
    assert all((decision.apply(outputs.probabilities[k : k + 1]) == found[k]).all() for k in range(20))
    assert replace(decision, temperature=1.0).apply(outputs.probabilities) is outputs.probabilities


def test_where_all_samples_are_right_the_temperature_stays_1():
    outputs = Outputs("classes", np.float32([[0.9, 0.1], [0.2, 0.8]]), np.eye(2, dtype=np.float32))
    assert fitted(outputs).temperature == 1


def test_a_decision_is_read_back_from_its_text():
    for decision in (
        fitted(classes(), thresholds=Want("precision", 0.7), unknown=Want("precision", 0.9)),
        fitted(classes(), costs=[[0, 1, 1, 2.5], [3, 0, 1, 0.5], [1, 1, 0, 1]], costs_file="costs.csv"),
        fitted(sigmoids("labels", 2)),
    ):
        assert typed_json.parse(decision.text(), Decision) == decision


GOOD = Decision("classes", 2, 1.5, FITTED, {}, {})
LEVEL = Threshold(0.5, 1.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "numbers"}, " must have a kind of classes, choice, labels"),
        ({"classes": 1}, " must have the number of classes of its kind"),
        ({"kind": "choice", "classes": 3}, " must have the number of classes of its kind"),
        ({"temperature": 0}, " must have a temperature between 0.001 and 1e+06"),
        ({"temperature": float("nan")}, " must have a temperature between 0.001 and 1e+06"),
        ({"temperature": "1"}, ".temperature must be a number; received '1'"),
        ({"thresholds": [vars(LEVEL)]}, " must have a threshold for each class"),
        ({"thresholds": 3}, ".thresholds must be a list"),
        ({"thresholds": [{**vars(LEVEL), "threshold": 2}] * 2}, ".thresholds[0] must have a threshold, a precision"),
        ({"unknown": -0.1}, " must have an unknown between 0 and 1"),
        ({"kind": "labels", "unknown": 0.5}, " must have an unknown between 0 and 1, and none for labels"),
        ({"costs": [[0, 1]]}, " must have costs alone, a row for each class"),
        ({"costs": [[0, 1], [1]]}, " must have costs alone, a row for each class"),
        ({"costs": [[0, 1], [1, 0]], "unknown": 0.5}, " must have costs alone"),
        ({"costs": [[0, 1], [float("inf"), 0]]}, " must have finite costs"),
        ({"costs": [[0, 1e308], [1e308, 0]]}, " must have finite costs of at most 1e+100"),
        ({"before": {"nll": None}}, ".before.nll must be a number"),
        ({"fitted": {}}, ".fitted must have 'split', which is missing"),
        ({"more": 1}, " must have only kind, classes"),
    ],
)
def test_a_decision_that_can_not_be_is_refused_with_its_rule(changes, said):
    with pytest.raises(ValueError, match=r"^(\.| )") as caught:
        typed_json.parse(json.dumps({**GOOD.document(), **changes}), Decision)
    assert str(caught.value).startswith(said)


def test_a_cost_table_is_read_by_its_names_in_any_order(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text("true,dog,unknown,cat\ncat, 5, 1, 0\n\ndog,0,1,2.5\n")
    assert read_costs(path, ["cat", "dog"]) == [[0, 5, 1], [2.5, 0, 1]]
    path.write_text("\ufeff,cat,dog\ndog,1,0\ncat,0,1\n")
    assert read_costs(path, ["cat", "dog"]) == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "its columns must have 'cat' once; it is there 0 times"),
        ("true,cat,dgo\n", "its columns must be the model's classes; received 'dgo'; did you mean 'dog'?"),
        ("true,cat,dog\ncat,0,1\n", "its rows must have 'dog' once; it is there 0 times"),
        ("true,cat,dog,cat\n", "its columns must have 'cat' once; it is there 2 times"),
        ("true,cat,dog\ncat,0,1\ndog,x,0\n", "the cost of answering 'cat' for 'dog' must be a number; received 'x'"),
        ("true,cat,dog\ncat,0\ndog,1,0\n", "the cost of answering 'dog' for 'cat' must be a number; received ''"),
        ("true,cat,dog\ncat,0,inf\ndog,1,0\n", "the cost of answering 'dog' for 'cat' must be a number; received "),
        (
            "true,cat,dog\ncat,0,1e308\ndog,1,0\n",
            "the cost of answering 'dog' for 'cat' must be at most 1e+100; received",
        ),
    ],
)
def test_a_cost_table_of_other_classes_is_refused(tmp_path, text, said):
    path = tmp_path / "costs.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_costs(path, ["cat", "dog"])
    assert str(caught.value).startswith(f"{path}: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "precison=0.9",
            "--thresholds must be precision=SHARE or recall=SHARE, such as precision=0.95; received 'precison=0.9'; ",
        ),
        ("0.9", "--thresholds must be precision=SHARE or recall=SHARE, such as precision=0.95; received '0.9'"),
        (
            "recall",
            "--thresholds must be precision=SHARE or recall=SHARE with a SHARE above 0 and at most 1; received ",
        ),
        ("recall=1.5", "--thresholds must be precision=SHARE or recall=SHARE with a SHARE above 0 and at most 1; "),
        ("recall=nan", "--thresholds must be precision=SHARE or recall=SHARE with a SHARE above 0 and at most 1; "),
    ],
)
def test_a_wish_that_is_none_is_refused(text, said):
    with pytest.raises(UsageError) as caught:
        Want.parse(text, "--thresholds")
    assert str(caught.value).startswith(said)
