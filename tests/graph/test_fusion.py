"""Every rewrite of the table: a network computes the same with it as without any."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from cnncli.graph import network as module
from cnncli.graph.fusion import INFERENCE, TRAINING, conv_relu_pool, fuse, fuse_activation_training
from cnncli.graph.model import Model, Node, only
from cnncli.graph.network import Network
from cnncli.graph.objective import objective
from cnncli.kernels.elementwise.activation_names import CONSTANTS, OF_INPUT, parts
from cnncli.layers.activation_functions import ACTIVATIONS
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from cnncli.ops.conv import Conv2D
from cnncli.ops.conv_pool import POOL, ConvPool2D
from cnncli.ops.dense import Dense
from cnncli.ops.elementwise import Activation, Softmax
from cnncli.ops.ir import Folding, Op, Tape, Value
from cnncli.ops.merging import Affine
from cnncli.ops.pooling import MaxPool2D
from cnncli.ops.window import Window

layers()
CASES = 12
BATCH = 5


def chain(input_shape, *entries):
    """A model of layers one after the other, from (type, arguments)."""
    names = ["input", *(f"layer{number}" for number in range(len(entries)))]
    nodes = [
        Node(name, LAYERS.parse({kind: arguments}), (before,))
        for (kind, arguments), before, name in zip(entries, names, names[1:], strict=False)
    ]
    return Model(input_shape, tuple(nodes))


def activation_layer(kind):
    """The layer that has the activation `kind` of the kernels."""
    name, constants = parts(kind)
    if name == "gelu_tanh":
        return "Activation", {"activation": {"gelu": {"approximate": True}}}
    if name == "clipped_relu":
        most, slope, threshold = constants
        return "ReLU", {"max_value": most, "negative_slope": slope, "threshold": threshold}
    name = {"elu_of_input": "elu"}.get(name, name)
    arguments = dict(zip(ACTIVATIONS.classes[name].fields, constants, strict=False))
    return "Activation", {"activation": {name: arguments} if arguments else name}


def random_model(seed, activation):
    """Two blocks of convolution and pooling with random options, then a classifier; every rewrite has its place."""
    rng = np.random.default_rng(seed)

    def convolution(most):
        return {
            "filters": int(rng.choice([1, 3, 8, 17, 33])),
            "kernel_size": [int(size) for size in rng.integers(1, most, 2)],
            "strides": [int(size) for size in rng.integers(1, 3, 2)],
            "padding": str(rng.choice(["same", "valid"])),
            "use_bias": bool(rng.integers(2)),
            "activation": "relu",
        }

    shape = (*(int(size) for size in rng.integers(15, 22, 2)), int(rng.choice([1, 2, 3, 16])))
    return chain(
        shape,
        ("Conv2D", convolution(5)),
        ("MaxPooling2D", {}),
        ("Conv2D", {**convolution(3), "strides": 1, "padding": "same"}),
        ("MaxPooling2D", {}),
        ("Flatten", {}),
        ("Dense", {"units": 3, "activation": activation}),
    )


def computed(monkeypatch, model, loss, dtype, rewrites, threads=2):
    """Loss, predictions of the three programs, and all gradients, with a table of rewrites of one's own."""
    monkeypatch.setattr(module, "objective", partial(objective, rewrites=rewrites))
    network = Network(model, loss, batch_size=BATCH, dtype=dtype, threads=threads)
    network.initialize(1)
    rng = np.random.default_rng(2)
    for name, weight in network.weights.tensors().items():
        if name.endswith("bias"):
            weight[...] = rng.normal(0, 0.1, weight.shape)
    network.inputs[...] = rng.normal(size=network.inputs.shape)
    only(network.targets)[...] = np.eye(3)[rng.integers(0, 3, BATCH)]
    results = []
    for run in (network.predict, network.evaluate, lambda n: network.train_step(n, 0, 1)):
        run(BATCH)
        results.append(only(network.predictions).copy())
    return [*results, network.losses.copy(), *(array.copy() for array in network.gradients.tensors().values())]


@pytest.mark.parametrize("rewrite", TRAINING)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 2e-5)])
def test_a_rewrite_changes_operations_but_no_result(monkeypatch, rewrite, dtype, tolerance):
    applied = 0
    for seed in range(CASES):
        for activation, name in (("softmax", "categorical_crossentropy"), ("sigmoid", "binary_crossentropy")):
            model, loss = random_model(seed, activation), LOSSES.parse(name)
            operations = [
                [call.op for call in objective(model, loss, "train", table).calls] for table in ((), (rewrite,))
            ]
            if operations[0] == operations[1]:
                continue
            applied += 1
            plain, fused = (computed(monkeypatch, model, loss, dtype, table) for table in ((), (rewrite,)))
            for expected, got in zip(plain, fused, strict=True):
                bound = tolerance * max(1, np.abs(expected).max())
                np.testing.assert_allclose(got, expected, rtol=0, atol=bound)
    assert applied >= CASES


def test_the_gradient_of_the_input_is_the_same_too():
    # A network's first layer asks for none; the second block's, which the test above goes through, is inside.
    model = random_model(0, "softmax")
    calls = objective(model, LOSSES.parse("categorical_crossentropy"), "train").calls
    assert [type(call.op).__name__ for call in calls].count("ConvPool2DGradInput") == 1


def block(**changes):
    """A tape with a convolution block that can be fused, unless changed; and the values on the way."""
    options = {"window": Window((3, 3)), "groups": 1, "activation": "relu", "pool": POOL, "filters": 4} | changes
    tape, x = Tape(owner="conv"), Value((9, 9, 2))
    kernel = Value((3, 3, 2 // options["groups"], options["filters"]), batched=False)
    conv = tape.emit(Conv2D(options["window"], options["groups"]), x, kernel)
    relu = tape.emit(Activation(options["activation"]), conv)
    return tape, conv, relu, tape.emit(MaxPool2D(options["pool"]), relu)


def test_a_block_becomes_one_operation_that_belongs_to_the_convolution():
    tape, *_, pooled = block()
    (call,) = fuse(tape.calls, TRAINING)
    assert call.op == ConvPool2D(Window((3, 3)))
    assert call.output is pooled
    assert call.outputs[1].dtype == "uint8"
    assert call.owner == "conv"


@pytest.mark.parametrize(
    "changes",
    [
        {"groups": 2},
        {"window": Window((3, 3), dilation=(1, 2))},
        {"activation": "tanh"},
        {"pool": Window((2, 2), (1, 2))},
        {"pool": Window((3, 3), (2, 2))},
        {"pool": Window((2, 2), (2, 2), "same")},
    ],
)
def test_a_block_that_the_kernel_does_not_cover_stays_as_it_is(changes):
    tape, *_ = block(**changes)
    assert fuse(tape.calls, [conv_relu_pool]) == tape.calls


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("reader", ["call", "kept"])
def test_a_block_stays_as_it_is_where_somebody_reads_what_lies_inside(which, reader):
    tape, *inside, _ = block()
    kept = [inside[which]] if reader == "kept" else []
    if reader == "call":
        tape.emit(Activation("tanh"), inside[which])
    assert fuse(tape.calls, [conv_relu_pool], kept) == tape.calls


OF_OUTPUT = ("leaky_relu(0.01)", "celu(0.3)", "hard_shrink(0.1)", "soft_shrink(0.1)", "squareplus(0.5)")


@pytest.mark.parametrize("kind", [*sorted(CONSTANTS.keys() - OF_INPUT - {"exponential"}), *OF_OUTPUT])
def test_a_product_with_its_activation_computes_the_same(monkeypatch, kind):
    after = activation_layer(kind)
    model = chain(
        (9, 8, 3),
        ("Conv2D", {"filters": 6, "kernel_size": 3, "groups": 3, "padding": "same"}),
        after,
        ("Conv2D", {"filters": 5, "kernel_size": 3, "strides": 2, "use_bias": False}),
        after,
        ("DepthwiseConv2D", {"kernel_size": 3, "padding": "same"}),
        after,
        ("Conv2DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}),
        after,
        ("Dense", {"units": 7}),
        after,
        ("Flatten", {}),
        ("Dense", {"units": 3}),
        after,
    )
    loss = LOSSES.parse("mean_squared_error")
    fused = objective(model, loss, "train", [fuse_activation_training]).calls
    activations = [getattr(call.op, "activation", "linear") for call in fused]
    assert [name for name in activations if name != "linear"] == [kind] * 6
    assert not any(isinstance(call.op, Activation) for call in fused)
    plain, got = (computed(monkeypatch, model, loss, "float32", table) for table in ((), (fuse_activation_training,)))
    for expected, found in zip(plain, got, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))


INPUTS = {"clipped_relu": "clipped_relu(2.0, 0.1, 0.3)", "elu_of_input": "elu_of_input(-1.5)"}
INPUTS |= {"threshold": "threshold(0.1, -0.2)"}


@pytest.mark.parametrize("kind", [INPUTS.get(kind, kind) for kind in sorted(OF_INPUT)])
def test_a_normalization_recomputes_an_activation_s_input_and_a_product_saves_its_slopes(monkeypatch, kind):
    after = activation_layer(kind)
    model = chain(
        (6, 5, 3),
        ("Conv2D", {"filters": 6, "kernel_size": 3}),
        after,
        ("BatchNormalization", {}),
        after,
        ("BatchNormalization", {"trainable": False}),
        after,
        ("DepthwiseConv2D", {"kernel_size": 3, "padding": "same"}),
        after,
        ("Conv2DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}),
        after,
        ("Conv2D", {"filters": 17, "kernel_size": 3, "padding": "same"}),
        after,
        ("Flatten", {}),
        ("Dense", {"units": 3}),
        after,
    )
    loss = LOSSES.parse("mean_squared_error")
    fused = objective(model, loss, "train", [fuse_activation_training]).calls
    found = [len(call.outputs) for call in fused if getattr(call.op, "activation", None) == kind]
    assert found == [2, 4, 1, 2, 2, 2, 2]
    assert not any(isinstance(call.op, Activation) for call in fused)
    plain, got = (computed(monkeypatch, model, loss, "float32", table) for table in ((), (fuse_activation_training,)))
    for expected, found in zip(plain, got, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("after", ["relu", "layer"])
def test_a_relu_layer_behind_a_convolution_is_the_convolution_s_activation(after):
    kind = {"activation": "relu"} if after == "relu" else {}
    layers = [("Conv2D", {"filters": 4, "kernel_size": 3, **kind}), *([("ReLU", {})] if after == "layer" else [])]
    model = chain((8, 8, 2), *layers, ("MaxPooling2D", {}), *layers, ("Flatten", {}), ("Dense", {"units": 3}))
    calls = objective(model, LOSSES.parse("mean_squared_error"), "predict").calls
    assert [call.op.title for call in calls] == ["ConvPool2D", "Conv2D + relu", "Reshape", "Dense"]
    six = chain((8, 8, 2), layers[0], ("ReLU", {"max_value": 6.0}))
    if after == "layer":
        assert [call.op.title for call in objective(six, LOSSES.parse("mse"), "predict").calls] == ["Conv2D + relu6"]


class Steep(Affine):
    """An operation that says that it is an activation."""

    @property
    def as_activation(self):
        return "relu"


class Doubled(Affine):
    """An operation that says how it goes into a product before it: by other weights, with a tanh behind."""

    def folding(self, inner):
        return Folding(DoubledWeights(inner), "tanh")


@dataclass(frozen=True)
class DoubledWeights(Op):
    inner: int

    def infer(self, *inputs):
        return inputs[0].like(), inputs[0].like((self.inner,))


def test_an_operation_says_itself_what_it_can_be_put_together_with():
    tape, x, kernel = Tape(), Value((4,)), Value((4, 2), batched=False)
    dense = tape.emit(Dense(), x, kernel)
    steep = tape.emit(Steep(2.0), dense)
    (one,) = fuse(tape.calls, TRAINING)
    assert (one.op, one.output) == (Dense(activation="relu"), steep)
    del tape.calls[1]
    doubled = tape.emit(Doubled(2.0), dense)
    assert fuse(tape.calls, TRAINING) == tape.calls
    weights, product = fuse(tape.calls, INFERENCE)
    assert (weights.op, weights.inputs) == (DoubledWeights(1), (kernel,))
    assert (product.op, product.inputs, product.output) == (Dense(activation="tanh"), (x, *weights.outputs), doubled)


@pytest.mark.parametrize("reader", ["call", "kept"])
def test_a_product_stays_as_it_is_where_somebody_reads_it_before_its_activation(reader):
    tape, x = Tape(owner="dense"), Value((4,))
    dense = tape.emit(Dense(), x, Value((4, 2), batched=False))
    tape.emit(Activation("tanh"), dense)
    if reader == "call":
        tape.emit(Softmax(), dense)
    kept = [dense] if reader == "kept" else []
    for table in (TRAINING, INFERENCE):
        assert fuse(tape.calls, table, kept) == tape.calls


def test_a_second_activation_stays_an_operation():
    tape, x = Tape(owner="dense"), Value((4,))
    dense = tape.emit(Dense(), x, Value((4, 2), batched=False))
    last = tape.emit(Activation("relu"), tape.emit(Activation("tanh"), dense))
    first, second = fuse(tape.calls, TRAINING)
    assert (first.op, second.op, second.output) == (Dense(activation="tanh"), Activation("relu"), last)


def test_a_prediction_that_is_a_block_s_inside_is_still_made():
    # Outside of training the last layer hands on what it reads: the output is the convolution's activation.
    entries = [
        ("conv", ("input",), "Conv2D", {"filters": 3, "kernel_size": 3, "activation": "relu"}),
        ("pool", ("conv",), "MaxPooling2D", {}),
        ("out", ("conv",), "Dropout", {"rate": 0.5}),
    ]
    nodes = [Node(name, LAYERS.parse({kind: arguments}), inputs) for name, inputs, kind, arguments in entries]
    network = Network(Model((6, 6, 1), tuple(nodes)), LOSSES.parse("mean_squared_error"), batch_size=1)
    network.initialize(0)
    network.inputs[...] = np.random.default_rng(0).normal(size=(1, 6, 6, 1))
    network.evaluate(1)
    expected = only(network.predictions).copy()
    assert expected.any()
    network.predict(1)
    np.testing.assert_array_equal(only(network.predictions), expected)


def test_fused_networks_give_the_same_bits_on_one_thread_and_on_two(monkeypatch):
    for seed in range(CASES):
        model, loss = random_model(seed, "softmax"), LOSSES.parse("categorical_crossentropy")
        one, two = (computed(monkeypatch, model, loss, "float32", None, threads) for threads in (1, 2))
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_comparison_notices_a_rewrite_that_is_wrong(monkeypatch):
    def wrong(call, around):
        result = conv_relu_pool(call, around)
        if result is None:
            return None
        ((fused,), unneeded) = result
        return [replace(fused, inputs=fused.inputs[:2])], unneeded

    with pytest.raises(AssertionError):
        test_a_rewrite_changes_operations_but_no_result(monkeypatch, wrong, "float64", 1e-10)
