"""Builder of an ONNX graph: names of values, nodes, and weights in ONNX' layout.

ONNX arrays are channels first: a value of shape (H, W, C) becomes (N, C, H, W), and likewise for other ranks; only
Flatten and Reshape depend on the order of elements (`Graph.reshape`).
"""

from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Any, TypeVar

from cnncli.errors import UsageError
from cnncli.interop.inference import Inference
from cnncli.interop.refusal import no_counterpart
from cnncli.ops.ir import Call, Op, Shape, Value

FLOAT = 1
"""ONNX' tensor type float32."""
Found = TypeVar("Found")
Constant = float | list[Any]
"""A number, or numbers in lists of lists."""


class Graph:
    """Nodes, constants and weights of the graph of a network. `wish`: the option that asked for it, for messages.

    `sources` maps values not needed in ONNX to the values read instead. `flattened` maps values of one axis whose
    elements are in ONNX' order to their original shape. `peer` is who the graph is for, in refusals.
    """

    def __init__(self, network: Inference, wish: tuple[str, str] = ("--against", "onnxruntime")) -> None:
        self.network, self.wish = network, wish
        self.input, self.output, self.calls = network.input, network.output, network.calls
        self.names = {self.input: "input"}
        self.input_type = "float32"
        self.input_shape = _channels_first(self.input.shape)
        self.sources: dict[Value, Value] = {}
        self.flattened: dict[Value, Shape] = {}
        self.nodes: list[dict[str, Any]] = []
        self.constants: dict[str, Constant] = {}
        self.weights: dict[str, dict[str, list[int]]] = {}

    def refusal(self, call: Call, how: str = "") -> UsageError:
        """Return the error for an operation without an equivalent."""
        option, name = self.wish
        return no_counterpart(name, f"{self.network.title(call)}{how and f' {how}'}", option)

    def choice(self, call: Call, known: Mapping[str, Found], name: str, what: str) -> Found:
        """Look up `name`, such as a call's activation, in `known`. Raises UsageError if it is missing."""
        if name not in known:
            raise self.refusal(call, f"with {what} {name}")
        return known[name]

    def scale_input(self, dtype: str, factor: float, divisor: float) -> None:
        """Make the graph take images of `dtype`, and begin with conversion to float32 · factor / divisor."""
        self.take(dtype)
        for operator, number in (("Mul", factor), ("Div", divisor)):
            if number != 1:
                self.prepare(operator, self.constant(float(number)))

    def take(self, dtype: str) -> None:
        """Make the graph take images of `dtype`, and begin with conversion to float32."""
        self.input_type = dtype
        if dtype != "float32":
            self.prepare("Cast", to=FLOAT)

    def take_channels_last(self) -> None:
        """Make the graph take inputs with the channels last, and begin with a transposition; before all else."""
        rank = len(self.input.shape)
        if rank > 1:
            self.input_shape = list(self.input.shape)
            self.prepare("Transpose", perm=[0, rank, *range(1, rank)])

    def prepare(self, operator: str, *inputs: str, **attributes: Any) -> None:
        """Append a node that works on the input, before the first operation reads it."""
        self.names[self.input] = self._append("input", operator, [self.names[self.input], *inputs], **attributes)

    def finish(self, *, channels_last: bool = False) -> None:
        """Name the output of the last node "output". `channels_last`: that of an image has its channels last."""
        rank, last = len(self.output.shape), self.names[self.source(self.output)]
        if channels_last and rank > 1:
            last = self._append("output", "Transpose", [last], perm=[0, *range(2, rank + 1), 1])
        made = [node for node in self.nodes if node["output"] == last]
        if not made or any(last in node["inputs"] for node in self.nodes):
            self._append("output", "Identity", [last])
            made = self.nodes[-1:]
        made[0]["output"] = self.names[self.output] = "output"
        self.output_shape = list(self.output.shape) if channels_last else _channels_first(self.output.shape)

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
        name, view = self.network.names[value], view or value.shape
        axes = axes or range(len(view))
        shape = shape or tuple(view[axis] for axis in axes)
        self.weights[name] = {"view": list(view), "axes": list(axes), "shape": list(shape)}
        return name

    def aligned_weight(self, value: Value, rank: int) -> str:
        """Return the name of a weight that has the shape of the last axes of values of `rank`, to be broadcast."""
        view = (*(1,) * (rank - len(value.shape)), *value.shape)
        return self.weight(value, (rank - 1, *range(rank - 1)), view=view)

    def of_channels(self, numbers: Sequence[float], rank: int) -> str:
        """Return the name of an array of a number for each channel, to be broadcast to values of `rank`."""
        found: Any = list(map(float, numbers))
        for _ in range(rank - 1):
            found = [[each] for each in found]
        return self.constant(found)

    def constant(self, value: Constant) -> str:
        """Return the name of a scalar or an array: int64 if all elements are int, otherwise float32."""
        name = f"constant/{len(self.constants)}"
        self.constants[name] = value
        return name

    def emit(self, call: Call, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node, and return the name of its output, which is the output of the call until the next node."""
        name = self.names[call.output] = self._append(call.owner, operator, inputs, **attributes)
        return name

    def note(self, **facts: int) -> None:
        """Add facts to the last node: `unused`, the number of outputs that nothing reads; `rank`, of its values."""
        self.nodes[-1].update(facts)

    def _append(self, owner: str, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{owner}/{len(self.nodes)}"
        about = {"operator": operator, "layer": owner, "attributes": attributes}
        self.nodes.append({**about, "inputs": list(inputs), "output": name})
        return name

    def channels_last(self, call: Call, x: str, rank: int) -> str:
        """Append a transposition of a value to channels last."""
        return self.emit(call, "Transpose", [x], perm=[0, *range(2, rank + 1), 1]) if rank > 1 else x

    def channels_first(self, call: Call, x: str, rank: int) -> str:
        """Append a transposition of a value back to channels first."""
        return self.emit(call, "Transpose", [x], perm=[0, rank, *range(1, rank)]) if rank > 1 else x

    def reshape(self, call: Call, x: str, before: Shape, after: Shape) -> None:
        """Reshape, with elements in channels-last order."""
        if not _one_order(before):
            x = self.channels_last(call, x, len(before))
        if len(after) == 1:
            self.emit(call, "Flatten", [x])
            return
        kept = _one_order(after)
        x = self.emit(call, "Reshape", [x, self.constant([-1, *(_channels_first(after) if kept else after)])])
        if not kept:
            self.channels_first(call, x, len(after))

    def description(self) -> dict[str, Any]:
        """Return the finished graph as JSON-serializable data."""
        return {
            "input_shape": self.input_shape,
            "input_type": self.input_type,
            "nodes": self.nodes,
            "constants": self.constants,
            "weights": self.weights,
            "output": self.names[self.output],
            "output_shape": self.output_shape,
        }


def _channels_first(shape: Shape) -> list[int]:
    return [shape[-1], *shape[:-1]]


def _one_order(shape: Shape) -> bool:
    """Whether the order of elements is the same, channels first or last."""
    return shape[-1] == 1 or prod(shape[:-1]) == 1
