"""ONNX models as plain data (onnx.proto): nodes, constants, inputs, outputs; no subgraphs, and no other files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.errors import CnncliError, reason
from cnncli.interop.incoming.draft import Array
from cnncli.protobuf import DamagedError, content, fields, integers, number, signed, text
from cnncli.system import memory
from cnncli.system.files import read_bounded

DTYPES = {
    **{1: "f4", 2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8"},
    **{9: "?", 10: "f2", 11: "f8", 12: "u4", 13: "u8", 16: "u2"},
}
"""NumPy's notation of ONNX' tensor types; bfloat16 as its bits."""
FLOATS = (1, 10, 11, 16)
BFLOAT16, FLOAT16 = HALVES = (16, 10)
MOST_AXES, MOST_NODES = 16, 200_000
OUTSIDE = "stores weights in other files, which are never opened: save it as one file"


@dataclass(frozen=True)
class Input:
    """An input: its name, ONNX' type, and its lengths, None where they are open; None without a shape."""

    name: str
    kind: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class OnnxNode:
    """An operator with the names of its inputs ("" for one left out) and outputs. `graphs`: it has subgraphs."""

    operator: str
    name: str
    domain: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Any]
    graphs: bool

    @property
    def shown(self) -> str:
        """Its name, or that of its output."""
        return self.name or next(iter(self.outputs), "")


@dataclass
class OnnxGraph:
    """A graph. `opset`: the version of ONNX' own operators."""

    opset: int = 1
    nodes: list[OnnxNode] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    inputs: list[Input] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def read(path: Path) -> OnnxGraph:
    """The graph of an ONNX file. Raises CnncliError for a file that is damaged, too large or not whole."""
    try:
        whole = memoryview(read_bounded(path, memory.limit() // 3))
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {reason(error)}") from None
    try:
        graph = model(whole)
    except (DamagedError, ValueError, OverflowError) as error:
        raise CnncliError(f"{path}: is damaged or no ONNX model: {error}") from None
    if not graph.nodes or not graph.outputs:
        raise CnncliError(f"{path}: is no ONNX model: it has no nodes or no outputs")
    return graph


def model(message: memoryview) -> OnnxGraph:
    """The graph of a ModelProto. Raises DamagedError, or ValueError for weights in other files."""
    graph = OnnxGraph()
    for key, value in fields(message):
        if key == 7:
            _graph(content(value), graph)
        elif key == 8:
            given = dict(fields(content(value)))
            if text(given.get(1, memoryview(b""))) in ("", "ai.onnx"):
                graph.opset = signed(given.get(2, 1))
        elif key == 25:
            raise DamagedError("functions of the model's own are not supported")
    return graph


def _graph(message: memoryview, graph: OnnxGraph) -> None:
    for key, value in fields(message):
        if key == 1:
            graph.nodes.append(_node(content(value)))
        elif key == 5:
            name, array = tensor(content(value))
            graph.constants[name] = array
        elif key == 11:
            graph.inputs.append(_input(content(value)))
        elif key == 12:
            graph.outputs.append(_input(content(value)).name)
        elif key == 15:
            raise DamagedError("sparse weights are not supported")
        if len(graph.nodes) > MOST_NODES:
            raise DamagedError(f"more than {MOST_NODES:,} nodes")


def _node(message: memoryview) -> OnnxNode:
    inputs, outputs, words = list[str](), list[str](), {3: "", 4: "", 7: ""}
    attributes: dict[str, Any] = {}
    graphs = False
    for key, value in fields(message):
        if key in (1, 2):
            (inputs if key == 1 else outputs).append(text(value))
        elif key in words:
            words[key] = text(value)
        elif key == 5:
            name, given, has_graph = _attribute(content(value))
            attributes[name] = given
            graphs |= has_graph
    return OnnxNode(words[4], words[3], words[7], inputs, outputs, attributes, graphs)


def _attribute(message: memoryview) -> tuple[str, Any, bool]:
    """Name and value of an attribute, and whether it is a graph."""
    name, many, graph = "", list[Any](), False
    single: Any = None
    for key, value in fields(message):
        if key == 1:
            name = text(value)
        elif key == 2:
            single = float(str(np.float32(number(value))))  # 1e-05, not 9.999999747378752e-06
        elif key == 3:
            single = signed(value)
        elif key == 4:
            single = text(value)
        elif key == 5:
            single = tensor(content(value))[1]
        elif key == 7:
            packed = isinstance(value, memoryview) and len(value) != 4
            many += np.frombuffer(_whole(content(value), 4), "<f4").tolist() if packed else [number(value)]
        elif key == 8:
            many += integers(value)
        elif key == 9:
            many.append(text(value))
        elif key in (6, 11):
            graph = True
    return name, many if single is None else single, graph


def _input(message: memoryview) -> Input:
    name, kind, shape = "", 0, None
    for key, value in fields(message):
        if key == 1:
            name = text(value)
        elif key == 2:
            for of_type, inner in fields(content(value)):
                if of_type == 1:
                    kind, shape = _tensor_type(content(inner))
    return Input(name, kind, shape)


def _tensor_type(message: memoryview) -> tuple[int, tuple[int | None, ...] | None]:
    kind, shape = 0, None
    for key, value in fields(message):
        if key == 1:
            kind = signed(value)
        elif key == 2:
            lengths = [dict(fields(content(axis))).get(1) for number, axis in fields(content(value)) if number == 1]
            shape = tuple(signed(one) if one is not None and signed(one) > 0 else None for one in lengths)
    return kind, shape


def tensor(message: memoryview) -> tuple[str, Array]:
    """Name and array of a TensorProto; bfloat16 as float32. Raises DamagedError if its bytes are not its shape's."""
    found = _parts(message)
    name, kind, shape = found.name, found.kind, found.shape
    if kind not in DTYPES:
        return name, np.array(None)
    if len(shape) > MOST_AXES or min(shape, default=0) < 0:
        raise DamagedError(f"{name} has the shape {shape}")
    code = np.dtype(f"<{DTYPES[kind]}")
    if found.raw is not None:
        array = np.frombuffer(_whole(found.raw, code.itemsize), code)
    else:
        array = _cast(np.concatenate(found.listed) if found.listed else np.zeros(0), kind, code)
    if array.size != prod(shape):
        raise DamagedError(f"{name} has {array.size:,} numbers for the shape {shape}")
    if kind == BFLOAT16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return name, array.reshape(shape)


@dataclass
class _Parts:
    """The fields of a TensorProto."""

    name: str = ""
    kind: int = 0
    shape: list[int] = field(default_factory=list)
    raw: memoryview | None = None
    listed: list[Any] = field(default_factory=list)


def _parts(message: memoryview) -> _Parts:
    found = _Parts()
    for key, value in fields(message):
        if key == 1:
            found.shape += integers(value)
        elif key == 2:
            found.kind = signed(value)
        elif key == 8:
            found.name = text(value)
        elif key == 9:
            found.raw = content(value)
        elif key in (3, 13) or (key == 14 and value == 1):
            raise DamagedError(OUTSIDE)
        elif key in _LISTED:
            found.listed.append(_LISTED[key](value))
    return found


def _cast(numbers: Array, kind: int, code: "np.dtype[Any]") -> Array:
    """Numbers in fields of their own: float16 are the bits of integers."""
    if kind in (FLOAT16, BFLOAT16):
        bits = numbers.astype(np.uint16)
        return bits.view(code) if kind == FLOAT16 else bits
    return numbers.astype(code)


def _whole(raw: memoryview, size: int) -> memoryview:
    if len(raw) % size:
        raise DamagedError("numbers that are cut off")
    return raw


def _packed(code: str, size: int) -> Any:
    return lambda value: np.frombuffer(_whole(content(value), size), code)


_LISTED = {
    4: _packed("<f4", 4),
    5: lambda value: np.array(integers(value), np.int64),
    7: lambda value: np.array(integers(value), np.int64),
    10: _packed("<f8", 8),
    11: lambda value: np.array(integers(value), np.int64).view(np.uint64),
}
"""Fields of a TensorProto with its numbers."""
