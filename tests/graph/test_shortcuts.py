"""Where nothing is trained, a shortcut is added where the other summand is convolved: fewer passes, the same bits."""

import pytest

from cnncli.graph.fusion import INFERENCE, sum_after_product
from cnncli.graph.model import Model, Node
from cnncli.ops.conv import Conv2D
from cnncli.ops.merging import Add
from tests.graph.test_folding import inferred, operations, same_as_unfused
from tests.graph.test_fusion import LAYERS

APART = [rewrite for rewrite in INFERENCE if rewrite is not sum_after_product]


def model(*nodes: tuple[str, dict, tuple[str, ...]]) -> Model:
    made = [Node(name, LAYERS.parse(entry), inputs) for name, entry, inputs in nodes]
    return Model((7, 6, 16), tuple(made))


def convolution(**options: object) -> dict:
    return {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same", **options}}


RESIDUAL = model(
    ("winograd", convolution(use_bias=False), ("input",)),
    ("normal", {"BatchNormalization": {}}, ("winograd",)),
    ("sum", {"Add": {}}, ("normal", "input")),
    ("relu", {"ReLU": {}}, ("sum",)),
    ("pointwise", convolution(kernel_size=1), ("relu",)),
    ("sum_2", {"Add": {}}, ("relu", "pointwise")),
    ("gelu", {"Activation": {"activation": "gelu"}}, ("sum_2",)),
    ("direct", convolution(groups=2), ("gelu",)),
    ("sum_3", {"Add": {}}, ("direct", "gelu")),
    ("main", convolution(filters=20, strides=2), ("sum_3",)),
    ("shortcut", convolution(filters=20, kernel_size=1, strides=2), ("sum_3",)),
    ("sum_4", {"Add": {}}, ("main", "shortcut")),
)


@pytest.mark.parametrize("threads", [1, 2])
def test_shortcuts_are_added_by_convolutions_with_the_same_bits(monkeypatch, threads) -> None:
    found = operations(RESIDUAL)
    assert not any(isinstance(op, Add) for op in found)
    assert [op.title for op in found if isinstance(op, Conv2D) and op.adds] == [
        "Conv2D + add + relu",
        "Conv2D + add + gelu",
        "Conv2D + add",
        "Conv2D + add",
    ]
    apart, joined = (inferred(monkeypatch, RESIDUAL, "float32", table, threads) for table in (APART, INFERENCE))
    assert [array.tobytes() for array in joined] == [array.tobytes() for array in apart]
    same_as_unfused(monkeypatch, RESIDUAL, "float64", 1e-12, INFERENCE)


@pytest.mark.parametrize(
    ("between", "summands"),
    [
        (convolution(activation="relu"), ("x", "input")),  # the activation is of the convolution, not of the sum
        (convolution(), ("x", "x")),
        (convolution(), ("x", "input", "input")),
        (convolution(filters=1), ("x", "input")),  # broadcast
        ({"DepthwiseConv2D": {"kernel_size": 3, "padding": "same"}}, ("x", "input")),
    ],
)
def test_other_sums_stay_apart(between, summands) -> None:
    assert operations(model(("x", between, ("input",)), ("sum", {"Add": {}}, summands)))[-1] == Add()


def test_a_convolution_that_is_read_elsewhere_stays_without_a_summand() -> None:
    nodes = ("x", convolution(), ("input",)), ("sum", {"Add": {}}, ("x", "input"))
    found = operations(model(*nodes, ("both", {"Concatenate": {}}, ("x", "sum"))))
    assert Add() in found


def test_training_adds_shortcuts_in_an_operation_of_its_own() -> None:
    assert Add() in operations(RESIDUAL, None, "train")
