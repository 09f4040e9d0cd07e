"""ONNX files become specs and model files with their outputs; what can't be said is listed node by node."""

import re
import struct
from math import erf

import numpy as np
import pytest

import cnncli
from cnncli import protobuf
from cnncli.api.importing import import_model
from cnncli.errors import CnncliError, UsageError
from cnncli.graph.network import Network
from cnncli.interop.incoming.draft import Refusals
from cnncli.interop.incoming.network import imported
from cnncli.interop.onnx import messages, reading
from cnncli.layers.losses import LOSSES
from tests.interop import onnx_nodes


def test_onnx_own_node_tests_pass_or_are_listed_with_the_reason():
    head, *lines = onnx_nodes.LIST.read_text().splitlines()
    found = dict(onnx_nodes.verdicts(onnx_nodes.FIXTURE))
    failed = {name: why for name, why in found.items() if why != onnx_nodes.PASSED}
    assert dict(line.split(": ", 1) for line in lines) == failed
    assert head == f"{len(found) - len(failed)} of {len(found)} tests pass. Not, and why:"
    assert not any(why.startswith("wrong") for why in failed.values())


def varint(number):
    number &= (1 << 64) - 1
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def field(number, value):
    """A field of a message, as Protocol Buffers write it."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def tensor(name, array):
    kinds = {"f4": 1, "i8": 7}
    dims = [(1, length) for length in array.shape]
    return message(*dims, (2, kinds[array.dtype.str[1:]]), (8, name), (9, array.tobytes()))


def attribute(name, value):
    if isinstance(value, list):
        return message((1, name), *((8, one) for one in value))
    return message((1, name), (2 if isinstance(value, float) else 4 if isinstance(value, str) else 3, value))


def node(operator, inputs, outputs, **attributes):
    parts = [*((1, name) for name in inputs), *((2, name) for name in outputs), (3, f"n_{outputs[0]}"), (4, operator)]
    return message(*parts, *((5, attribute(name, value)) for name, value in attributes.items()))


def value(name, shape):
    dims = [(1, message(*([(2, "open")] if length is None else [(1, length)]))) for length in shape]
    return message((1, name), (2, message((1, message((1, 1), (2, message(*dims)))))))


def model(nodes, constants, shape=(None, 3, 8, 8), opset=13, output="y"):
    graph = [*((1, one) for one in nodes), *((5, tensor(name, array)) for name, array in constants.items())]
    graph += [(11, value("x", shape)), (12, value(output, ()))]
    return message((1, 8), (7, message(*graph)), (8, message((2, opset))))


def arrays(**shapes):
    generator = np.random.default_rng(0)
    return {name: generator.normal(0, 0.3, shape).astype("f4") for name, shape in shapes.items()}


def outputs_of(folder, given):
    spec = cnncli.load(folder).spec
    network = Network(spec.model, LOSSES.parse("mse"), batch_size=len(given), threads=1)
    network.load(cnncli.load(folder).weights())
    network.inputs[...] = given
    network.predict(len(given))
    (found,) = network.predictions.values()
    return found


def classifier():
    """A convolution with hard-swish as Add, Clip, Mul, Div; squeeze and excite; a flattened image and a dense layer."""
    weights = arrays(conv=(4, 3, 3, 3), bias=(1, 4, 1, 1), squeeze=(4, 4, 1, 1), dense=(64, 5), last=(5,))
    numbers = {"three": 3.0, "zero": 0.0, "six": 6.0}
    weights |= {name: np.array(number, "f4") for name, number in numbers.items()}
    nodes = [
        node("Conv", ["x", "conv"], ["a"], pads=[1, 1, 1, 1], kernel_shape=[3, 3], strides=[2, 2]),
        node("Add", ["a", "bias"], ["b"]),
        node("Add", ["b", "three"], ["c"]),
        node("Clip", ["c", "zero", "six"], ["d"]),
        node("Mul", ["b", "d"], ["e"]),
        node("Div", ["e", "six"], ["f"]),
        node("GlobalAveragePool", ["f"], ["g"]),
        node("Conv", ["g", "squeeze"], ["h"]),
        node("HardSigmoid", ["h"], ["i"], alpha=0.2, beta=0.5),
        node("Mul", ["f", "i"], ["j"]),
        node("Flatten", ["j"], ["k"]),
        node("MatMul", ["k", "dense"], ["l"]),
        node("Add", ["l", "last"], ["m"]),
        node("Softmax", ["m"], ["y"]),
    ]
    return model(nodes, weights), weights


def reference(x, w):
    """The classifier in NumPy, channels first."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    b = np.einsum("nchwij,ocij->nohw", windows, w["conv"]) + w["bias"]
    f = b * np.clip(b + 3, 0, 6) / 6
    gate = np.einsum("nc,oc->no", f.mean((2, 3)), w["squeeze"][:, :, 0, 0])
    j = f * np.clip(0.2 * gate + 0.5, 0, 1)[:, :, None, None]
    m = j.reshape(len(x), -1) @ w["dense"] + w["last"]
    e = np.exp(m - m.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_a_classifier_comes_in_with_its_outputs_and_readable_layers(tmp_path):
    content, weights = classifier()
    (tmp_path / "net.onnx").write_bytes(content)
    found = import_model(tmp_path / "net.onnx", tmp_path / "net", image_size=(8, 8))
    x = np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype("f4")
    np.testing.assert_allclose(outputs_of(found.path, x.transpose(0, 2, 3, 1)), reference(x, weights), atol=1e-5)
    kinds = [type(node.layer).__name__ for node in found.spec.model.nodes]
    assert kinds == [
        *("ZeroPadding2D", "Conv2D", "GlobalAveragePooling2D", "Conv2D", "Multiply", "Flatten", "Dense"),
    ]
    convolution, dense = found.spec.model.nodes[1].layer, found.spec.model.nodes[-1].layer
    assert (convolution.activation.name, convolution.use_bias) == ("hard_silu", True)
    assert (dense.activation.name, dense.use_bias) == ("softmax", True)
    assert type(found.spec.compile.loss).__name__ == "CategoricalCrossentropy"


def test_every_node_that_cannot_be_imported_is_listed_once_and_nothing_written(tmp_path):
    nodes = [
        node("Det", ["x"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Add", ["x", "grid"], ["c"]),
        node("Loop", ["x"], ["d"]),
        node("MaxPool", ["x"], ["e"], kernel_shape=[3, 3], dilations=[2, 2]),
        node("Concat", ["b", "c", "d", "e"], ["y"], axis=1),
    ]
    (tmp_path / "net.onnx").write_bytes(model(nodes, arrays(grid=(1, 3, 8, 8)), (1, 3, 8, 8)))
    with pytest.raises(UsageError) as caught:
        import_model(tmp_path / "net.onnx", tmp_path / "net")
    head, *lines = str(caught.value).splitlines()
    assert head.endswith("net.onnx: 4 nodes can't be imported:")
    assert [line.strip() for line in lines] == [
        "n_a (Det): there is no layer for this operator",
        "n_c (Add): a constant of the shape [1, 3, 8, 8] is not one number for each channel",
        "n_d (Loop): there is no layer for this operator",
        "n_e (MaxPool): a maximum with dilation, or with its places, has no layer",
    ]
    assert not (tmp_path / "net").exists()


def outside():
    """A kernel that another file has."""
    kernel = message(
        (1, 4), (1, 3), (1, 1), (1, 1), (2, 1), (8, "w"), (13, message((1, "location"), (2, "/etc/passwd")))
    )
    graph = message(
        (1, node("Conv", ["x", "w"], ["y"])), (5, kernel), (11, value("x", (1, 3, 8, 8))), (12, value("y", ()))
    )
    return message((7, graph), (8, message((2, 13))))


def bomb(*, number):
    """Few bytes that ask for many numbers."""
    shape = np.array([1 << 20, 1 << 20] if number else [1 << 14, 1 << 14], "i8")
    nodes = [node("ConstantOfShape", ["shape"], ["a"]), *(node("Add", ["a", "a"], [f"b{i}"]) for i in range(4))]
    return model([*nodes, node("Relu", ["x"], ["y"])], {"shape": shape}, (1, 3, 8, 8))


LAYER = node("Relu", ["x"], ["y"])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (outside(), "stores weights in other files, which are never opened"),
        (bomb(number=True), "makes a constant of the shape"),
        (bomb(number=False), "makes a constant of the shape"),
        (b"", "has no nodes"),
        (b"\x08", "is damaged or no ONNX model: a truncated integer"),
        (b"\x3a\xff\x01", "is damaged or no ONNX model: a field longer than its message"),
        (b"\x0b", "is damaged or no ONNX model: a field of the unknown kind 3"),
        (b"\x08" + b"\xff" * 11, "an integer of more than 64 bits"),
        (classifier()[0][:-400], "is damaged or no ONNX model"),
        (model([LAYER], {}, (None, 3, None, None)), "say one with --image-size"),
        (model([LAYER], {}, (1, 3, 1 << 40, 8)), "must have fixed lengths|say one with"),
        (model([LAYER], {"w": np.zeros((1 << 40, 0), "f4")}, (1, 3, 8, 8), output="w"), "does not depend on the input"),
        (model([node("Conv", ["x", "w"], ["y"])], arrays(w=(4, 2, 3, 3)), (1, 3, 8, 8)), "its kernel must have shape"),
        (model([node("Relu", ["z"], ["y"])], {}, (1, 3, 8, 8)), "its input z is of no earlier node"),
    ],
    ids=range(14),
)
def test_hostile_files_are_refused_with_a_reason(content, why, tmp_path):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(CnncliError, match=why):
        import_model(tmp_path / "net.onnx", tmp_path / "net")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def run(nodes, constants, x, shape=None):
    """The output of a graph for x, in ONNX' layout."""
    graph = messages.model(memoryview(model(nodes, constants, shape or (None, *x.shape[1:]))))
    return onnx_nodes.run(graph, [x])


def test_channels_are_moved_by_names_of_axes_alone_where_nothing_depends_on_them():
    shuffled = [
        node("Reshape", ["x", "groups"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["b", "whole"], ["c"]),
        node("Transpose", ["c"], ["d"], perm=[0, 2, 3, 1]),
        node("Transpose", ["d"], ["e"], perm=[0, 3, 1, 2]),
        node("Relu", ["e"], ["y"]),
    ]
    shapes = {"groups": np.array([0, 2, 2, 5, 3], "i8"), "whole": np.array([-1, 4, 5, 3], "i8")}
    x = np.random.default_rng(2).normal(size=(2, 4, 5, 3)).astype("f4")
    expected = np.maximum(x.reshape(2, 2, 2, 5, 3).transpose(0, 2, 1, 3, 4).reshape(x.shape), 0)
    np.testing.assert_array_equal(run(shuffled, shapes, x), expected)
    turned = [node("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]), node("Transpose", ["a"], ["b"], perm=[0, 3, 1, 2])]
    content = model([*turned, node("Relu", ["b"], ["y"])], {}, (1, 4, 5, 3))
    draft, _ = reading.draft("test", messages.model(memoryview(content)))
    assert [entry.kind for entry in draft.entries] == ["ReLU"]


@pytest.mark.parametrize("halved", ["last", "first", "elsewhere"])
def test_gelu_by_erf_is_one_activation_unless_its_parts_are_read_elsewhere(halved):
    constants = {"root": np.array(2**0.5, "f4"), "one": np.array(1.0, "f4"), "half": np.array(0.5, "f4")}
    nodes = [node("Div", ["x", "root"], ["a"]), node("Erf", ["a"], ["b"]), node("Add", ["b", "one"], ["c"])]
    if halved == "first":
        nodes += [node("Mul", ["half", "x"], ["d"]), node("Mul", ["d", "c"], ["y"])]
    else:
        nodes += [node("Mul", ["x", "c"], ["d"]), node("Mul", ["d", "half"], ["y"])]
    if halved == "elsewhere":
        nodes[-1:] = [node("Mul", ["d", "half"], ["e"]), node("Add", ["e", "a"], ["y"])]
    x = np.linspace(-3, 3, 24, dtype="f4").reshape(2, 3, 2, 2)
    if halved == "elsewhere":
        with pytest.raises(UsageError, match=r"n_b \(Erf\): there is no layer"):
            run(nodes, constants, x)
        return
    expected = [0.5 * v * (1 + erf(v / 2**0.5)) for v in x.ravel()]
    np.testing.assert_allclose(run(nodes, constants, x).ravel(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("operator", "attributes", "function"),
    [
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, "max"),
        ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, "mean"),
        ("AveragePool", {"kernel_shape": [6, 6], "strides": [1, 1], "pads": [0, 1, 1, 0]}, "mean"),
        ("MaxPool", {"kernel_shape": [4, 3], "strides": [3, 1], "pads": [1, 0, 2, 1]}, "max"),
    ],
)
def test_pools_whose_padding_no_layer_has_take_some_of_all_windows(operator, attributes, function):
    x = np.random.default_rng(3).normal(size=(1, 2, 8, 6)).astype("f4") - 3
    top, left, bottom, right = attributes["pads"]
    (rows, columns), size = attributes["strides"], attributes["kernel_shape"]
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, (2, 3))[:, :, ::rows, ::columns]
    expected = getattr(np, f"nan{function}")(windows, axis=(4, 5))
    np.testing.assert_allclose(run([node(operator, ["x"], ["y"], **attributes)], {}, x), expected, atol=1e-6)


def test_the_wire_format_is_read_as_it_is_written():
    for number in (0, 1, 127, 128, 300, (1 << 63) - 1, -1, -(1 << 63)):
        ((key, found),) = protobuf.fields(memoryview(field(5, number)))
        assert (key, protobuf.signed(found)) == (5, number)
    assert protobuf.integers(memoryview(varint(3) + varint(-7))) == [3, -7]
    ((_, found),) = protobuf.fields(memoryview(field(2, 0.5)))
    assert protobuf.number(found) == 0.5


def test_a_network_of_a_draft_needs_its_weights():
    nodes = [node("Conv", ["x", "w"], ["y"])]
    draft, _ = reading.draft("test", messages.model(memoryview(model(nodes, arrays(w=(4, 3, 3, 3)), (1, 3, 8, 8)))))
    assert re.match("n_y", draft.entries[0].name)
    assert imported("test", draft, Refusals()).weights["n_y/kernel"].shape == (3, 3, 3, 4)
