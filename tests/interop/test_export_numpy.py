"""The NumPy code of networks, against the naive twins of the layers, and predict.py in a process of its own."""

import io

import numpy as np
import pytest

from cnncli.errors import UsageError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.interop.exports import numpy_functions
from cnncli.interop.exports.lines import lines
from cnncli.interop.exports.numpy_folder import weights
from cnncli.interop.exports.numpy_operations import TRANSLATORS
from cnncli.interop.folding import with_normalizations_folded
from cnncli.interop.inference import inference
from cnncli.layers.layer import LAYERS, Layer
from cnncli.ops.elementwise import Dropout
from tests.interop.models import OneLayer, examples


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
