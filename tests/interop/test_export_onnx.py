"""Exported ONNX files, as ONNX Runtime reads them, against the naive twins of the layers."""

import json

import numpy as np
import pytest

from cnncli.datasets.rescale import PerChannel
from cnncli.graph.model import INPUT, Model, Node
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.exports.onnx_file import export
from cnncli.interop.inference import inference
from cnncli.layers.layer import LAYERS
from cnncli.layers.meaning import Meaning
from cnncli.spec.spec import parse
from tests.interop.models import OneLayer, Spec, channels_first, examples

onnx = pytest.importorskip("onnx", reason="needs the package onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
LOGITS = {"categorical_crossentropy": {"from_logits": True}}
SPEC = """\
name: made
data: {dataset: {synthetic: {}}, rescale: 0.5}
model: {input_shape: [4, 5, 3], layers: [{Conv2D: {filters: 2, kernel_size: 1}}, Flatten, {Dense: {units: 2}}]}
compile: {optimizer: adam, loss: {categorical_crossentropy: {from_logits: true}}}
"""


def exported(model, weights, rescale=1.0):
    return Exported(Spec(model, LOGITS), weights, ["a", "b"], Meaning.CLASSES, rescale)


def session(content):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run(content, x):
    """The output of a model for x, which has the shape that it wants."""
    (found,) = session(content).run(None, {"input": x})
    return found


@pytest.mark.parametrize(("name", "arguments", "shapes"), [pytest.param(*case, id=i) for i, *case in examples()])
def test_onnx_runtime_computes_of_every_layer_what_its_naive_twin_does(name, arguments, shapes):
    one = OneLayer(name, arguments, shapes)
    content = export(exported(one.model, one.weights), ExportOptions())
    np.testing.assert_allclose(run(content, channels_first(one.x)), channels_first(one.expected), rtol=1e-5, atol=1e-5)


@pytest.fixture
def small():
    """The model of SPEC, with weights."""
    model = parse(SPEC, "made.yaml", check_data=False).model
    random = np.random.default_rng(0)
    found = inference(model)
    return model, {name: random.standard_normal(value.shape, np.float32) for value, name in found.names.items()}


def test_images_may_have_their_channels_last_and_come_in_any_number(small):
    content = export(exported(*small), ExportOptions())
    last = export(exported(*small), ExportOptions(nhwc=True))
    assert session(last).get_inputs()[0].shape == ["N", 4, 5, 3]
    assert session(content).get_inputs()[0].shape == ["N", 3, 4, 5]
    for count in (1, 7):
        x = np.random.default_rng(count).random((count, 4, 5, 3), np.float32)
        np.testing.assert_allclose(run(last, x), run(content, channels_first(x)), rtol=1e-6, atol=1e-6)


def test_images_as_outputs_have_their_channels_last_too():
    model = Model((4, 5, 3), (Node("pad", LAYERS.parse({"ZeroPadding2D": {"padding": 1}}), (INPUT,)),))
    x = np.random.default_rng(0).random((2, 4, 5, 3), np.float32)
    got = run(export(exported(model, {}), ExportOptions(nhwc=True)), x)
    np.testing.assert_array_equal(got, np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]))


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize(
    ("rescale", "scale", "offset"),
    [
        ("auto", [1 / 255] * 3, [0, 0, 0]),
        (0.5, [0.5] * 3, [0, 0, 0]),
        (PerChannel("auto", (1.0, 2.0, 3.0), (0.5, 0.25, 0.0), (0.5, 1.0, 2.0)), None, [-1, -0.25, 0]),
    ],
)
def test_with_preprocessing_uint8_images_become_probabilities(small, rescale, scale, offset, nhwc):
    scale = scale or [1 / 255 / 0.5, 2 / 255, 3 / 255 / 2]
    made = exported(*small, rescale)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    logits = run(export(made, ExportOptions()), channels_first((pixels * np.array(scale) + offset).astype(np.float32)))
    content = export(made, ExportOptions(nhwc=nhwc, preprocessing=True))
    got = run(content, pixels if nhwc else channels_first(pixels))
    shares = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(got, shares / shares.sum(1, keepdims=True), rtol=1e-4, atol=1e-5)
    metadata = {prop.key: prop.value for prop in onnx.load_from_string(content).metadata_props}
    assert json.loads(metadata["scale"]) == pytest.approx(scale)
    assert json.loads(metadata["offset"]) == pytest.approx(offset)
    assert metadata["preprocessing"] == "true"
    assert (metadata["classes"], metadata["input_shape"]) == ('["a", "b"]', "[4, 5, 3]")


def test_normalizations_are_folded_unless_they_are_to_be_kept():
    entries = {"conv": {"Conv2D": {"filters": 2, "kernel_size": 1}}, "norm": "BatchNormalization", "relu": "ReLU"}
    nodes = [Node(n, LAYERS.parse(e), (b,)) for (n, e), b in zip(entries.items(), [INPUT, *entries], strict=False)]
    model = Model((4, 5, 3), tuple(nodes))
    random = np.random.default_rng(0)
    weights = {
        name: random.uniform(0.5, 2, value.shape).astype(np.float32) for value, name in inference(model).names.items()
    }
    folded, kept = (export(exported(model, weights), ExportOptions(fold=fold)) for fold in (True, False))
    operators = [[node.op_type for node in onnx.load_from_string(content).graph.node] for content in (folded, kept)]
    assert operators == [["Conv", "Relu"], ["Conv", "BatchNormalization", "Relu"]]
    x = random.standard_normal((2, 3, 4, 5), np.float32)
    np.testing.assert_allclose(run(folded, x), run(kept, x), rtol=1e-5, atol=1e-5)


def test_the_opset_is_stated_and_the_output_named(small):
    model = onnx.load_from_string(export(exported(*small), ExportOptions()))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["input", "output"]
    assert [weight.name for weight in model.graph.initializer][-4:] == [
        "conv2d/kernel", "conv2d/bias", "dense/kernel", "dense/bias",
    ]  # fmt: skip
