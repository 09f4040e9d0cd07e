import numpy as np
import pytest

from cnncli.training.metrics import Accuracy, BinaryAccuracy


def test_accuracy_compares_the_greatest_score_with_the_class_and_takes_the_first_of_equals():
    scores = np.array([[0.1, 0.9], [0.5, 0.5], [0.8, 0.2]], np.float32)
    assert Accuracy().total(scores, np.array([[0, 1], [1, 0], [0, 1]], np.float32)) == 2
    assert Accuracy().total(scores, np.array([[1, 0], [0, 1], [0, 1]], np.float32)) == 0


def test_accuracy_of_one_output_asks_for_the_right_side_of_a_half():
    scores = np.array([[0.5], [0.51], [0.2], [0.9]], np.float32)
    assert Accuracy().total(scores, np.array([[0], [1], [1], [1]], np.float32)) == 3


def test_binary_accuracy_is_each_samples_share_of_right_outputs():
    scores = np.array([[0.7, 0.2], [0.1, 0.9]], np.float32)
    targets = np.array([[1, 1], [0, 1]], np.float32)
    assert BinaryAccuracy().total(scores, targets) == 1.5
    assert BinaryAccuracy(threshold=0.8).total(scores, targets) == 1


def test_accuracy_of_maps_is_the_mean_over_their_places():
    scores = np.zeros((1, 2, 2, 3), np.float32)
    scores[..., 1] = 1
    targets = np.zeros_like(scores)
    targets[0, 0, :, 1] = targets[0, 1, :, 2] = 1
    assert Accuracy().total(scores, targets) == pytest.approx(0.5)


def test_figures_are_named_as_in_keras():
    assert [Accuracy().figure, BinaryAccuracy().figure] == ["accuracy", "binary_accuracy"]
