"""Runs that train nothing: normalizations folded into products, any activation behind a product; same predictions."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from cnncli.graph import network as module
from cnncli.graph.fusion import INFERENCE, folded, fuse, fuse_activation
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.graph.objective import objective
from cnncli.kernels.elementwise.activation_names import CONSTANTS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from cnncli.ops.batch_normalization import FixedNormalization, FoldNormalization
from cnncli.ops.conv import Conv2D
from cnncli.ops.elementwise import Activation
from cnncli.ops.ir import Tape, Value
from cnncli.ops.window import Window
from tests.graph.test_fusion import INPUTS, activation_layer, chain

layers()
BATCH = 5
LOSS = LOSSES.parse("mean_squared_error")
TOLERANCES = [("float64", 1e-12), ("float32", 5e-6)]
PRODUCTS = [
    ("Conv2D", {"filters": 5, "kernel_size": [3, 2], "strides": [2, 1], "padding": "same"}),
    ("Conv2D", {"filters": 33, "kernel_size": 3, "dilation_rate": 2}),
    ("Conv2D", {"filters": 9, "kernel_size": 3, "groups": 3}),
    ("Conv2D", {"filters": 12, "kernel_size": 3, "groups": 6}),  # depthwise, two kernels a channel
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "depth_multiplier": 3}),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}),
    ("Conv2DTranspose", {"filters": 1, "kernel_size": 2, "padding": "same"}),
    ("Dense", {"units": 7}),
]
NORMALIZATIONS = [{}, {"scale": False}, {"center": False, "epsilon": 0.1}, {"scale": False, "center": False}]


def inferred(monkeypatch, model, dtype, rewrites, threads=2):
    """What predicting and evaluating give with random weights and statistics, and the losses."""
    monkeypatch.setattr(module, "objective", partial(objective, rewrites=rewrites))
    network = Network(model, LOSS, batch_size=BATCH, dtype=dtype, threads=threads)
    network.initialize(1)
    rng = np.random.default_rng(2)
    for name, weight in network.tensors().items():
        if name.endswith("variance"):
            weight[...] = rng.uniform(0.2, 2, weight.shape)
        elif not name.endswith("kernel"):
            weight[...] = rng.normal(0.3, 0.6, weight.shape)
    network.inputs[...] = rng.normal(size=network.inputs.shape)
    only(network.targets)[...] = rng.normal(size=only(network.targets).shape)
    network.predict(BATCH)
    predicted = only(network.predictions).copy()
    network.evaluate(BATCH)
    return predicted, only(network.predictions).copy(), network.losses.copy()


def operations(model, rewrites=INFERENCE, purpose="predict"):
    return [call.op for call in objective(model, LOSS, purpose, rewrites).calls]


def agree(plain, other, tolerance):
    for expected, found in zip(plain, other, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


def same_as_unfused(monkeypatch, model, dtype, tolerance, rewrites):
    agree(*(inferred(monkeypatch, model, dtype, table) for table in ((), rewrites)), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: f"{product[0]}-{len(product[1])}")
def test_a_normalization_folded_into_any_product_changes_no_prediction(monkeypatch, product, bias, dtype, tolerance):
    kind, options = product
    for options_after, activation in zip(NORMALIZATIONS, ["linear", "relu", "gelu", "tanh"], strict=True):
        after = [] if activation == "linear" else [activation_layer(activation)]
        model = chain((9, 8, 6), (kind, {**options, "use_bias": bias}), ("BatchNormalization", options_after), *after)
        for table in ([folded], [folded, fuse_activation], [fuse_activation, folded]):
            found = operations(model, table)
            assert any(isinstance(op, FoldNormalization) for op in found)
            assert not any(isinstance(op, FixedNormalization) for op in found)
            last = found[-1].kind if isinstance(found[-1], Activation) else found[-1].activation
            assert last == activation
            assert isinstance(found[-1], Activation) == (activation != "linear" and fuse_activation not in table)
            same_as_unfused(monkeypatch, model, dtype, tolerance, table)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("filters", [8, 33])
def test_a_normalized_block_is_pooled_where_it_is_convolved(monkeypatch, filters, dtype, tolerance):
    model = chain(
        (12, 10, 16),
        ("Conv2D", {"filters": filters, "kernel_size": 3, "padding": "same", "use_bias": False}),
        ("BatchNormalization", {}),
        ("ReLU", {}),
        ("MaxPooling2D", {}),
    )
    fold, block = objective(model, LOSS, "predict").calls
    assert (fold.op.title, fold.owner) == ("FoldNormalization", "layer1")
    assert (block.op.title, block.owner) == ("ConvPool2D", "layer0")
    same_as_unfused(monkeypatch, model, dtype, tolerance, INFERENCE)


@pytest.mark.parametrize("kind", [INPUTS.get(kind, kind) for kind in [*sorted(CONSTANTS), "leaky_relu(0.01)"]])
def test_a_product_takes_any_activation_where_nothing_is_derived(monkeypatch, kind):
    name, after = kind.partition("(")[0], activation_layer(kind)
    model = chain((6, 5, 3), ("Conv2D", {"filters": 6, "kernel_size": 3}), after, ("Dense", {"units": 3}), after)
    first, second = operations(model)
    assert first.activation.startswith(name)
    assert second.activation == first.activation
    same_as_unfused(monkeypatch, model, "float64", 1e-12, INFERENCE)


def test_training_keeps_normalizations_even_frozen_ones():
    model = chain((6, 5, 3), ("Conv2D", {"filters": 6, "kernel_size": 3}), ("BatchNormalization", {"trainable": False}))
    assert any(isinstance(op, FixedNormalization) for op in operations(model, None, "train"))
    for purpose in ("evaluate", "predict"):
        assert not any(isinstance(op, FixedNormalization) for op in operations(model, None, purpose))


def normalized(activation="linear", image=(6, 6, 2), filters=4):
    """A tape with a convolution, an activation, and a normalization; and the values on the way."""
    tape, x = Tape(owner="conv"), Value(image)
    conv = tape.emit(Conv2D(Window((3, 3)), activation=activation), x, Value((3, 3, image[2], filters), batched=False))
    statistics = [Value((filters,), batched=False) for _ in range(4)]
    return tape, conv, statistics, tape.emit(FixedNormalization(0.1, scale=True, center=True), conv, *statistics)


@pytest.mark.parametrize("reader", ["call", "kept"])
def test_a_normalization_stays_where_somebody_reads_what_it_normalizes(reader):
    tape, conv, *_ = normalized()
    if reader == "call":
        tape.emit(Activation("tanh"), conv)
    assert fuse(tape.calls, [folded], [conv] if reader == "kept" else []) == tape.calls


def test_a_normalization_stays_behind_an_activation():
    tape, *_ = normalized(activation="relu")
    assert fuse(tape.calls, [folded]) == tape.calls


def test_of_two_normalizations_in_a_row_one_is_folded():
    tape, _, statistics, between = normalized()
    last = tape.emit(FixedNormalization(0.1, scale=True, center=True), between, *statistics)
    fold, conv, normalization = fuse(tape.calls, INFERENCE)
    assert fold.outputs == conv.inputs[1:]
    assert conv.output is between
    assert normalization.output is last


def test_folded_networks_give_the_same_bits_on_one_thread_and_on_two(monkeypatch):
    for product in PRODUCTS:
        model = chain((9, 8, 6), product, ("BatchNormalization", {}), activation_layer("silu"))
        one, two = (inferred(monkeypatch, model, "float32", None, threads) for threads in (1, 2))
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_comparison_notices_another_epsilon(monkeypatch):
    def wrong(call, around):
        normalization = isinstance(call.op, FixedNormalization)
        return folded(replace(call, op=replace(call.op, epsilon=0.0011)) if normalization else call, around)

    model = chain((9, 8, 6), PRODUCTS[0], ("BatchNormalization", {}))
    with pytest.raises(AssertionError):
        same_as_unfused(monkeypatch, model, "float32", 5e-6, [wrong])
