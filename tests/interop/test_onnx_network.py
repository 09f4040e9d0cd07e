"""What ONNX Runtime is asked to build. Shapes and layouts follow from the documentation of ONNX' operators."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.datasets.rescale import rescale_for
from cnncli.errors import UsageError
from cnncli.graph.model import INPUT, Model, Node, only
from cnncli.graph.network import Network
from cnncli.interop.onnx.network import translate
from cnncli.layers.layer import Layer
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import LAYERS
from cnncli.ops.elementwise import Dropout
from cnncli.spec.spec import load

ROOT = Path(__file__).parents[2]


def graph(shape, *layers):
    """The graph of layers (name, entry, inputs), after a way through JSON."""
    nodes = (
        Node(name, entry if isinstance(entry, Layer) else LAYERS.parse(entry), inputs) for name, entry, inputs in layers
    )
    return json.loads(json.dumps(translate(Model(shape, tuple(nodes)))))


def chain(shape, *entries):
    """The graph of a chain of layers l0, l1 …"""
    names = [INPUT, *(f"l{number}" for number in range(len(entries)))]
    return graph(
        shape,
        *((name, entry, (before,)) for name, before, entry in zip(names[1:], names, entries, strict=False)),
    )


def operators(made):
    return [node["operator"] for node in made["nodes"]]


def constant(made, name):
    return made["constants"][name]


def laid_out(made, name, ours):
    """A weight of ours as the graph wants it."""
    how = made["weights"][name]
    return ours.reshape(how["view"]).transpose(how["axes"]).reshape(how["shape"])


def test_the_seed_network_in_onnx_words():
    spec = load(ROOT / "configs" / "mnist.yaml")
    made = json.loads(json.dumps(translate(spec.model, spec.compile)))
    convolution = {"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1], "pads": [0, 0, 0, 0], "group": 1}
    pooling = {"kernel_shape": [2, 2], "strides": [2, 2], "dilations": [1, 1], "pads": [0, 0, 0, 0]}
    assert (made["input_shape"], made["output_shape"]) == ([1, 28, 28], [10])
    assert [(node["operator"], node["attributes"]) for node in made["nodes"]] == [
        ("Conv", convolution), ("Relu", {}), ("MaxPool", pooling),
        ("Conv", convolution), ("Relu", {}), ("MaxPool", pooling),
        ("Flatten", {}),
        ("Gemm", {"transB": 1}), ("Relu", {}), ("Gemm", {"transB": 1}), ("Softmax", {"axis": 1}),
    ]  # fmt: skip
    assert {name: weight["shape"] for name, weight in made["weights"].items()} == {
        "conv2d/kernel": [32, 1, 3, 3], "conv2d/bias": [32],
        "conv2d_1/kernel": [64, 32, 3, 3], "conv2d_1/bias": [64],
        "dense/kernel": [128, 1600], "dense/bias": [128],
        "dense_1/kernel": [10, 128], "dense_1/bias": [10],
    }  # fmt: skip
    assert made["nodes"][0]["inputs"] == ["input", "conv2d/kernel", "conv2d/bias"]
    for before, node in zip(made["nodes"], made["nodes"][1:], strict=False):
        assert node["inputs"][0] == before["output"]
    assert made["nodes"][-1]["output"] == made["output"]


def calculated(made, weights, x):
    """What a graph of a few operators makes of the input, as ONNX' documentation defines them, in float32."""
    values = {"input": x, **{name: np.float32(value) for name, value in made["constants"].items()}}
    values |= {name: laid_out(made, name, weights[name]) for name in made["weights"]}
    operators = {
        "Cast": lambda x: x.astype(np.float32),
        "Mul": np.multiply,
        "Div": np.divide,
        "Add": np.add,
        "Flatten": lambda x: x.reshape(len(x), -1),
        "Gemm": lambda x, kernel, bias: x @ kernel.T + bias,
    }
    assert x.dtype == made["input_type"]
    for node in made["nodes"]:
        values[node["output"]] = operators[node["operator"]](*(values[name] for name in node["inputs"]))
    return values[made["output"]]


@pytest.mark.parametrize(
    ("rescale", "dtype", "own", "nodes"),
    [
        ("auto", "uint8", False, [("Cast",), ("Div", 255.0)]),
        (0.5, "uint8", False, [("Cast",), ("Mul", 0.5)]),
        (1.0, "uint8", False, [("Cast",)]),
        ("auto", "uint8", True, [("Cast",)]),  # the model scales its images itself
        ("auto", "float32", False, []),
        (2.0, "float32", False, [("Mul", 2.0)]),
        (None, "float32", False, []),
    ],
)
def test_a_graph_that_takes_images_as_they_lie_in_files_scales_them_as_we_do(rescale, dtype, own, nodes):
    entries = [*([{"Rescaling": {"scale": 1 / 255}}] if own else []), "Flatten", {"Dense": {"units": 4}}]
    names = [INPUT, *(f"l{number}" for number in range(len(entries)))]
    chained = zip(names[1:], entries, names, strict=False)
    model = Model((3, 4, 2), tuple(Node(name, LAYERS.parse(entry), (before,)) for name, entry, before in chained))
    made = json.loads(json.dumps(translate(model, rescale=rescale, dtype=dtype)))
    scaling = made["nodes"][: len(nodes)]
    assert [(node["operator"], *map(made["constants"].get, node["inputs"][1:])) for node in scaling] == nodes
    assert made["nodes"][len(nodes)]["operator"] in ("Transpose", "Flatten", "Mul")
    network = Network(model, LOSSES.parse("mse"), batch_size=5)
    network.initialize(1)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5, 3, 4, 2)) if dtype == "uint8" else random.random((5, 3, 4, 2))
    images = images.astype(dtype)
    split = Split(images, np.zeros(5, np.int64), "own.npz", "x_train")
    feed = Feed(split, rescale_for(model, rescale or 1.0), network.loss, network.inputs, network.targets)
    feed.fill(slice(0, 5))
    network.predict(5)
    theirs = calculated(made, network.tensors(), images.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(theirs, only(network.predictions), rtol=1e-4, atol=1e-5)


def test_the_kernel_of_a_convolution_has_its_outputs_first():
    made = chain((5, 5, 2), {"Conv2D": {"filters": 3, "kernel_size": [3, 2], "use_bias": False}})
    ours = np.random.default_rng(0).random((3, 2, 2, 3))
    theirs = laid_out(made, "l0/kernel", ours)
    assert theirs.shape == (3, 2, 3, 2)
    assert theirs[2, 1, 0, 1] == ours[0, 1, 1, 2]


def test_a_dense_layer_behind_flatten_reads_the_image_channel_by_channel():
    made = chain((2, 3, 4), "Flatten", {"Dropout": {"rate": 0.5}}, {"Dense": {"units": 5}})
    assert operators(made) == ["Flatten", "Gemm"]
    random = np.random.default_rng(0)
    image, kernel = random.random((2, 3, 4)), random.random((24, 5))
    theirs = laid_out(made, "l2/kernel", kernel) @ image.transpose(2, 0, 1).reshape(-1)
    np.testing.assert_allclose(theirs, image.reshape(-1) @ kernel)


def test_a_flattened_image_that_others_read_is_in_our_order():
    made = chain((2, 3, 4), "Flatten", "ReLU")
    assert [(node["operator"], node["attributes"]) for node in made["nodes"]] == [
        ("Transpose", {"perm": [0, 2, 3, 1]}),
        ("Flatten", {}),
        ("Relu", {}),
    ]
    assert operators(chain((2, 3, 4), "Flatten")) == ["Transpose", "Flatten"]
    assert operators(chain((2, 3, 1), "Flatten")) == operators(chain((1, 1, 4), "Flatten")) == ["Flatten"]


@pytest.mark.parametrize(
    ("window", "pads"),
    [
        # 8 down, 3 cells 2 apart: 4 windows cover 9. 7 across, 2 cells 1 apart: 7 cover 8. The odd cells lie behind.
        ({"kernel_size": [3, 2], "strides": [2, 1]}, [0, 0, 1, 1]),
        # 3 cells with a gap between are 5 long: 2 on either side; 4 cells are 4 long: 1 before, 2 behind.
        ({"kernel_size": [3, 4], "dilation_rate": [2, 1]}, [2, 1, 2, 2]),
    ],
)
def test_padding_is_explicit_even_where_it_is_uneven(window, pads):
    made = chain((8, 7, 2), {"Conv2D": {"filters": 4, "groups": 2, "padding": "same", **window}})
    attributes = made["nodes"][0]["attributes"]
    assert (attributes["pads"], attributes["group"]) == (pads, 2)
    assert attributes["dilations"] == window.get("dilation_rate", [1, 1])
    assert made["weights"]["l0/kernel"]["shape"] == [4, 1, *window["kernel_size"]]


def test_channels_treated_apart_are_groups_however_often_each_is_used():
    made = chain((6, 6, 3), {"DepthwiseConv2D": {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}})
    (node,) = made["nodes"]
    assert (node["inputs"][0], node["attributes"]["group"]) == ("input", 3)
    ours = np.random.default_rng(0).random((3, 3, 3, 2))
    theirs = laid_out(made, "l0/kernel", ours)
    assert theirs.shape == (6, 1, 3, 3)
    assert theirs[5, 0, 1, 2] == ours[1, 2, 2, 1]  # output 5 is the second one of channel 2
    made = chain((6, 6, 3), {"SeparableConv2D": {"filters": 5, "kernel_size": 3, "activation": "relu"}})
    assert operators(made) == ["Conv", "Conv", "Relu"]
    assert {name: weight["shape"] for name, weight in made["weights"].items()} == {
        "l0/depthwise_kernel": [3, 1, 3, 3], "l0/pointwise_kernel": [5, 3, 1, 1], "l0/bias": [5],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "pads", "output_padding"),
    [
        # ONNX makes (n − 1)·stride + kernel + output_padding − pads; Keras makes n·stride of (4, 5) where padded.
        ({"kernel_size": 4, "strides": 2, "padding": "same"}, [1, 1, 1, 1], [0, 0]),
        ({"kernel_size": 3, "strides": 2, "padding": "same"}, [0, 0, 1, 1], [0, 0]),
        ({"kernel_size": 2, "strides": 3}, [0, 0, 0, 0], [1, 1]),
    ],
)
def test_a_transposed_convolution_cuts_where_keras_does(arguments, pads, output_padding):
    made = chain((4, 5, 2), {"Conv2DTranspose": {"filters": 3, **arguments}})
    attributes = made["nodes"][0]["attributes"]
    assert (made["nodes"][0]["operator"], attributes["pads"]) == ("ConvTranspose", pads)
    assert attributes["output_padding"] == output_padding
    assert made["weights"]["l0/kernel"]["shape"][:2] == [2, 3]


def test_pooling_in_parts_and_of_whole_images():
    made = chain(
        (7, 8, 2),
        {"AveragePooling2D": {"pool_size": 2, "padding": "same"}},
        {"MaxPooling2D": {"pool_size": 3, "strides": 1}},
        {"GlobalMaxPooling2D": {"keepdims": True}},
        "GlobalAveragePooling2D",
    )
    average, largest = made["nodes"][:2]
    assert (average["attributes"]["pads"], average["attributes"]["count_include_pad"]) == ([0, 0, 1, 0], 0)
    assert (largest["operator"], largest["attributes"]["kernel_shape"]) == ("MaxPool", [3, 3])
    assert operators(made)[2:] == ["GlobalMaxPool", "Flatten", "Reshape", "GlobalAveragePool", "Flatten"]
    assert constant(made, made["nodes"][4]["inputs"][1]) == [-1, 2, 1, 1]
    assert made["output_shape"] == [2]


def test_normalization_lacks_neither_gamma_nor_beta():
    made = chain((4, 5, 3), {"BatchNormalization": {"scale": False, "epsilon": 0.25}})
    (node,) = made["nodes"]
    assert (node["operator"], node["attributes"]) == ("BatchNormalization", {"epsilon": 0.25})
    assert constant(made, node["inputs"][1]) == [1.0, 1.0, 1.0]
    assert node["inputs"][2:] == ["l0/beta", "l0/moving_mean", "l0/moving_variance"]


def test_a_dense_layer_on_an_image_is_a_convolution_with_1_by_1():
    made = chain((4, 5, 3), {"Dense": {"units": 7, "use_bias": False}})
    assert [(node["operator"], node["attributes"]) for node in made["nodes"]] == [("Conv", {"kernel_shape": [1, 1]})]
    assert made["weights"]["l0/kernel"]["shape"] == [7, 3, 1, 1]


def test_sizes_that_change():
    made = chain(
        (4, 5, 2),
        {"ZeroPadding2D": {"padding": [[1, 2], [3, 4]]}},
        {"Cropping2D": {"cropping": [[1, 2], [3, 4]]}},
        {"UpSampling2D": {"size": [2, 3], "interpolation": "bilinear"}},
    )
    pad, crop, resize = made["nodes"]
    assert constant(made, pad["inputs"][1]) == [0, 0, 1, 3, 0, 0, 2, 4]
    assert constant(made, crop["inputs"][1]) == [0, 0, -1, -3, 0, 0, -2, -4]
    assert constant(made, resize["inputs"][2]) == [1.0, 1.0, 2.0, 3.0]
    assert (resize["inputs"][1], resize["attributes"]["mode"]) == ("", "linear")
    assert made["output_shape"] == [2, 8, 15]


@pytest.mark.parametrize(
    ("entry", "operator", "attributes"),
    [
        ("ReLU", "Relu", {}),
        ({"ReLU": {"negative_slope": 0.5}}, "LeakyRelu", {"alpha": 0.5}),
        ({"ReLU": {"threshold": 1.5}}, "ThresholdedRelu", {"alpha": 1.5}),
        ("LeakyReLU", "LeakyRelu", {"alpha": 0.3}),
        ({"ELU": {"alpha": 0.5}}, "Elu", {"alpha": 0.5}),
        ({"Activation": {"activation": "hard_sigmoid"}}, "HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
        ({"Activation": {"activation": "hard_swish"}}, "HardSwish", {}),
        ({"Activation": {"activation": "gelu"}}, "Gelu", {}),
        ({"Activation": {"activation": {"gelu": {"approximate": True}}}}, "Gelu", {"approximate": "tanh"}),
        ({"Activation": {"activation": {"hard_shrink": {"threshold": 0.2}}}}, "Shrink", {"lambd": 0.2, "bias": 0.0}),
        ({"Activation": {"activation": {"soft_shrink": {"threshold": 0.2}}}}, "Shrink", {"lambd": 0.2, "bias": 0.2}),
        ({"Activation": {"activation": {"celu": {"alpha": 0.2}}}}, "Celu", {"alpha": 0.2}),
        ({"ELU": {"alpha": -0.5}}, "Elu", {"alpha": -0.5}),
        ({"Activation": {"activation": "mish"}}, "Mish", {}),
        ({"Activation": {"activation": "log_softmax"}}, "LogSoftmax", {"axis": 1}),
        ("Softmax", "Softmax", {"axis": 1}),
    ],
)
def test_activations(entry, operator, attributes):
    (node,) = chain((4, 5, 3), entry)["nodes"]
    assert (node["operator"], node["inputs"], node["attributes"]) == (operator, ["input"], attributes)


@pytest.mark.parametrize(
    ("entry", "most"), [({"Activation": {"activation": "relu6"}}, 6.0), ({"ReLU": {"max_value": 2}}, 2.0)]
)
def test_a_rectifier_with_a_ceiling_clips(entry, most):
    made = chain((4, 5, 3), entry)
    (node,) = made["nodes"]
    assert (node["operator"], [constant(made, name) for name in node["inputs"][1:]]) == ("Clip", [0.0, most])


def test_rescaling_of_channels_is_a_normalization():
    (node,) = (made := chain((4, 5, 2), {"Rescaling": {"scale": [2, 3], "offset": 1}}))["nodes"]
    assert (node["operator"], node["attributes"]) == ("BatchNormalization", {"epsilon": 0.0})
    numbers = [constant(made, name) for name in node["inputs"][1:]]
    assert numbers == [[2.0, 3.0], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


def test_the_other_activations_are_made_of_several():
    for name, expected in {
        "log_sigmoid": ["Neg", "Softplus", "Neg"],
        "tanh_shrink": ["Tanh", "Sub"],
        "hard_tanh": ["Clip"],
    }.items():
        assert operators(chain((3,), {"Activation": {"activation": name}})) == expected
    threshold = {"threshold": {"threshold": 1, "default_value": 2}}
    above, chosen = chain((3,), {"Activation": {"activation": threshold}})["nodes"]
    assert (above["operator"], chosen["operator"]) == ("Greater", "Where")
    assert chosen["inputs"][:2] == [above["output"], "input"]


def test_the_swish_is_made_of_two():
    sigmoid, product = chain((3,), {"Activation": {"activation": "silu"}})["nodes"]
    assert (sigmoid["operator"], product["operator"]) == ("Sigmoid", "Mul")
    assert product["inputs"] == ["input", sigmoid["output"]]


def test_joins_read_both_inputs_and_repeat_the_smaller_one_by_themselves():
    made = graph(
        (4, 5, 2),
        ("gate", "GlobalAveragePooling2D", (INPUT,)),
        ("scaled", "Multiply", (INPUT, "gate")),
        ("less", "Subtract", ("scaled", INPUT)),
        ("sum", "Add", ("less", "scaled", INPUT)),
        ("mean", "Average", ("sum", INPUT)),
        ("most", "Maximum", ("mean", INPUT)),
        ("wide", {"Concatenate": {"axis": 2}}, ("most", "most")),
        ("deep", "Concatenate", ("wide", "wide")),
    )
    assert operators(made) == [
        "GlobalAveragePool", "Flatten", "Reshape", "Mul", "Sub", "Sum", "Add", "Mul", "Max", "Concat", "Concat",
    ]  # fmt: skip
    nodes = made["nodes"]
    assert nodes[3]["inputs"] == ["input", nodes[2]["output"]]
    assert constant(made, nodes[2]["inputs"][1]) == [-1, 2, 1, 1]
    assert nodes[4]["inputs"] == [nodes[3]["output"], "input"]
    assert constant(made, nodes[7]["inputs"][1]) == 0.5
    assert [node["attributes"] for node in nodes[-2:]] == [{"axis": 3}, {"axis": 1}]
    assert made["output_shape"] == [4, 4, 10]


class Halved(Layer):
    """What a package of somebody else may bring, made of what we know."""

    def lower(self, build, *inputs):
        return build.affine(inputs[0], 0.5)


class Spread(Layer):
    """The channels' maxima, all over the image, as a result and not as one side of a sum."""

    def lower(self, build, *inputs):
        maxima = build.reshape(build.global_max_pool2d(inputs[0]), (1, 1, inputs[0].shape[-1]))
        return build.activation(build.broadcast(maxima, inputs[0].shape), "tanh")


def test_it_is_the_operations_of_a_layer_that_count():
    made = graph((3,), ("half", Halved(), (INPUT,)))
    assert [(node["operator"], constant(made, node["inputs"][1])) for node in made["nodes"]] == [("Mul", 0.5)]


class Unknown(Layer):
    """An operation of somebody else."""

    def lower(self, build, *inputs):
        return build.emit(Dropout(0.5, 0), *inputs)


def test_what_has_no_counterpart_is_told_not_replaced():
    with pytest.raises(UsageError, match=r"^--against onnxruntime knows no counterpart of l0 \(Unknown\)$"):
        chain((5, 5, 2), Unknown())


def test_what_is_spread_as_a_result_and_not_as_one_side_of_a_sum_is_expanded():
    made = chain((5, 4, 2), Spread())
    expand, tanh = made["nodes"][-2:]
    assert (expand["operator"], constant(made, expand["inputs"][1])) == ("Expand", [1, 2, 5, 4])
    assert tanh["operator"] == "Tanh"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_spec_that_comes_along_goes_over_whole(path):
    spec = load(path, check_data=False)
    made = translate(spec.model)
    known = {"input", "", *made["constants"], *made["weights"]}
    for node in made["nodes"]:
        assert set(node["inputs"]) <= known
        known.add(node["output"])
    assert made["output"] in known
