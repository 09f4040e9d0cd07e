import numpy as np

from cnncli.training.metrics.metrics import Accuracy, BinaryAccuracy
from cnncli.training.metrics.statistics import Totals, class_numbers, confusion_matrix


def value(metric, scores, targets):
    """The figure of one batch."""
    totals = Totals()
    totals.add(metric.count(np.array(scores, np.float32), np.array(targets, np.float32)))
    (figure,) = metric.figures(totals.sums()).values()
    return figure


def test_accuracy_compares_the_class_with_the_highest_score_and_takes_the_first_of_equals():
    scores = [[0.1, 0.9], [0.5, 0.5], [0.8, 0.2], [0.3, 0.7]]
    assert value(Accuracy(), scores, [[0, 1], [1, 0], [0, 1], [1, 0]]) == 0.5
    assert value(Accuracy(), scores, [[1, 0], [0, 1], [0, 1], [1, 0]]) == 0


def test_accuracy_of_one_output_asks_for_the_right_side_of_a_half():
    assert value(Accuracy(), [[0.5], [0.51], [0.2], [0.9]], [[0], [1], [1], [1]]) == 0.75


def test_binary_accuracy_is_the_share_of_right_outputs():
    scores, targets = [[0.7, 0.2], [0.1, 0.9]], [[1, 1], [0, 1]]
    assert value(BinaryAccuracy(), scores, targets) == 0.75
    assert value(BinaryAccuracy(threshold=0.8), scores, targets) == 0.5


def test_accuracy_of_maps_is_the_mean_over_their_places():
    scores = np.zeros((1, 2, 2, 3), np.float32)
    scores[..., 1] = 1
    targets = np.zeros_like(scores)
    targets[0, 0, :, 1] = targets[0, 1, :, 2] = 1
    assert value(Accuracy(), scores, targets) == 0.5


def test_figures_are_named_as_in_keras():
    assert [*Accuracy().names(), *BinaryAccuracy().names()] == ["accuracy", "binary_accuracy"]


def test_sums_of_real_numbers_are_exact_in_any_order_and_go_on_from_their_tensors():
    parts = [[1e16, 3.0], [1.0, 0.1], [-1e16, 0.2], [1.0, -3.0]]
    whole, first, second = Totals(), Totals(), Totals()
    for part in parts:
        whole.add({"sum": np.array(part)})
    for part in parts[:2]:
        first.add({"sum": np.array(part)})
    second.restore(first.tensors())
    for part in parts[:1:-1]:
        second.add({"sum": np.array(part)})
    assert whole.sums()["sum"].tolist() == second.sums()["sum"].tolist() == [2.0, 0.1 + 0.2]


def test_a_confusion_counts_true_and_predicted_classes_over_batches():
    totals = Totals()
    eye = np.eye(3, dtype=np.float32)
    for predictions, targets in ((eye[[0, 1, 1]], eye[[0, 1, 2]]), (eye[[2, 2]], eye[[2, 0]])):
        totals.add({"matrix": confusion_matrix(class_numbers(targets), class_numbers(predictions), 3)})
    assert totals.sums()["matrix"].tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 1]]
    one = np.array([[0.5], [0.6]], np.float32)
    targets = class_numbers(np.array([[1], [1]], np.float32))
    assert confusion_matrix(targets, class_numbers(one), 2).tolist() == [[0, 0], [1, 1]]
