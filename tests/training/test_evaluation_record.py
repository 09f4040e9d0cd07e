"""Evaluations against scikit-learn (tests/fixtures/evaluation.json) and computations by hand."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.errors import UsageError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.network import Network
from cnncli.layers.core import Activation, Dense, Flatten
from cnncli.layers.losses import BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy
from cnncli.training.metrics.calibration import calibration
from cnncli.training.metrics.class_scores import confused_pairs, normalized, top_k_accuracy
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.examination import examine
from cnncli.training.metrics.statistics import class_numbers, confusion_matrix
from cnncli.training.metrics.threshold_curves import threshold_counts

FIXTURE = json.loads((Path(__file__).parents[1] / "fixtures" / "evaluation.json").read_text())


def cases(kind):
    return pytest.mark.parametrize("case", FIXTURE[kind], ids=[case["name"] for case in FIXTURE[kind]])


def evaluation(case):
    """The evaluation of scores, whose classes are named by their numbers."""
    scores, labels = np.array(case["scores"], np.float32), np.array(case["labels"])
    scores = scores.reshape(len(labels), -1)
    several = labels.ndim == 2
    classes = max(2, scores.shape[1])
    matrix = None if several else confusion_matrix(labels, class_numbers(scores), classes)
    return Evaluation("test", len(labels), {}, list(map(str, range(classes))), matrix, [], scores=scores, labels=labels)


def assert_row(row, expected):
    """scikit-learn was told to report undefined ratios as 0."""
    assert (row.precision or 0.0) == pytest.approx(expected["precision"])
    assert (row.recall or 0.0) == pytest.approx(expected["recall"])
    assert (row.f1 or 0.0) == pytest.approx(expected["f1-score"])
    assert row.support == expected["support"]


@cases("classes")
def test_classes_and_averages_are_those_of_classification_report(case):
    made = evaluation(case)
    for row in made.rows():
        if row.name in case["report"]:
            assert_row(row, case["report"][row.name])
        else:
            assert (row.precision, row.recall, row.f1, row.support, row.predicted) == (None, None, None, 0, 0)
    macro, weighted = made.averages()
    assert_row(macro, case["report"]["macro avg"])
    assert_row(weighted, case["report"]["weighted avg"])


@cases("classes")
def test_areas_under_the_curves_of_each_class_are_those_of_scikit_learn(case):
    rows = evaluation(case).rows()
    for row, expected in zip(rows, case["curves"], strict=True):
        assert row.roc_auc == pytest.approx(expected["roc_auc"])
        assert row.average_precision == pytest.approx(expected["average_precision"])
    known = [each["roc_auc"] for each in case["curves"] if each["roc_auc"] is not None]
    assert evaluation(case).class_figures()["roc_auc"] == pytest.approx(np.mean(known))


@cases("classes")
def test_confusion_matrices_are_those_of_scikit_learn_and_0_of_0_is_undefined(case):
    made = evaluation(case)
    counts = np.array(case["confusion"])
    assert made.confusion.tolist() == counts.tolist()
    empty = {"true": counts.sum(1, keepdims=True) == 0, "predicted": counts.sum(0, keepdims=True) == 0, "all": False}
    for by, shares in case["normalized"].items():
        undefined = np.broadcast_to(empty[by], counts.shape)
        found = made.normalized_confusion(by)
        assert np.isnan(found).tolist() == undefined.tolist()
        assert np.nan_to_num(found) == pytest.approx(np.array(shares))


@pytest.mark.parametrize("case", [case for case in FIXTURE["classes"] if case["name"] != "ties"], ids=str)
def test_top_k_accuracy_is_that_of_scikit_learn(case):
    made = evaluation(case)
    for k, expected in enumerate(case["top_k"], start=1):
        assert made.top_k(k) == pytest.approx(expected)
    assert made.top_k(5) == 1.0


@pytest.mark.parametrize("k", [0, 6])
def test_top_k_of_more_than_all_classes_is_refused(k):
    with pytest.raises(UsageError, match=f"between 1 and the number of classes, 5; received {k}"):
        evaluation(FIXTURE["classes"][0]).top_k(k)


def test_of_equal_scores_the_first_class_is_the_higher_so_that_top_1_is_the_accuracy():
    scores = np.full((4, 3), 0.5, np.float32)
    labels = np.array([0, 1, 2, 2])
    assert [top_k_accuracy(scores, labels, k) for k in (1, 2, 3)] == [0.25, 0.5, 1.0]
    for case in FIXTURE["classes"]:
        assert evaluation(case).top_k(1) == pytest.approx(case["report"]["accuracy"])


@cases("two_classes")
def test_curves_are_those_of_scikit_learn(case):
    made = evaluation(case)
    roc, pairs = made.roc(), made.precision_recall("1")
    assert roc.false_positive_rate == pytest.approx(np.array(case["roc"]["false"]))
    assert roc.true_positive_rate == pytest.approx(np.array(case["roc"]["true"]))
    assert roc.thresholds == pytest.approx(np.array(list(map(float, case["roc"]["thresholds"]))))
    assert roc.auc == pytest.approx(case["roc_auc"])
    expected = case["precision_recall"]  # rising thresholds; the last point has none
    assert pairs.precision == pytest.approx(np.array(expected["precision"][::-1]))
    assert pairs.recall == pytest.approx(np.array(expected["recall"][::-1]))
    assert pairs.thresholds == pytest.approx(np.array([np.inf, *expected["thresholds"][::-1]]))
    assert pairs.average_precision == pytest.approx(case["average_precision"])


@cases("two_classes")
def test_the_best_thresholds_are_found_and_reach_their_values(case):
    made = evaluation(case)
    best, positive = made.two_class_thresholds(), np.array(case["labels"]) > 0
    assert best["f1"].value == pytest.approx(case["best_f1"])
    assert best["youden"].value == pytest.approx(case["best_youden"], abs=1e-12)
    for name, value in {"f1": lambda p, r, q: 2 * p * r / (p + r), "youden": lambda p, r, q: r - q}.items():
        given = made.scores[:, 0] >= np.float32(best[name].threshold)
        precision, recall = positive[given].mean(), given[positive].mean()
        assert value(precision, recall, given[~positive].mean()) == pytest.approx(best[name].value, abs=1e-12)


@cases("two_classes")
def test_the_first_of_two_classes_is_the_second_turned_round(case):
    made = evaluation(case)
    assert made.roc(0).auc == pytest.approx(made.roc(1).auc)
    assert made.roc(0).thresholds[1] == pytest.approx(1 - made.scores.min())


@cases("labels")
def test_multi_label_models_are_measured_label_by_label_as_by_scikit_learn(case):
    made = evaluation(case)
    assert made.multi_label
    for row, expected in zip(made.rows(), case["curves"], strict=True):
        assert_row(row, case["report"][row.name])
        assert row.roc_auc == pytest.approx(expected["roc_auc"])
        assert row.average_precision == pytest.approx(expected["average_precision"])
    for row, name in zip(made.averages(), ("micro avg", "macro avg", "weighted avg"), strict=True):
        assert_row(row, case["report"][name])


@cases("pixels")
def test_iou_and_dice_of_masks_are_those_of_scikit_learn(case):
    labels, predicted = np.array(case["labels"]), np.array(case["predicted"])
    classes = len(case["iou"])
    names = list(map(str, range(classes)))
    made = Evaluation("test", 4, {}, names, confusion_matrix(labels, predicted, classes), [], "pixels")
    assert [row.iou for row in made.rows()] == pytest.approx(case["iou"])
    assert [row["dice"] for row in made.document()["classes"]] == pytest.approx(case["dice"])
    assert made.class_figures()["mean_iou"] == pytest.approx(np.mean(case["iou"]))
    assert made.roc(0) is None
    assert made.calibration() is None


def test_iou_by_hand():
    """Class 0: 3 right, 1 too few, 3 too many; class 1: 4 right, 2 too few, 1 too many; class 2 once, and wrong."""
    confusion = np.array([[3, 1, 0], [2, 4, 0], [1, 0, 0]])
    made = Evaluation("test", 1, {}, ["a", "b", "c"], confusion, [], "pixels")
    assert [row.iou for row in made.rows()] == [3 / 7, 4 / 7, 0.0]
    assert made.class_figures()["mean_iou"] == pytest.approx(1 / 3)


def test_calibration_by_hand():
    """In (0.4, 0.5] two answers, one right; in (0.9, 1] three, all right: 2/5·|0.5 − 0.46| + 3/5·|1 − 0.95|."""
    confidence = np.array([0.42, 0.5, 0.91, 0.94, 1.0])
    made = calibration(confidence, np.array([True, False, True, True, True]), bins=10)
    assert made.ece == pytest.approx(2 / 5 * 0.04 + 3 / 5 * 0.05)
    assert (made.confidence, made.accuracy) == (pytest.approx(0.754), pytest.approx(0.8))
    assert [each.count for each in made.bins] == [0, 0, 0, 0, 2, 0, 0, 0, 0, 3]
    assert (made.bins[0].confidence, made.bins[0].accuracy) == (None, None)
    assert (made.bins[4].confidence, made.bins[4].accuracy) == (pytest.approx(0.46), 0.5)
    assert (made.bins[9].lower, made.bins[9].upper) == (pytest.approx(0.9), 1.0)


def test_a_probability_of_0_is_in_the_first_bin():
    assert [each.count for each in calibration(np.zeros(3), np.zeros(3), bins=2).bins] == [3, 0]


def test_calibration_is_of_the_predicted_class_and_in_multi_label_models_of_every_label():
    scores = np.array([[0.7, 0.3], [0.4, 0.6]], np.float32)
    one = Evaluation("test", 2, {}, ["a", "b"], np.eye(2, dtype=int), [], scores=scores, labels=np.array([0, 0]))
    assert one.calibration().confidence == pytest.approx((0.7 + 0.6) / 2)
    assert one.calibration().accuracy == 0.5
    single = Evaluation(
        "test", 2, {}, ["a", "b"], np.eye(2, dtype=int), [], scores=scores[:, 1:], labels=np.array([0, 0])
    )
    assert single.calibration().ece == pytest.approx(one.calibration().ece)
    labels = np.array([[1, 0], [1, 1]], np.uint8)
    several = Evaluation("test", 2, {}, ["a", "b"], None, [], scores=scores, labels=labels)
    assert several.calibration().confidence == pytest.approx(0.5)
    assert several.calibration().accuracy == 0.75


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_have_no_curves_and_no_calibration(bad):
    case = dict(FIXTURE["classes"][0])
    case["scores"] = [[bad, *row[1:]] for row in case["scores"]]
    made = evaluation(case)
    assert (made.roc(1), made.precision_recall(1), made.calibration(), made.top_k(2)) == (None,) * 4
    assert made.best_thresholds(1) == {}
    assert not {"roc_auc", "ece", "top_2_accuracy"} & made.class_figures(2).keys()


def test_scores_that_are_not_probabilities_have_curves_but_no_calibration():
    case = dict(FIXTURE["classes"][0])
    case["scores"] = (4 * np.array(case["scores"]) - 1).tolist()
    made = evaluation(case)
    assert made.calibration() is None
    assert made.rows()[0].roc_auc == pytest.approx(case["curves"][0]["roc_auc"])


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
def test_samples_of_one_class_have_no_curves(positive):
    assert threshold_counts(np.array(positive), np.array([0.3, 0.7])) is None


def test_confused_pairs_are_ordered_by_count_with_their_share_of_the_true_class():
    confusion = np.array([[5, 3, 0], [1, 9, 0], [3, 0, 0]])
    pairs = confused_pairs(["a", "b", "c"], confusion)
    assert [(pair.label, pair.predicted, pair.count, pair.share) for pair in pairs] == [
        ("a", "b", 3, 3 / 8),
        ("c", "a", 3, 1.0),
        ("b", "a", 1, 1 / 10),
    ]
    assert confused_pairs(["a", "b", "c"], confusion, 1) == pairs[:1]
    assert np.isnan(normalized(confusion, "predicted")[:, 2]).all()


@pytest.mark.parametrize("of", [None, "5", 5, -1])
def test_a_class_that_there_is_not_is_refused(of):
    with pytest.raises(UsageError, match="a class must be one of 0, 1, 2, 3, 4, or its number; received"):
        evaluation(FIXTURE["classes"][0]).roc(of)


def test_of_many_classes_the_nearest_name_is_suggested():
    names = [f"class{number}" for number in range(100)]
    made = Evaluation("test", 100, {}, names, np.eye(100, dtype=int), [])
    with pytest.raises(UsageError) as caught:
        made.roc("clas37")
    assert str(caught.value) == (
        "a class must be a name or a number below 100; received 'clas37'; did you mean 'class37'?"
    )


def test_the_document_is_json_with_null_for_what_is_undefined():
    case = next(case for case in FIXTURE["classes"] if case["name"] == "a_class_neither_true_nor_predicted")
    document = json.loads(json.dumps(evaluation(case).document(top_k=2, normalize="true"), allow_nan=False))
    assert document["classes"][3] == {
        **{"name": "3", "support": 0, "predicted": 0},
        **dict.fromkeys(("precision", "recall", "f1", "roc_auc", "average_precision")),
    }
    assert document["top_2_accuracy"] == pytest.approx(case["top_k"][1])
    assert document["normalized_confusion"][3] == [None] * 5
    assert document["macro_f1"] == pytest.approx(case["report"]["macro avg"]["f1-score"])
    assert (len(document["reliability"]), document["best_thresholds"]) == (15, None)
    two = evaluation(FIXTURE["two_classes"][0]).document()
    assert two["best_thresholds"]["f1"]["value"] == pytest.approx(FIXTURE["two_classes"][0]["best_f1"])


def test_void_samples_are_left_out_with_their_images():
    x = np.random.default_rng(1).standard_normal((8, 1, 1, 3)).astype(np.float32)
    y, rows = np.array([0, 9, 2, 0, 1, 9, 0, 1]), np.array([6, 1, 3, 5, 7, 4])
    loss, layers = SparseCategoricalCrossentropy(ignore_class=9), (Dense(units=3), Activation(activation="softmax"))
    made = examined(x, y, *layers, loss=loss, rows=rows)
    others = examined(x, y, *layers, loss=loss, rows=rows[[0, 2, 4, 5]])
    assert made.samples == len(made.scores) == 4
    assert made.labels.tolist() == [0, 0, 1, 1]
    assert made.confusion.tolist() == others.confusion.tolist()
    assert [made.image(position).tolist() for position in range(4)] == x[rows[[0, 2, 4, 5]]].tolist()
    assert [mistake.index for mistake in made.mistakes] == [mistake.index for mistake in others.mistakes]


def test_what_can_be_expected_has_the_names_of_the_document():
    made = evaluation(FIXTURE["classes"][0])
    figures = made.named_figures(2)
    assert {"macro_f1", "test_macro_f1", "test_top_2_accuracy", "test_ece", "roc_auc"} <= figures.keys()
    assert all(made.document(top_k=2)[name] == figures[name] for name in figures if not name.startswith("test_"))


def examined(x, y, *layers, loss, names=(), rows=None):
    """The evaluation of a model whose last layer is Dense with the identity as its kernel."""
    nodes = [Node("flat", Flatten(), (INPUT,))]
    for number, layer in enumerate(layers):
        nodes.append(Node(f"layer{number}", layer, (nodes[-1].name,)))
    network = Network(Model(x.shape[1:], tuple(nodes)), loss, batch_size=3)
    size = x[0].size
    network.load({"layer0/kernel": np.eye(size, layers[0].units), "layer0/bias": np.zeros(layers[0].units)})
    split = Split(x, y, "own.npz", "x_test", start=10, rows=rows)
    return examine(network, Feed(split, 1.0, loss, network.inputs, network.targets), [], "test", names)


def test_scores_and_labels_are_kept_in_the_order_of_the_split_with_their_images():
    x = np.random.default_rng(1).standard_normal((8, 1, 1, 3)).astype(np.float32)
    y, rows = np.array([0, 1, 2, 0, 1, 2, 0, 1]), np.array([6, 1, 3, 0, 7])
    loss = CategoricalCrossentropy()
    made = examined(x, y, Dense(units=3), Activation(activation="softmax"), loss=loss, names=["a", "b", "c"], rows=rows)
    chosen = x[rows, 0, 0]
    assert made.scores.dtype == np.float32
    assert made.scores == pytest.approx(np.exp(chosen) / np.exp(chosen).sum(1, keepdims=True), rel=1e-5)
    assert made.labels.tolist() == y[rows].tolist()
    assert made.predicted.tolist() == chosen.argmax(1).tolist()
    assert made.image(3).tolist() == x[0].tolist()
    wrong = np.flatnonzero(made.predicted != made.labels)
    assert sorted(mistake.position for mistake in made.mistakes) == wrong.tolist()
    for mistake in made.mistakes:
        assert mistake.index == 10 + rows[mistake.position]
        assert mistake.probability == made.scores[mistake.position].max()
    assert [each.probability for each in made.mistakes] == sorted(
        (each.probability for each in made.mistakes), reverse=True
    )


def test_mistakes_of_multi_label_models_name_the_wrong_labels_the_worst_first():
    given = np.array([[0.9, 0.2, 0.6], [0.4, 0.8, 0.1], [0.7, 0.7, 0.3]], np.float32)
    y = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)
    made = examined(given[:, None, None], y, Dense(units=3), loss=BinaryCrossentropy(), names=["cat", "dog", "owl"])
    assert made.scores == pytest.approx(given)
    assert (made.labels.dtype, made.labels.tolist()) == (np.uint8, y.astype(int).tolist())
    assert made.confusion is None
    first, second = made.mistakes
    assert (first.index, first.label, first.predicted, first.wrong) == (11, "cat", "dog", ("dog", "cat"))
    assert first.probability == pytest.approx(0.8)
    assert (second.label, second.predicted, second.wrong) == ("dog", "cat dog", ("cat",))
    assert [(row.precision, row.recall, row.support) for row in made.rows()] == [
        (0.5, 0.5, 2),
        (0.5, 1.0, 1),
        (1.0, 1.0, 1),
    ]


def test_the_single_column_of_a_table_of_labels_names_the_second_of_two_classes():
    x = np.array([0.2, 0.9], np.float32).reshape(2, 1, 1, 1)
    made = examined(x, np.array([[0], [1]], np.float32), Dense(units=1), loss=BinaryCrossentropy(), names=["cat"])
    assert [row.name for row in made.rows()] == ["not cat", "cat"]
    assert made.mistakes == []


def test_ten_thousand_samples_of_a_thousand_classes_are_measured_without_a_copy_of_the_scores():
    random = np.random.default_rng(2)
    scores, labels = random.random((10_000, 1000), np.float32), random.integers(0, 1000, 10_000)
    matrix = confusion_matrix(labels, class_numbers(scores), 1000)
    made = Evaluation("test", 10_000, {}, list(map(str, range(1000))), matrix, [], scores=scores, labels=labels)
    tracemalloc.start()
    made.rows()
    made.calibration()
    made.best_thresholds(7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.scores is scores
    assert peak < scores.nbytes / 4
