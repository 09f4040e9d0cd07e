"""What images are multiplied by, where the model scales them itself and where it does not."""

import pytest

from cnncli.datasets.rescale import rescale_for, rescaling_layer
from cnncli.graph.model import INPUT, Model, Node
from cnncli.layers.layer import LAYERS
from cnncli.layers.vocabulary import layers

layers()
RESCALING = {"Rescaling": {"scale": 0.5}}


def model(*entries):
    nodes = tuple(Node(name, LAYERS.parse(entry), inputs) for name, entry, inputs in entries)
    return Model((4, 4, 1), nodes)


BEGINS = model(("a", RESCALING, (INPUT,)), ("b", "Flatten", ("a",)))
LATER = model(("a", "Flatten", (INPUT,)), ("b", RESCALING, ("a",)))
TWICE = model(("a", RESCALING, (INPUT,)), ("b", RESCALING, (INPUT,)), ("c", "Add", ("a", "b")))
BESIDE = model(("a", RESCALING, (INPUT,)), ("b", "Add", ("a", INPUT)))


@pytest.mark.parametrize(("which", "expected"), [(BEGINS, 1.0), (LATER, "auto"), (TWICE, 1.0), (BESIDE, "auto")])
def test_auto_leaves_images_where_all_that_read_them_rescale(which, expected):
    assert rescale_for(which, "auto") == expected
    assert rescaling_layer(which) == ("Rescaling" if expected == 1.0 else "")


def test_a_number_that_is_said_counts_even_so():
    assert rescale_for(BEGINS, 0.25) == 0.25
