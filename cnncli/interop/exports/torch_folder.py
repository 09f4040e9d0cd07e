"""A folder for PyTorch: model.py, an nn.Module for one network, and its state_dict as weights.safetensors.

It is made of the graph for ONNX, whose operators and layouts of weights are PyTorch's. Normalizations are not folded,
so that the network can be trained further.
"""

import re
from collections.abc import Iterator, Mapping
from keyword import kwlist
from textwrap import indent
from typing import Any

import numpy as np
from safetensors.numpy import save

from cnncli.escaping import one_line
from cnncli.interop.exports.exported import Exported, ExportOptions
from cnncli.interop.exports.torch_dropout import TRANSLATORS as OF_DROPOUT
from cnncli.interop.exports.torch_dropout import with_dropout
from cnncli.interop.exports.torch_expressions import EXPRESSIONS, framed, padding
from cnncli.interop.inference import inference
from cnncli.interop.onnx.graph import Graph
from cnncli.interop.onnx.network import describe
from cnncli.training.runs.checkpoint import ordered

Array = np.ndarray[Any, Any]
Node = Mapping[str, Any]
SCRIPT = '''\
"""{name}: a network trained with cnncli, for PyTorch. It needs the packages torch and safetensors.

    network = load()
    y = network(x)

x: images, float32 (N, {input}); y: (N, {output}).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

{constants}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
{modules}

    def forward(self, x):
{body}
        return x


def load():
    """The network with its weights, for inference."""
    network = Network()
    network.load_state_dict(load_file(Path(__file__).with_name("weights.safetensors")))
    return network.eval()
'''


def export(exported: Exported, options: ExportOptions) -> dict[str, bytes]:
    """The files. Raises UsageError for an operation without an equivalent."""
    del options
    made = _Module(exported)
    return {"model.py": made.script().encode(), "weights.safetensors": made.weights()}


class _Module:
    """A network as a module. `modules`: the lines that create its parts. `state`: its state_dict."""

    def __init__(self, exported: Exported) -> None:
        self.exported = exported
        model = exported.spec.model
        network = inference(with_dropout(model), exported.weights)
        graph = Graph(network, ("--format", "torch"))
        self.description = describe(graph, more=OF_DROPOUT)
        self.arrays: dict[str, Array] = {
            name: network.arrays[name].reshape(how["view"]).transpose(how["axes"]).reshape(how["shape"])
            for name, how in self.description["weights"].items()
        }
        self.layers = {node.name: type(node.layer).__name__ for node in model.nodes}
        self.nodes: list[Node] = self.description["nodes"]
        self.state: dict[str, Array] = {}
        self.modules: list[str] = []
        self.taken = {"x", *_RESERVED, *kwlist}
        self.variables = {"input": "x"}
        self.body = list(self._body())

    def script(self) -> str:
        """The text of model.py."""
        scale, offset = self.exported.scale_and_offset()
        constants = [f"SCALE, OFFSET = {scale}, {offset}  # of the channels: x is SCALE · pixel + OFFSET"]
        if self.exported.classes:
            constants.append(f"CLASSES = {list(self.exported.classes)!r}")
        return SCRIPT.format(
            name=one_line(self.exported.spec.name).replace("\\", "").replace('"', ""),
            input=", ".join(map(str, self.description["input_shape"])),
            output=", ".join(map(str, self.description["output_shape"])),
            constants="\n".join(constants),
            modules=indent("\n".join(self.modules), "        ") or "        # no weights",
            body=indent("\n".join(self.body), "        "),
        )

    def weights(self) -> bytes:
        """The content of weights.safetensors."""
        state = {name: np.ascontiguousarray(array) for name, array in self.state.items()}
        return ordered(save(state, self.exported.metadata()))

    def _body(self) -> Iterator[str]:
        layer = None
        readers = [node for node in self.nodes if "input" in node["inputs"]]
        if readers != self.nodes[:1]:
            self.variables["input"] = "image"
            self.taken.add("image")
            yield "image = x"
        for place, node in enumerate(self.nodes):
            if node["layer"] != layer and node["layer"] in self.layers:
                layer = node["layer"]
                yield f"# {one_line(f'{layer} ({self.layers[layer]})')}"
            expression = self._expression(node)
            yield f"{self._variable(place, node)} = {expression}"

    def _variable(self, place: int, node: Node) -> str:
        """Name the output of the node at a place: `x` if only the next node reads it."""
        name = node["output"]
        readers = [other for other in self.nodes if name in other["inputs"]]
        found = "x" if readers == self.nodes[place + 1 : place + 2] else self._free(f"{node['layer']}_out")
        if name == self.description["output"]:
            found = "x"
        self.variables[name] = found
        return found

    def _expression(self, node: Node) -> str:
        made = MODULES.get(node["operator"])
        if made is not None and self._has_weights(node):
            return made(self, node)
        if node["operator"] == "Dropout":
            return self._dropout(node, **node["attributes"])
        if node["operator"] == "BatchNormalization":
            scale, offset = (
                self._buffer(node, np.array(self._number(name), np.float32)) for name in node["inputs"][1:3]
            )
            return f"{self.variables[node['inputs'][0]]} * {scale} + {offset}"
        return EXPRESSIONS[node["operator"]]([self._given(node, name) for name in node["inputs"]], node["attributes"])

    def _dropout(self, node: Node, ratio: float, whole_channels: int) -> str:
        attribute = self._free(node["layer"])
        self.modules.append(f"self.{attribute} = nn.Dropout{'2d' * whole_channels}({ratio})")
        return f"self.{attribute}({self.source(node)})"

    def _has_weights(self, node: Node) -> bool:
        return any(name in self.arrays for name in node["inputs"][1:])

    def _given(self, node: Node, name: str) -> Any:
        """An input: a variable, a parameter, a number, a list of integers or small numbers, or a buffer."""
        if name in self.variables:
            return self.variables[name]
        if name in self.arrays:
            return self._parameter(name)
        value = self.description["constants"].get(name, name)
        if isinstance(value, list) and (isinstance(value[0], list) or node["operator"] not in _WITH_LISTS):
            return self._buffer(node, np.array(value, np.float32))
        return value

    def _parameter(self, name: str) -> str:
        """Create a parameter with a weight, and return it."""
        attribute, array = self._free(name), self.arrays[name]
        self.modules.append(f"self.{attribute} = nn.Parameter(torch.empty{array.shape})")
        self.state[attribute] = array
        return f"self.{attribute}"

    def _buffer(self, node: Node, array: Array) -> str:
        """Create a buffer with constants, and return it."""
        if node["operator"] == "BatchNormalization":  # of channels
            array = array.reshape(-1, *[1] * (node["rank"] - 1))
        attribute = self._free(f"{node['layer']}_constant")
        self.modules.append(f'self.register_buffer("{attribute}", torch.empty{array.shape})')
        self.state[attribute] = array
        return f"self.{attribute}"

    def _number(self, name: str) -> Any:
        return self.description["constants"][name]

    def array(self, name: str) -> Array:
        """A weight, or constants in its place."""
        return self.arrays[name] if name in self.arrays else np.array(self._number(name), np.float32)

    def module(self, node: Node, text: str, state: Mapping[str, Array]) -> str:
        """Create a module of torch.nn, and return its call."""
        own = next(name for name in node["inputs"] if name in self.arrays).rpartition("/")[2]
        part = own.removesuffix("kernel").strip("_") if own.endswith("kernel") else ""
        attribute = self._free(f"{node['layer']}_{part}" if part else node["layer"])
        self.modules.append(f"self.{attribute} = nn.{text}")
        self.state |= {f"{attribute}.{name}": array for name, array in state.items()}
        return f"self.{attribute}"

    def source(self, node: Node) -> str:
        """The variable of the first input."""
        return self.variables[node["inputs"][0]]

    def momentum(self, node: Node) -> float:
        """PyTorch's momentum of a normalization, which is the weight of the new value."""
        layer = next(own.layer for own in self.exported.spec.model.nodes if own.name == node["layer"])
        return round(1 - getattr(layer, "momentum", 0.9), 9)

    def _free(self, name: str) -> str:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        plain = plain if not plain[0].isdigit() else f"_{plain}"
        number, found = 1, plain
        while found in self.taken:
            number += 1
            found = f"{plain}_{number}"
        self.taken.add(found)
        return found


_RESERVED = frozenset(
    (
        *(
            "add_module",
            "apply",
            "bfloat16",
            "buffers",
            "children",
            "compile",
            "cpu",
            "cuda",
            "double",
            "eval",
            "float",
        ),
        *(
            "extra_repr",
            "forward",
            "get_buffer",
            "get_parameter",
            "get_submodule",
            "half",
            "load_state_dict",
            "modules",
        ),
        *("named_parameters", "parameters", "register_buffer", "requires_grad_", "share_memory", "state_dict", "to"),
        *("train", "training", "type", "zero_grad"),
    )
)
"""Attributes of nn.Module that a layer could be named like."""
_WITH_LISTS = frozenset(
    ("Clip", "CumSum", "Expand", "Gather", "Pad", "ReduceMax", "ReduceMean", "ReduceSum", "Reshape", "Resize", "TopK")
)
"""Operators whose lists are integers for their code."""


def _options(**given: Any) -> str:
    """Keyword arguments, without those that are None."""
    return "".join(f", {name}={value}" for name, value in given.items() if value is not None)


def _unless(default: int, lengths: list[int]) -> Any:
    return None if set(lengths) == {default} else lengths[0] if len(set(lengths)) == 1 else tuple(lengths)


def _state(module: _Module, node: Node) -> dict[str, Array]:
    names = zip(("weight", "bias"), node["inputs"][1:], strict=False)
    return {name: module.array(source) for name, source in names}


def _convolution(module: _Module, node: Node) -> str:
    more, x, state = node["attributes"], module.source(node), _state(module, node)
    kernel, rank = state["weight"].shape, len(more["kernel_shape"])
    groups = more.get("group", 1)
    before, after = padding(more.get("pads", [0] * 2 * rank))
    text = f"Conv{rank}d({kernel[1] * groups}, {kernel[0]}, {_unless(0, more['kernel_shape'])}" + _options(
        stride=_unless(1, more.get("strides", [1])),
        padding=_unless(0, before) if before == after else None,
        dilation=_unless(1, more.get("dilations", [1])),
        groups=groups if groups > 1 else None,
        bias=None if "bias" in state else False,
    )
    return f"{module.module(node, f'{text})', state)}({x if before == after else framed(x, before, after)})"


def _transposed(module: _Module, node: Node) -> str:
    """PyTorch crops symmetrically: what is more on one side is cropped afterwards."""
    more, x, state = node["attributes"], module.source(node), _state(module, node)
    kernel, (before, after) = state["weight"].shape, padding(more["pads"])
    least = [min(pair) for pair in zip(before, after, strict=True)]
    text = f"ConvTranspose2d({kernel[0]}, {kernel[1]}, {_unless(0, more['kernel_shape'])}" + _options(
        stride=_unless(1, more["strides"]),
        padding=_unless(0, least),
        output_padding=_unless(0, more["output_padding"]),
        dilation=_unless(1, more["dilations"]),
        bias=None if "bias" in state else False,
    )
    made = f"{module.module(node, f'{text})', state)}({x})"
    first, last = ([done - cut for cut, done in zip(cuts, least, strict=True)] for cuts in (before, after))
    return framed(made, first, last) if any(first) or any(last) else made


def _dense(module: _Module, node: Node) -> str:
    state = _state(module, node)
    units, inputs = state["weight"].shape
    text = f"Linear({inputs}, {units}{_options(bias=None if 'bias' in state else False)})"
    return f"{module.module(node, text, state)}({module.source(node)})"


def _normalization(module: _Module, node: Node) -> str:
    keys = ("weight", "bias", "running_mean", "running_var")
    state = {key: module.array(name) for key, name in zip(keys, node["inputs"][1:], strict=True)}
    state["num_batches_tracked"] = np.array(0, np.int64)
    about = _options(eps=node["attributes"]["epsilon"], momentum=module.momentum(node))
    text = f"BatchNorm{max(1, node['rank'] - 1)}d({len(state['weight'])}{about})"
    return f"{module.module(node, text, state)}({module.source(node)})"


def _layer_normalization(module: _Module, node: Node) -> str:
    state = _state(module, node)
    shape = state["weight"].shape
    about = _options(eps=node["attributes"]["epsilon"], bias=None if "bias" in state else False)
    text = f"LayerNorm({shape[0] if len(shape) == 1 else tuple(shape)}{about})"
    return f"{module.module(node, text, state)}({module.source(node)})"


MODULES = {
    "BatchNormalization": _normalization,
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "Gemm": _dense,
    "LayerNormalization": _layer_normalization,
}
"""Operators with weights: they create a module, and return its call."""
