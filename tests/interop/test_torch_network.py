"""What PyTorch is asked to build, layer by layer. Sizes follow from PyTorch's documentation of each module."""

import json
from pathlib import Path

import pytest

from cnncli.errors import UsageError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.interop.torch.network import translate
from cnncli.layers.vocabulary import LAYERS
from cnncli.spec.spec import load
from cnncli.training.sections import CompileSection

ROOT = Path(__file__).parents[2]


def chain(shape, *entries, loss="mse", optimizer="sgd", trained=True):
    """The nodes of a chain of layers, translated."""
    names = [INPUT, *(f"l{number}" for number in range(len(entries)))]
    nodes = [
        Node(name, LAYERS.parse(entry), (before,))
        for name, before, entry in zip(names[1:], names, entries, strict=False)
    ]
    compiled = CompileSection(loss=loss, optimizer=optimizer) if trained else None
    made = translate(Model(shape, tuple(nodes)), compiled)
    assert json.loads(json.dumps(made))["input_shape"] == [shape[-1], *shape[:-1]]
    return made


def modules(shape, *entries, **more):
    return [module for node in chain(shape, *entries, **more)["nodes"] for module in node["modules"]]


def test_the_seed_network_in_pytorchs_words():
    spec = load(ROOT / "tests" / "spec" / "digits.yaml")
    made = translate(spec.model, spec.compile)
    convolution = {"kernel_size": [3, 3], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
    pooling = ("MaxPool2d", {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]})
    assert made["input_shape"] == [1, 28, 28]
    assert [node["modules"] for node in made["nodes"]] == [
        [("Conv2d", {"in_channels": 1, "out_channels": 32, **convolution, "groups": 1, "bias": True}), ("ReLU", {})],
        [pooling],
        [("Conv2d", {"in_channels": 32, "out_channels": 64, **convolution, "groups": 1, "bias": True}), ("ReLU", {})],
        [pooling],
        [("Flatten", {})],
        [("Linear", {"in_features": 1600, "out_features": 128, "bias": True}), ("ReLU", {})],
        [("Linear", {"in_features": 128, "out_features": 10, "bias": True})],  # the loss takes logits
    ]
    assert made["loss"] == ("CrossEntropyLoss", {"label_smoothing": 0.0})
    assert made["optimizer"] == ("Adam", {"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-7})


def test_a_graph_says_who_reads_whom_and_how_inputs_are_joined():
    layers = [
        ("a", {"Activation": {"activation": "tanh"}}, (INPUT,)),
        ("sum", "Add", (INPUT, "a")),
        ("last", "Concatenate", ("sum", "a")),
        ("wide", {"Concatenate": {"axis": 2}}, ("last", "last")),
        ("high", {"Concatenate": {"axis": -3}}, ("wide", "wide")),
    ]
    model = Model((4, 5, 2), tuple(Node(name, LAYERS.parse(entry), inputs) for name, entry, inputs in layers))
    nodes = translate(model, CompileSection(loss="mse", optimizer="sgd"))["nodes"]
    assert [(node["name"], node["inputs"], node["join"]) for node in nodes] == [
        ("a", ["input"], None),
        ("sum", ["input", "a"], "add"),
        ("last", ["sum", "a"], 1),  # channels, the last of ours, are axis 1 of theirs
        ("wide", ["last", "last"], 3),
        ("high", ["wide", "wide"], 2),
    ]


def test_even_padding_is_the_convolutions_own_and_uneven_padding_a_border():
    ((_, arguments),) = modules((8, 8, 2), {"Conv2D": {"filters": 3, "kernel_size": [3, 5], "padding": "same"}})
    assert arguments["padding"] == [1, 2]
    border, (_, arguments) = modules(
        (8, 7, 2), {"Conv2D": {"filters": 3, "kernel_size": [3, 2], "strides": [2, 1], "padding": "same"}}
    )
    # Down: 4 windows of 3, 2 apart, cover 9 cells: one of padding, below. Across: 7 of 2 cover 8: one, at the right.
    assert border == ("ConstantPad2d", {"padding": [0, 1, 0, 1], "value": 0.0})
    assert arguments["padding"] == [0, 0]


def test_pooling_with_uneven_padding_rounds_up_where_that_gives_the_same_windows():
    same = {"pool_size": 2, "padding": "same"}
    assert modules((7, 8, 2), {"MaxPooling2D": same}) == [
        ("MaxPool2d", {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0], "ceil_mode": True})
    ]
    assert modules((7, 8, 2), {"AveragePooling2D": same})[0][1]["count_include_pad"] is False
    border, pool = modules((7, 8, 2), {"MaxPooling2D": {**same, "strides": 1}})
    assert border == ("ConstantPad2d", {"padding": [0, 1, 0, 1], "value": float("-inf")})
    assert "ceil_mode" not in pool[1]


def test_a_dense_layer_on_an_image_is_a_convolution_with_1_by_1():
    ((name, arguments),) = modules((4, 5, 3), {"Dense": {"units": 7, "use_bias": False}})
    assert (name, arguments["in_channels"], arguments["out_channels"]) == ("Conv2d", 3, 7)
    assert (arguments["kernel_size"], arguments["bias"]) == ([1, 1], False)


def test_scales_of_channels_are_modules_of_the_peer():
    assert modules((4, 4, 2), {"Rescaling": {"scale": 0.5, "offset": [1, 2]}}) == [
        ("Scale", {"factors": [0.5, 0.5], "offsets": [1.0, 2.0], "trained": False})
    ]
    assert modules((4, 4, 2), {"Normalization": {"mean": [1, 2], "variance": [4, 16]}}) == [
        ("Scale", {"factors": [0.5, 0.25], "offsets": [-0.5, -0.5], "trained": False})
    ]
    assert modules((4, 4, 2), {"LayerScale": {"init_values": 0.1, "projection_dim": 2}}) == [
        ("Scale", {"factors": [0.1, 0.1], "offsets": None, "trained": True})
    ]
    assert modules((4, 4, 2), {"LayerNormalization": {"epsilon": 0.5}}) == [
        ("ChannelNorm", {"normalized_shape": 2, "eps": 0.5, "elementwise_affine": True})
    ]


def test_channels_treated_apart_are_groups():
    made = modules((6, 6, 3), {"DepthwiseConv2D": {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}})
    assert [(name, a["in_channels"], a["out_channels"], a["groups"], a["padding"]) for name, a in made] == [
        ("Conv2d", 3, 6, 3, [1, 1])
    ]
    made = modules((6, 6, 3), {"SeparableConv2D": {"filters": 5, "kernel_size": 3, "activation": "relu"}})
    found = [(name, a.get("out_channels"), a.get("groups"), a.get("bias")) for name, a in made]
    assert found == [("Conv2d", 3, 3, False), ("Conv2d", 5, 1, True), ("ReLU", None, None, None)]


@pytest.mark.parametrize(
    ("arguments", "padding", "output_padding", "cut"),
    [
        ({"kernel_size": 4, "strides": 2, "padding": "same"}, [1, 1], [0, 0], None),
        ({"kernel_size": 3, "strides": 2, "padding": "same"}, [0, 0], [0, 0], [0, -1, 0, -1]),
        ({"kernel_size": 3, "strides": 2}, [0, 0], [0, 0], None),
        ({"kernel_size": 2, "strides": 3}, [0, 0], [1, 1], None),
        ({"kernel_size": 3, "strides": 2, "output_padding": [0, 1]}, [0, 0], [0, 1], None),
    ],
)
def test_a_transposed_convolution_cuts_where_keras_does(arguments, padding, output_padding, cut):
    (name, made), *rest = modules((4, 5, 2), {"Conv2DTranspose": {"filters": 3, **arguments}})
    assert (name, made["padding"], made["output_padding"]) == ("ConvTranspose2d", padding, output_padding)
    assert rest == ([] if cut is None else [("ConstantPad2d", {"padding": cut, "value": 0.0})])


def test_sizes_that_change_and_global_pooling():
    made = modules(
        (4, 5, 2),
        {"ZeroPadding2D": {"padding": [[1, 2], [3, 4]]}},
        {"Cropping2D": {"cropping": [[1, 2], [3, 4]]}},
        {"UpSampling2D": {"size": [2, 3], "interpolation": "bilinear"}},
        {"GlobalMaxPooling2D": {"keepdims": True}},
        "GlobalAveragePooling2D",
    )
    assert made == [
        ("ConstantPad2d", {"padding": [3, 4, 1, 2], "value": 0.0}),
        ("ConstantPad2d", {"padding": [-3, -4, -1, -2], "value": 0.0}),
        ("Upsample", {"size": [8, 15], "mode": "bilinear"}),
        ("AdaptiveMaxPool2d", {"output_size": [1, 1]}),
        ("AdaptiveAvgPool2d", {"output_size": [1, 1]}),
        ("Flatten", {}),
    ]


def test_activations_and_dropout_in_between():
    made = modules(
        (4, 4, 3),
        {"Activation": {"activation": "softmax"}},
        {"Dropout": {"rate": 0.25}},
        {"Activation": {"activation": "sigmoid"}},
    )
    assert made == [("Softmax", {"dim": 1}), ("Dropout", {"p": 0.25}), ("Sigmoid", {})]


@pytest.mark.parametrize(
    ("entry", "module"),
    [
        ("ReLU", ("ReLU", {})),
        ({"ReLU": {"max_value": 6}}, ("ReLU6", {})),
        ({"ReLU": {"max_value": 2}}, ("Hardtanh", {"min_val": 0.0, "max_val": 2.0})),
        ({"ReLU": {"negative_slope": 0.1}}, ("LeakyReLU", {"negative_slope": 0.1})),
        ({"ReLU": {"threshold": 1.5}}, ("Threshold", {"threshold": 1.5, "value": 0.0})),
        ("LeakyReLU", ("LeakyReLU", {"negative_slope": 0.3})),
        ({"Activation": {"activation": "leaky_relu"}}, ("LeakyReLU", {"negative_slope": 0.2})),
        ({"ELU": {"alpha": 0.5}}, ("ELU", {"alpha": 0.5})),
        ({"Activation": {"activation": "gelu"}}, ("GELU", {})),
        ({"Activation": {"activation": "swish"}}, ("SiLU", {})),
        ({"Activation": {"activation": "hard_swish"}}, ("Hardswish", {})),
        ({"Activation": {"activation": "hard_sigmoid"}}, ("Hardsigmoid", {})),
        ({"Activation": {"activation": {"relu": {"max_value": 2}}}}, ("Hardtanh", {"min_val": 0.0, "max_val": 2.0})),
        (
            {"Activation": {"activation": {"leaky_relu": {"negative_slope": 0.5}}}},
            ("LeakyReLU", {"negative_slope": 0.5}),
        ),
        ({"Activation": {"activation": {"celu": {"alpha": 0.5}}}}, ("CELU", {"alpha": 0.5})),
        ({"Activation": {"activation": {"gelu": {"approximate": True}}}}, ("GELU", {"approximate": "tanh"})),
        ({"Activation": {"activation": {"soft_shrink": {"threshold": 2}}}}, ("Softshrink", {"lambd": 2.0})),
        (
            {"Activation": {"activation": {"threshold": {"threshold": 1, "default_value": 2}}}},
            ("Threshold", {"threshold": 1.0, "value": 2.0}),
        ),
        ({"Activation": {"activation": {"log_softmax": {"axis": 1}}}}, ("LogSoftmax", {"dim": 2})),
        ({"Activation": {"activation": "log_sigmoid"}}, ("LogSigmoid", {})),
        ("Softmax", ("Softmax", {"dim": 1})),
        ({"Softmax": {"axis": 2}}, ("Softmax", {"dim": 3})),
    ],
)
def test_activations_with_arguments(entry, module):
    assert modules((4, 5, 3), entry) == [module]


def test_batch_normalization_has_their_momentum_and_no_more_than_both_or_neither_of_gamma_and_beta():
    said = {"momentum": 0.75, "epsilon": 0.01}
    expected = {"num_features": 3, "eps": 0.01, "momentum": 0.25}
    neither = {**said, "center": False, "scale": False}
    assert modules((4, 5, 3), {"BatchNormalization": said}) == [("BatchNorm2d", {**expected, "affine": True})]
    assert modules((3,), {"BatchNormalization": neither}) == [("BatchNorm1d", {**expected, "affine": False})]


@pytest.mark.parametrize("join", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"])
def test_arithmetic_of_two_inputs_is_a_way_to_join_them(join):
    layers = [("a", {"Activation": {"activation": "tanh"}}, (INPUT,)), ("b", join, (INPUT, "a"))]
    model = Model((4, 5, 2), tuple(Node(name, LAYERS.parse(entry), inputs) for name, entry, inputs in layers))
    assert translate(model, CompileSection(loss="mse", optimizer="sgd"))["nodes"][1]["join"] == join.lower()


def test_inputs_of_different_rank_have_no_counterpart():
    layers = [("a", "Flatten", (INPUT,)), ("b", {"Dense": {"units": 2}}, ("a",)), ("c", "Multiply", (INPUT, "b"))]
    model = Model((4, 5, 2), tuple(Node(name, LAYERS.parse(entry), inputs) for name, entry, inputs in layers))
    with pytest.raises(UsageError, match=r"c \(Multiply\) of inputs of different rank"):
        translate(model, CompileSection(loss="mse", optimizer="sgd"))


LOGITS = {"CategoricalCrossentropy": {"from_logits": True}}


@pytest.mark.parametrize(
    ("loss", "activation", "expected", "kept"),
    [
        ("binary_crossentropy", "sigmoid", "BCEWithLogitsLoss", []),
        ("mse", "sigmoid", "MSELoss", [("Sigmoid", {})]),
        ({"CategoricalCrossentropy": {"label_smoothing": 0.1}}, "softmax", "CrossEntropyLoss", []),
        ("sparse_categorical_crossentropy", "softmax", "CrossEntropyLoss", []),
        ({"SparseCategoricalCrossentropy": {"from_logits": True}}, "linear", "CrossEntropyLoss", []),
        ({"CategoricalCrossentropy": {"from_logits": True}}, "softmax", "CrossEntropyLoss", []),
        ({"BinaryCrossentropy": {"from_logits": True}}, "relu", "BCEWithLogitsLoss", [("ReLU", {})]),
    ],
)
def test_the_last_activation_goes_into_a_loss_that_takes_logits(loss, activation, expected, kept):
    made = chain((6, 6, 1), "Flatten", {"Dense": {"units": 2, "activation": activation}}, loss=loss)
    assert made["loss"][0] == expected
    assert made["nodes"][-1]["modules"][1:] == kept
    smoothing = 0.1 if "0.1" in str(loss) else 0.0
    assert made["loss"][1].get("label_smoothing") == (smoothing if expected == "CrossEntropyLoss" else None)


def test_a_softmax_layer_at_the_end_goes_into_the_loss_too():
    made = chain((6, 6, 1), "Flatten", {"Dense": {"units": 2}}, "Softmax", loss="categorical_crossentropy")
    assert (made["loss"][0], made["nodes"][-1]["modules"]) == ("CrossEntropyLoss", [])


def test_gradient_descent_is_nesterovs_only_with_momentum():
    def sgd(**arguments):
        return chain((2, 2, 1), "Flatten", optimizer={"SGD": arguments})["optimizer"][1]

    assert sgd(learning_rate=0.2, nesterov=True) == {"lr": 0.2, "momentum": 0.0, "nesterov": False}
    assert sgd(momentum=0.9, nesterov=True) == {"lr": 0.01, "momentum": 0.9, "nesterov": True}


@pytest.mark.parametrize("optimizer", [{"AdamW": {"weight_decay": 0.1}}, {"Adam": {"weight_decay": 0.1}}])
def test_weight_decay_that_leaves_the_gradients_alone_is_adamws(optimizer):
    name, arguments = chain((2, 2, 1), "Flatten", optimizer=optimizer)["optimizer"]
    assert (name, arguments["weight_decay"]) == ("AdamW", 0.1)


@pytest.mark.parametrize(
    ("optimizer", "what"),
    [
        ({"SGD": {"weight_decay": 0.1}}, "SGD with weight_decay"),
        ({"SGD": {"clipnorm": 1}}, "SGD with clipnorm"),
        ({"Adam": {"global_clipnorm": 1}}, "Adam with global_clipnorm"),
        ({"Adam": {"gradient_accumulation_steps": 2}}, "Adam with gradient_accumulation_steps"),
        ({"AdamW": {"learning_rate": {"CosineDecay": {"initial_learning_rate": 1, "decay_steps": 9}}}}, "with a sched"),
        ("rmsprop", "RMSprop"),
    ],
)
def test_an_optimizer_whose_numbers_would_be_others_is_refused(optimizer, what):
    with pytest.raises(UsageError, match=f"no counterpart of the optimizer .*{what}"):
        chain((2, 2, 1), "Flatten", optimizer=optimizer)


def test_for_inference_the_last_activation_stays_and_how_a_layer_is_trained_does_not_matter():
    entries = (
        {"BatchNormalization": {"trainable": False}},
        "Flatten",
        {"Dense": {"units": 2, "activation": "softmax", "kernel_regularizer": "l2"}},
    )
    made = chain((6, 6, 1), *entries, trained=False)
    assert made["nodes"][-1]["modules"][-1] == ("Softmax", {"dim": 1})
    assert made.keys() == {"input_shape", "nodes"}


@pytest.mark.parametrize(
    ("entry", "loss", "message"),
    [
        ({"Dense": {"units": 2, "kernel_regularizer": "l2"}}, "mse", r"l0 \(Dense\) with kernel_regularizer"),
        ({"Dense": {"units": 2}}, "categorical_crossentropy", "output of CategoricalCrossentropy, without softmax"),
        (
            {"Dense": {"units": 2, "activation": "sigmoid"}},
            LOGITS,
            "output of CategoricalCrossentropy, without softmax",
        ),
        ({"AveragePooling2D": {"pool_size": 2, "strides": 1, "padding": "same"}}, "mse", "padding of an image of 5×5"),
        ({"LayerNormalization": {"axis": 1}}, "mse", "LayerNormalization with axis=1, center=True, scale=True"),
        ({"BatchNormalization": {"scale": False}}, "mse", "with only one of center and scale"),
        ({"BatchNormalization": {"trainable": False}}, "mse", "with trainable: false"),
        ({"ReLU": {"max_value": 2, "threshold": 1}}, "mse", "with max_value=2.0, negative_slope=0.0, threshold=1.0"),
        ({"Permute": {"dims": [2, 1, 3]}}, "mse", r"l0 \(Permute\)"),
        ({"UpSampling2D": {"interpolation": "bicubic"}}, "mse", "with interpolation=bicubic"),
    ],
)
def test_what_has_no_counterpart_is_told_not_replaced(entry, loss, message):
    with pytest.raises(UsageError, match=f"^--against torch knows no counterpart of .*{message}"):
        chain((5, 5, 2), entry, loss=loss)
