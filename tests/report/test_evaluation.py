import numpy as np
import pytest

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.errors import ExpectationError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.network import Network
from cnncli.layers.core import Dense, Flatten
from cnncli.layers.losses import BinaryCrossentropy
from cnncli.report.tables.expectations import judge
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.examination import examine
from cnncli.training.metrics.expectations import Expectation
from cnncli.training.metrics.metrics import Accuracy
from cnncli.training.metrics.mistakes import Mistake, misclassified_csv


def test_precision_recall_and_f1_are_those_counted_by_hand():
    confusion = np.array([[3, 1, 0], [2, 4, 0], [1, 0, 0]])
    made = Evaluation("test", 11, {"loss": 1.0}, ["a", "b", "c"], confusion, [])
    first, second, third = made.rows()
    assert (first.precision, first.recall, first.f1) == (3 / 6, 3 / 4, 2 * 3 / (6 + 4))
    assert (second.precision, second.recall, second.support) == (4 / 5, 4 / 6, 6)
    assert (third.precision, third.recall, third.f1) == (None, 0.0, 0.0)


def test_misclassified_samples_are_written_in_the_order_of_the_data():
    text = misclassified_csv([Mistake(3, "a", "b,c", 0.75), Mistake(9, "b", "a", 0.5)])
    assert text == 'index,label,predicted,probability\n3,a,"b,c",0.75\n9,b,a,0.5\n'


def test_logits_are_judged_as_the_probabilities_that_they_mean_and_metrics_count_the_logits_as_in_keras():
    loss = BinaryCrossentropy(from_logits=True)
    model = Model((1, 1, 1), (Node("flat", Flatten(), (INPUT,)), Node("out", Dense(units=1), ("flat",))))
    network = Network(model, loss, batch_size=4)
    network.load({"out/kernel": np.ones((1, 1)), "out/bias": np.zeros(1)})
    logits = np.array([-1, 0.3, 0.3, 2], np.float32).reshape(4, 1, 1, 1)
    split = Split(logits, np.array([0, 1, 0, 1]), "own.npz", "x_test")
    feed = Feed(split, 1.0, loss, network.inputs, network.targets)
    made = examine(network, feed, [Accuracy()], "test", ["no", "yes"])
    assert made.confusion.tolist() == [[1, 1], [0, 2]]  # 0.3 is beyond a half
    assert [(m.index, m.label, m.predicted) for m in made.mistakes] == [(2, "no", "yes")]
    assert made.mistakes[0].probability == pytest.approx(1 / (1 + np.exp(-0.3)))
    assert made.figures["accuracy"] == 0.75  # which compares 0.3 itself with 0.5
    assert made.figures["loss"] == pytest.approx(np.logaddexp(0, [-1, -0.3, 0.3, -2]).mean())


def test_every_condition_that_is_not_met_is_named():
    conditions = [Expectation("accuracy", ">=", 0.9), Expectation("loss", "<", 1.0), Expectation("f1", ">", 0.0)]
    judge("train", conditions[1:2], {"loss": 0.5})
    with pytest.raises(ExpectationError) as caught:
        judge("train", conditions, {"accuracy": 0.8, "loss": 0.5})
    assert str(caught.value) == (
        "trained and saved, but accuracy is 0.8 and the spec expects >= 0.9; "
        "there is no figure 'f1' for 'f1 > 0.0'; there are accuracy, loss"
    )
