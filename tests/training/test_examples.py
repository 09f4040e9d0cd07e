"""Examples of outputs that are images or masks: the worst and the typical ones, by errors computed here."""

import numpy as np
import pytest

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.network import Network
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import LAYERS
from cnncli.training.metrics import examples
from cnncli.training.metrics.statistics import class_numbers


def network_of(layer, loss, channels, batch_size=4):
    """A network of one layer, which has no weights, on images of 3 × 2 pixels."""
    model = Model((3, 2, channels), (Node("only", LAYERS.parse(layer), (INPUT,)),))
    return Network(model, LOSSES.parse(loss), batch_size=batch_size)


def read(layer, loss, x, y, **options):
    network = network_of(layer, loss, x.shape[-1])
    split = Split(x, y, "made", "x_test")
    feed = Feed(split, 1.0, network.loss, network.inputs, network.targets)
    return examples.examples(network, feed, **options)


def test_of_images_the_mean_squared_error_decides():
    x = np.random.default_rng(0).random((10, 3, 2, 1)).astype(np.float32)
    found = read({"Rescaling": {"scale": 0.5}}, "mean_squared_error", x, None, masks=False, each=3)
    errors = (0.25 * x.astype(np.float64) ** 2).mean((1, 2, 3))
    order = np.argsort(-errors).tolist()
    assert [example.position for example in found.worst] == order[:3]
    assert [example.position for example in found.typical] == order[3:6]
    assert found.looked_at == 10
    for example in [*found.worst, *found.typical]:
        assert example.error == pytest.approx(errors[example.position])
        assert np.array_equal(example.fed, x[example.position])
        assert np.array_equal(example.target, x[example.position])
        assert np.array_equal(example.output, x[example.position] * np.float32(0.5))


def test_of_masks_the_share_of_wrong_pixels_decides():
    random = np.random.default_rng(1)
    x = random.random((9, 3, 2, 2)).astype(np.float32)
    y = random.integers(0, 2, (9, 3, 2)).astype(np.uint8)
    found = read({"Activation": {"activation": "linear"}}, "categorical_crossentropy", x, y, masks=True, each=2)
    wrong = (x.argmax(-1) != y).mean((1, 2))
    assert [example.error for example in found.worst] == pytest.approx(sorted(wrong, reverse=True)[:2])
    for example in [*found.worst, *found.typical]:
        assert example.error == pytest.approx(wrong[example.position])
        assert class_numbers(example.target).tolist() == y[example.position].tolist()


def test_few_inputs_are_all_worst():
    x = np.ones((2, 3, 2, 1), np.float32)
    found = read({"Rescaling": {"scale": 0.5}}, "mean_squared_error", x, None, masks=False)
    assert ([example.position for example in found.worst], found.typical) == ([0, 1], [])


def test_of_many_inputs_some_are_looked_at_from_the_first_to_the_last(monkeypatch):
    monkeypatch.setattr(examples, "LOOKED_AT", 5)
    x = np.zeros((21, 3, 2, 1), np.float32)
    x[20] = 1
    found = read({"Rescaling": {"scale": 0.5}}, "mean_squared_error", x, None, masks=False, each=1)
    assert found.looked_at == 5
    assert [example.position for example in found.worst] == [20]
