"""Exported PyTorch modules: their text here, and their outputs where there is PyTorch.

`CNNCLI_TORCH_PYTHON` is the Python of an environment with PyTorch; without it, what needs it is skipped.
"""

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from cnncli.graph.model import INPUT, Model, Node
from cnncli.interop.exports import numpy_folder
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.exports.torch_folder import export
from cnncli.interop.inference import inference
from cnncli.layers.layer import LAYERS
from cnncli.layers.meaning import Meaning
from tests.interop.models import OneLayer, Spec, channels_first, examples

PYTHON = os.environ.get("CNNCLI_TORCH_PYTHON") or (sys.executable if find_spec("torch") else "")
HERE = Path(__file__).parent
CASES = list(examples())


def exported(model, weights):
    return export(Exported(Spec(model), weights, [], Meaning.NUMBERS, 1.0), ExportOptions())


@pytest.mark.parametrize(("name", "arguments", "shapes"), [pytest.param(*case, id=i) for i, *case in CASES])
def test_the_module_of_every_layer_is_python_and_has_each_tensor_of_its_state(name, arguments, shapes):
    one = OneLayer(name, arguments, shapes)
    files = exported(one.model, one.weights)
    tree = ast.parse(files["model.py"])
    made = {
        node.args[0].value if isinstance(node, ast.Call) else node.targets[0].attr
        for node in ast.walk(tree)
        if (isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "register_buffer")
        or (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute))
    }
    made -= {
        node.targets[0].attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("nn.Dropout")
    }
    state = load(files["weights.safetensors"])
    assert {key.partition(".")[0] for key in state} == made
    assert sum(tensor.size for tensor in state.values()) >= sum(weight.size for weight in one.weights.values())


def test_the_code_of_a_network_is_that_which_people_write():
    entries = {
        "conv": {"Conv2D": {"filters": 4, "kernel_size": 3, "strides": 2, "activation": "relu"}},
        "norm": {"BatchNormalization": {"momentum": 0.9}},
        "spatial": {"SpatialDropout2D": {"rate": 0.1}},
        "flatten": "Flatten",
        "dropout": {"Dropout": {"rate": 0.4}},
        "dense": {"Dense": {"units": 2, "activation": "softmax"}},
    }
    nodes = [Node(n, LAYERS.parse(e), (b,)) for (n, e), b in zip(entries.items(), [INPUT, *entries], strict=False)]
    model = Model((5, 5, 1), tuple(nodes))
    weights = {name: np.zeros(value.shape, np.float32) for value, name in inference(model).names.items()}
    files = exported(model, weights)
    text = files["model.py"].decode()
    assert (
        """\
        self.conv = nn.Conv2d(1, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4, eps=0.001, momentum=0.1)
        self.spatial = nn.Dropout2d(0.1)
        self.dropout = nn.Dropout(0.4)
        self.dense = nn.Linear(16, 2)

    def forward(self, x):
        # conv (Conv2D)
        x = self.conv(x)
        x = F.relu(x)
        # norm (BatchNormalization)
        x = self.norm(x)
        # spatial (SpatialDropout2D)
        x = self.spatial(x)
        # flatten (Flatten)
        x = x.permute(0, 2, 3, 1)
        x = torch.flatten(x, 1)
        # dropout (Dropout)
        x = self.dropout(x)
        # dense (Dense)
        x = self.dense(x)
        x = torch.softmax(x, dim=1)
        return x
"""
        in text
    )
    assert load(files["weights.safetensors"])["norm.num_batches_tracked"] == 0


@pytest.mark.parametrize("name", ["class", "1st", "x²", "forward", "a/b", "x", "stage1/conv\n"])
def test_any_name_of_a_layer_becomes_one_in_python(name):
    dense, both = LAYERS.parse({"Dense": {"units": 2}}), LAYERS.parse("Add")
    model = Model((2,), (Node(name, dense, (INPUT,)), Node("sum", both, (name, INPUT))))
    weights = {name: np.zeros(value.shape, np.float32) for value, name in inference(model).names.items()}
    found = Exported(Spec(model), weights, [], Meaning.NUMBERS, 1.0)
    compile(export(found, ExportOptions())["model.py"], "model.py", "exec")
    compile(numpy_folder.export(found, ExportOptions())["predict.py"], "predict.py", "exec")


@pytest.mark.long
@pytest.mark.skipif(not PYTHON, reason="needs PyTorch, or CNNCLI_TORCH_PYTHON with it")
def test_pytorch_computes_of_every_layer_what_its_naive_twin_does(tmp_path):
    expected = {}
    for case, name, arguments, shapes in CASES:
        one = OneLayer(name, arguments, shapes)
        expected[case] = channels_first(one.expected)
        np.savez(tmp_path / f"{case}.npz", x=np.ascontiguousarray(channels_first(one.x)))
        (tmp_path / case).mkdir()
        for file, content in exported(one.model, one.weights).items():
            (tmp_path / case / file).write_bytes(content)
    done = subprocess.run(
        [PYTHON, str(HERE / "torch_load.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for case, y in expected.items():
        got = np.load(tmp_path / f"{case}.out.npz")["y"]
        np.testing.assert_allclose(got, y, rtol=1e-5, atol=1e-5, err_msg=case)
