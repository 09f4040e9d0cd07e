"""Where nothing is trained, a 1×1 convolution and a depthwise one are one operation, with the same bits."""

import pytest

from cnncli.graph.fusion import INFERENCE, PAIRS
from cnncli.ops.conv import Conv2D
from cnncli.ops.depthwise import DepthwiseConv2D
from cnncli.ops.separable import ExpandedDepthwise, Pair, SeparableConv2D
from tests.graph.test_folding import inferred, operations
from tests.graph.test_shortcuts import convolution, model

APART = [rewrite for rewrite in INFERENCE if rewrite not in PAIRS]


def depthwise(**options: object) -> dict:
    return {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same", **options}}


INVERTED = model(
    ("expand", convolution(filters=40, kernel_size=1, use_bias=False), ("input",)),
    ("normal", {"BatchNormalization": {}}, ("expand",)),
    ("relu", {"ReLU": {"max_value": 6}}, ("normal",)),
    ("depthwise", depthwise(strides=2, use_bias=False), ("relu",)),
    ("normal_2", {"BatchNormalization": {}}, ("depthwise",)),
    ("relu_2", {"ReLU": {"max_value": 6}}, ("normal_2",)),
    ("project", convolution(kernel_size=1), ("relu_2",)),
    ("depthwise_2", depthwise(kernel_size=5), ("project",)),
    ("pointwise", convolution(filters=24, kernel_size=1, activation="relu"), ("depthwise_2",)),
)


@pytest.mark.parametrize("threads", [1, 2])
def test_both_are_one_operation_with_the_same_bits(monkeypatch, threads) -> None:
    found = [op for op in operations(INVERTED) if isinstance(op, Conv2D | DepthwiseConv2D | Pair)]
    assert [(type(op), op.title) for op in found] == [
        (ExpandedDepthwise, "Conv2D + relu6 + DepthwiseConv2D + relu6"),
        (Conv2D, "Conv2D"),
        (SeparableConv2D, "DepthwiseConv2D + Conv2D + relu"),
    ]
    apart, joined = (inferred(monkeypatch, INVERTED, "float32", table, threads) for table in (APART, INFERENCE))
    assert [array.tobytes() for array in joined] == [array.tobytes() for array in apart]


@pytest.mark.parametrize(
    ("expansion", "filtering"),
    [
        (convolution(filters=40), depthwise()),  # not of single pixels
        (convolution(filters=40, kernel_size=1, strides=2), depthwise()),
        (convolution(filters=40, kernel_size=1, groups=2), depthwise()),
        (convolution(filters=40, kernel_size=1, activation="silu"), depthwise()),
        (convolution(filters=40, kernel_size=1), depthwise(activation="silu")),
        (convolution(filters=40, kernel_size=1), depthwise(kernel_size=2)),
        (convolution(filters=40, kernel_size=1), depthwise(dilation_rate=2)),
        (convolution(filters=40, kernel_size=1), depthwise(use_bias=False)),
        (convolution(filters=32, kernel_size=1), depthwise()),  # not much wider than 16 channels
    ],
)
def test_others_stay_apart(expansion, filtering) -> None:
    found = operations(model(("x", expansion, ("input",)), ("y", filtering, ("x",))))
    assert not any(isinstance(op, Pair) for op in found)


def test_an_expanded_image_that_is_read_elsewhere_is_stored() -> None:
    nodes = ("x", convolution(filters=40, kernel_size=1), ("input",)), ("y", depthwise(), ("x",))
    found = operations(model(*nodes, ("both", {"Concatenate": {}}, ("x", "y"))))
    assert not any(isinstance(op, Pair) for op in found)
    training = operations(model(*nodes), None, "train")
    assert not any(isinstance(op, Pair) for op in training)


@pytest.mark.parametrize(("filters", "together"), [(512, True), (2048, False)])
def test_a_small_image_that_is_multiplied_by_much_is_filtered_before(filters, together) -> None:
    pointwise = convolution(filters=filters, kernel_size=1)
    found = operations(model(("x", depthwise(), ("input",)), ("y", pointwise, ("x",))))
    assert any(isinstance(op, SeparableConv2D) for op in found) == together
