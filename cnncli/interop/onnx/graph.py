"""Builder of an ONNX graph: names of values, nodes, and weights in ONNX' layout.

ONNX arrays are channels first: a value of shape (H, W, C) becomes (N, C, H, W), and likewise for other ranks; only
Flatten and Reshape depend on the order of elements (`Graph.reshape`).
"""

from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Any, TypeVar

from cnncli.errors import UsageError
from cnncli.graph.model import Lowered, Model
from cnncli.interop.refusal import no_counterpart
from cnncli.ops.ir import Call, Op, Shape, Value

FLOAT = 1
"""ONNX' tensor type float32."""
Found = TypeVar("Found")


class Graph:
    """Nodes, constants and weights of the graph of `model`, whose operations are `calls`.

    `sources` maps values not needed in ONNX to the values read instead. `flattened` maps values of one axis whose
    elements are in ONNX' order to their original shape. `peer` is who the graph is for, in refusals.
    """

    def __init__(self, model: Model, lowered: Lowered, calls: Sequence[Call], peer: str) -> None:
        self.peer = peer
        self.layers = {node.name: type(node.layer).__name__ for node in model.nodes}
        self.input, self.output, self.calls = lowered.input, lowered.output, calls
        self.parameters = {parameter.value: parameter.name for parameter in lowered.parameters}
        self.names = {lowered.input: "input"}
        self.input_type = "float32"
        self.sources: dict[Value, Value] = {}
        self.flattened: dict[Value, Shape] = {}
        self.nodes: list[dict[str, Any]] = []
        self.constants: dict[str, float | list[float]] = {}
        self.weights: dict[str, dict[str, list[int]]] = {}

    def refusal(self, call: Call, how: str = "") -> UsageError:
        """Return the error for an operation without an equivalent."""
        return no_counterpart(self.peer, f"{call.owner} ({self.layers[call.owner]}){how and f' {how}'}")

    def choice(self, call: Call, known: Mapping[str, Found], name: str, what: str) -> Found:
        """Look up `name`, such as a call's activation, in `known`. Raises UsageError if it is missing."""
        if name not in known:
            raise self.refusal(call, f"with {what} {name}")
        return known[name]

    def scale_input(self, dtype: str, factor: float, divisor: float) -> None:
        """Make the graph take images of `dtype`, and begin with conversion to float32 · factor / divisor."""
        self.input_type, x = dtype, "input"
        if dtype != "float32":
            x = self._append("input", "Cast", [x], to=FLOAT)
        for operator, number in (("Mul", factor), ("Div", divisor)):
            if number != 1:
                x = self._append("input", operator, [x, self.constant(float(number))])
        self.names[self.input] = x

    def source(self, value: Value) -> Value:
        """Return the value that is read instead of `value`, or `value` itself."""
        return self.sources.get(value, value)

    def name(self, call: Call, value: Value) -> str:
        """Return the name of an input of a call. Raises UsageError for a weight; see `weight`."""
        if self.source(value) not in self.names:
            raise self.refusal(call, "which works on its weights")
        return self.names[self.source(value)]

    def read(self, call: Call) -> list[str]:
        """Return the names of all inputs of a call."""
        return [self.name(call, value) for value in call.inputs]

    def skip(self, call: Call, readers: Collection[type[Op]]) -> None:
        """Skip a call: its output may be read only by operations of these kinds, which read its input instead."""
        value = call.output
        if value is self.output or not self.read_only_by(value, readers):
            raise self.refusal(call)
        self.sources[value] = self.source(call.inputs[0])

    def read_only_by(self, value: Value, readers: Collection[type[Op]]) -> bool:
        """Whether `value` is read only by operations of these kinds."""
        return all(type(call.op) in readers for call in self.calls if value in call.inputs)

    def weight(self, value: Value, axes: Sequence[int] = (), *, view: Shape = (), shape: Shape = ()) -> str:
        """Return the name of a weight after `.reshape(view).transpose(axes).reshape(shape)`, as far as given."""
        name, view = self.parameters[value], view or value.shape
        axes = axes or range(len(view))
        shape = shape or tuple(view[axis] for axis in axes)
        self.weights[name] = {"view": list(view), "axes": list(axes), "shape": list(shape)}
        return name

    def constant(self, value: float | list[float]) -> str:
        """Return the name of a scalar or one-dimensional array: int64 if all elements are int, otherwise float32."""
        name = f"constant/{len(self.constants)}"
        self.constants[name] = value
        return name

    def emit(self, call: Call, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node, and return the name of its output, which is the output of the call until the next node."""
        name = self.names[call.output] = self._append(call.owner, operator, inputs, **attributes)
        return name

    def _append(self, owner: str, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{owner}/{len(self.nodes)}"
        self.nodes.append({"operator": operator, "inputs": list(inputs), "output": name, "attributes": attributes})
        return name

    def reshape(self, call: Call, x: str, before: Shape, after: Shape) -> None:
        """Reshape, with elements in channels-last order."""
        if not _one_order(before):
            x = self.emit(call, "Transpose", [x], perm=[0, *range(2, len(before) + 1), 1])
        if len(after) == 1:
            self.emit(call, "Flatten", [x])
            return
        kept = _one_order(after)
        x = self.emit(call, "Reshape", [x, self.constant([-1, *(_channels_first(after) if kept else after)])])
        if not kept:
            self.emit(call, "Transpose", [x], perm=[0, len(after), *range(1, len(after))])

    def description(self) -> dict[str, Any]:
        """Return the graph as JSON-serializable data."""
        return {
            "input_shape": _channels_first(self.input.shape),
            "input_type": self.input_type,
            "nodes": self.nodes,
            "constants": self.constants,
            "weights": self.weights,
            "output": self.names[self.output],
            "output_shape": _channels_first(self.output.shape),
        }


def _channels_first(shape: Shape) -> list[int]:
    return [shape[-1], *shape[:-1]]


def _one_order(shape: Shape) -> bool:
    """Whether the order of elements is the same, channels first or last."""
    return shape[-1] == 1 or prod(shape[:-1]) == 1
