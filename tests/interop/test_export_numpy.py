"""The NumPy code of networks, against the naive twins of the layers, and predict.py in a process of its own."""

import io

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.images.decode import Form, decode
from cnncli.datasets.rescale import PerChannel
from cnncli.datasets.section import DataSection
from cnncli.errors import UsageError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.interop.exports import numpy_functions
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.exports.lines import lines
from cnncli.interop.exports.numpy_folder import export, weights
from cnncli.interop.exports.numpy_operations import TRANSLATORS
from cnncli.interop.folding import with_normalizations_folded
from cnncli.interop.inference import inference
from cnncli.layers.layer import LAYERS, Layer
from cnncli.layers.meaning import Meaning
from cnncli.ops.elementwise import Dropout
from tests.interop.models import OneLayer, Spec, examples


def computed(network, x):
    """What the lines of a network make of x."""
    code = "\n".join(lines(network, TRANSLATORS, "numpy"))
    with np.load(io.BytesIO(weights(network))) as file:
        names = {"x": x, "w": dict(file), "np": np, **vars(numpy_functions)}
    exec(code, names)
    return names["x"], code


@pytest.mark.parametrize(("name", "arguments", "shapes"), [pytest.param(*case, id=i) for i, *case in examples()])
def test_the_code_of_every_layer_computes_what_its_naive_twin_does(name, arguments, shapes):
    one = OneLayer(name, arguments, shapes)
    got, _ = computed(with_normalizations_folded(inference(one.model, one.weights)), one.x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, one.expected, rtol=1e-5, atol=1e-5)


def chain(shape, *entries):
    names = [INPUT, *(f"l{number}" for number in range(len(entries)))]
    chained = zip(names[1:], entries, names, strict=False)
    return Model(shape, tuple(Node(name, LAYERS.parse(entry), (before,)) for name, entry, before in chained))


@pytest.mark.parametrize(
    "product",
    [
        {"Conv2D": {"filters": 6, "kernel_size": 2}},
        {"Conv2D": {"filters": 6, "kernel_size": 2, "groups": 2, "use_bias": False}},
        {"DepthwiseConv2D": {"kernel_size": 2, "depth_multiplier": 2}},
        {"Conv2DTranspose": {"filters": 3, "kernel_size": 2}},
        {"Dense": {"units": 5}},
    ],
)
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 0.1}])
def test_a_normalization_is_folded_into_the_product_before_it(product, options):
    model = chain((4, 5, 4), product, {"BatchNormalization": options}, "ReLU")
    random = np.random.default_rng(0)
    whole = inference(model)
    given = {name: random.uniform(0.5, 1.5, value.shape).astype(np.float32) for value, name in whole.names.items()}
    x = random.standard_normal((3, 4, 5, 4)).astype(np.float32)
    network = inference(model, given)
    plain, code = computed(network, x)
    folded, shorter = computed(with_normalizations_folded(network), x)
    assert "batch_normalization" in code
    assert "batch_normalization" not in shorter
    np.testing.assert_allclose(folded, plain, rtol=1e-5, atol=1e-5)


def test_a_normalization_stays_where_something_else_reads_the_product():
    nodes = (
        Node("conv", LAYERS.parse({"Conv2D": {"filters": 2, "kernel_size": 1}}), (INPUT,)),
        Node("norm", LAYERS.parse("BatchNormalization"), ("conv",)),
        Node("sum", LAYERS.parse("Add"), ("norm", "conv")),
    )
    model = Model((2, 2, 2), nodes)
    given = {name: np.ones(value.shape, np.float32) for value, name in inference(model).names.items()}
    code = list(lines(with_normalizations_folded(inference(model, given)), TRANSLATORS, "numpy"))
    assert [line.partition(" = ")[0] for line in code if line[0] != "#"] == ["conv_out", "x", "x"]
    assert code[-1] == "x = x + conv_out"


class Odd(Layer):
    """An operation of somebody else."""

    def lower(self, build, *inputs):
        return build.emit(Dropout(0.5, 0), *inputs)


def test_an_unknown_operation_is_refused_with_its_layer():
    model = Model((3,), (Node("odd", Odd(), (INPUT,)),))
    with pytest.raises(UsageError, match=r"^--format numpy knows no counterpart of odd \(Odd\)$"):
        list(lines(inference(model), TRANSLATORS, "numpy"))


def script(data, form, *, meaning=Meaning.CLASSES, classes=(), shape=(6, 9, 3), rescale="auto"):
    """The names of predict.py of a network that does nothing."""
    model = Model(shape, (Node("same", LAYERS.parse("Identity"), (INPUT,)),))
    found = form and Form.of(DataSection(dataset="photos", **data), *shape[:2], form)
    made = Exported(Spec(model), {}, classes, meaning, rescale, found)
    names = {"__name__": "predict"}
    exec(export(made, ExportOptions())["predict.py"], names)
    return names, found


@pytest.mark.parametrize(
    ("data", "form", "channels"),
    [
        ({}, "rgb", 3),
        ({"color_mode": "grayscale"}, "grayscale", 1),
        ({"interpolation": "bicubic"}, "rgb", 3),
        ({"interpolation": "nearest", "crop_to_aspect_ratio": True}, "rgb", 3),
        ({"interpolation": "area", "pad_to_aspect_ratio": True}, "rgb", 3),
        ({"alpha": "white", "interpolation": "lanczos3"}, "rgb", 3),
        ({"alpha": "black", "color_mode": "grayscale"}, "grayscale", 1),
        ({"alpha": "channel"}, "rgb", 4),
        ({"alpha": "channel", "color_mode": "grayscale"}, "grayscale", 2),
    ],
)
@pytest.mark.parametrize("size", [(6, 9), (20, 13), (5, 31)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
@pytest.mark.filterwarnings("ignore:Palette images")
def test_predict_py_prepares_image_files_as_training_does(data, form, channels, size, mode, tmp_path):
    names, wanted = script(data, form, shape=(6, 9, channels))
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 4), np.uint8)
    Image.fromarray(pixels).convert(mode).save(tmp_path / "image.png")
    got = names["prepared"](tmp_path / "image.png")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, decode(tmp_path / "image.png", wanted) / np.float32(255), rtol=1e-6)


def test_what_pillow_alone_can_not_prepare_comes_as_an_array(tmp_path):
    names, _ = script({"antialias": False}, "rgb", rescale=PerChannel("auto", (1, 2, 3), (0, 1, 0), (1, 1, 2)))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    np.save(tmp_path / "image.npy", pixels)
    expected = (pixels / 255 * [1, 2, 3] - [0, 1, 0]) / [1, 1, 2]
    np.testing.assert_allclose(names["prepared"](tmp_path / "image.npy"), expected, rtol=1e-5, atol=1e-6)
    np.save(tmp_path / "image.npy", pixels / 1000)
    np.testing.assert_allclose(names["prepared"](tmp_path / "image.npy"), pixels / 1000, rtol=1e-6)


def test_deep_images_are_refused(tmp_path):
    names, _ = script({}, "grayscale", shape=(6, 9, 1))
    Image.fromarray(np.full((6, 9), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(SystemExit, match="8 bits per channel"):
        names["prepared"](tmp_path / "deep.png")


@pytest.mark.parametrize(
    ("meaning", "classes", "y", "said"),
    [
        (Meaning.CLASSES, ["a", "b", "c", "d"], [0.1, 0.25, 0.6, 0.05], "c 60.0%, b 25.0%, a 10.0%"),
        (Meaning.CHOICE, ["no", "yes"], [0.75], "yes 75.0%"),
        (Meaning.CHOICE, ["no", "yes"], [0.25], "no 75.0%"),
        (Meaning.LABELS, ["a", "b", "c"], [0.6, 0.2, 0.9], "c 90.0%, a 60.0%"),
        (Meaning.LABELS, ["a", "b", "c"], [0.1, 0.2, 0.3], "none"),
        (Meaning.NUMBERS, [], [1.5, -2.0], [1.5, -2.0]),
    ],
)
def test_answers_are_those_of_the_kind_of_outputs(meaning, classes, y, said):
    names, _ = script({}, None, meaning=meaning, classes=classes, shape=(len(y),))
    assert names["answer"](np.array(y)) == said


def test_a_mask_is_written_with_the_share_of_each_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, _ = script({}, "rgb", meaning=Meaning.MASK, classes=["sky", "sea"], shape=(2, 2, 2))
    y = np.zeros((2, 2, 2))
    y[0, 1, 1] = 1
    assert names["answer"](y) == "sky 75.0%, sea 25.0% (mask.png)"
    assert np.asarray(Image.open("mask.png")).tolist() == [[0, 1], [0, 0]]
