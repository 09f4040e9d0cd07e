"""Merges read what is broadcast for them from before the broadcast: the same bits, less memory."""

import pytest

from cnncli.graph import objective as module
from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.objective import objective
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from cnncli.ops.merging import Add, Broadcast, Merge, Multiply
from tests.graph.test_fusion import computed

layers()
LOSS = LOSSES.parse("categorical_crossentropy")


def model(*entries):
    """A convolution, then layers (name, type, arguments, inputs), then a classifier of three classes."""
    nodes = [
        ("conv", "Conv2D", {"filters": 20, "kernel_size": 3}, (INPUT,)),
        *entries,
        ("pool", "GlobalAveragePooling2D", {}, (entries[-1][0],)),
        ("dense", "Dense", {"units": 3, "activation": "softmax"}, ("pool",)),
    ]
    made = [Node(name, LAYERS.parse({kind: arguments}), inputs) for name, kind, arguments, inputs in nodes]
    return Model((9, 10, 3), tuple(made))


EXCITED = model(
    ("mean", "GlobalAveragePooling2D", {"keepdims": True}, ("conv",)),
    ("gate", "Conv2D", {"filters": 20, "kernel_size": 1, "activation": "sigmoid"}, ("mean",)),
    ("multiply", "Multiply", {}, ("conv", "gate")),
)
NORMALIZED = model(("norm", "UnitNormalization", {}, ("conv",)))
GROUPED = model(
    ("parts", "Reshape", {"target_shape": [7, 8, 5, 4]}, ("conv",)),
    ("norm", "UnitNormalization", {"axis": [1, 2, 4]}, ("parts",)),
    ("whole", "Reshape", {"target_shape": [7, 8, 20]}, ("norm",)),
)


@pytest.mark.parametrize("of", [EXCITED, NORMALIZED, GROUPED], ids=["excited", "normalized", "grouped"])
def test_the_results_keep_their_bits(monkeypatch, of):
    results = computed(monkeypatch, of, LOSS, "float32", None)
    monkeypatch.setattr(module, "broadcast_in_kernels", lambda calls, kept: list(calls))
    plain = computed(monkeypatch, of, LOSS, "float32", None)
    assert [array.tobytes() for array in results] == [array.tobytes() for array in plain]


def merged(of):
    """The shapes of the inputs of each merge of a training step."""
    calls = objective(of, LOSS, "train").calls
    return [[type(call.op), *(x.shape for x in call.inputs)] for call in calls if isinstance(call.op, Merge)]


def test_a_training_step_of_squeeze_and_excite_copies_nothing_but_the_first_gradient():
    image, channels = (7, 8, 20), (1, 1, 20)
    assert merged(EXCITED) == [[Multiply, image, channels], [Multiply, image, channels], [Add, image, channels]]
    copies = [call for call in objective(EXCITED, LOSS, "train").calls if isinstance(call.op, Broadcast)]
    assert [call.owner for call in copies] == ["pool"]


def test_short_lines_are_copied_first():
    grouped, groups, lines = (7, 8, 5, 4), (1, 1, 5, 1), (1, 1, 5, 4)
    shapes = [shape for _, *inputs in merged(GROUPED) for shape in inputs]
    assert {grouped, lines} <= set(shapes)
    assert groups not in shapes
