"""The model: a DAG of layers, and its lowering to operations with static shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TypeVar

from cnncli.errors import DeclarationError, ShapeError
from cnncli.layers.layer import Layer, Weight
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Shape, Value

T = TypeVar("T")
INPUT = "input"
"""The name of the model's input."""


@dataclass(frozen=True)
class Node:
    """A named layer, with the names of its inputs: earlier nodes or INPUT."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """Nodes in topological order."""

    input_shape: Shape
    nodes: tuple[Node, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the output nodes: currently only the last node."""
        return (self.nodes[-1].name,)

    def frozen(self, names: Collection[str]) -> Model:
        """The model in which the layers `names` do not train."""
        nodes = (
            Node(node.name, node.layer.replace(trainable=False), node.inputs) if node.name in names else node
            for node in self.nodes
        )
        return Model(self.input_shape, tuple(nodes))


def only(by_name: Mapping[str, T]) -> T:
    """Return the entry of the only output, for code that supports only one. Raises ValueError if there are several."""
    if len(by_name) != 1:
        raise ValueError(f"a model with one output is wanted; received the outputs {', '.join(by_name)}")
    return next(iter(by_name.values()))


@dataclass(frozen=True)
class Parameter:
    """One weight of the model: its name ("conv2d/kernel"), the layer's declaration, and its value in the program."""

    name: str
    weight: Weight
    value: Value

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.weight.shape)


@dataclass(frozen=True)
class Lowered:
    """A model lowered to operations. `outputs` maps each node's name, and INPUT, to its value."""

    builder: Builder
    outputs: dict[str, Value]
    parameters: Sequence[Parameter]

    @property
    def input(self) -> Value:
        """The model's input, with the shape of one sample."""
        return self.outputs[INPUT]

    @property
    def output(self) -> Value:
        """The last node's output."""
        return self.outputs[next(reversed(self.outputs))]


@dataclass(frozen=True)
class LayerSummary:
    """One row of the summary. FLOPs are per sample (forward pass); a multiply-add counts as two.

    `trainable`: the number of trainable parameters.
    """

    name: str
    type: str
    output_shape: Shape
    parameters: int
    trainable: int
    flops: int
    inputs: tuple[str, ...] = field(default=())


def lower(
    model: Model,
    *,
    training: bool = False,
    dtype: str = "float32",
    report: Callable[[Node, DeclarationError], None] | None = None,
) -> Lowered:
    """Lower every node in order; inputs, weights and all values computed from them are stored as `dtype`.

    Raises ShapeError for a node whose inputs have invalid shapes. With `report`, that is called instead; nodes that
    depend on the invalid one are skipped, and the rest is lowered.
    """
    builder = Builder(training=training, dtype=dtype)
    outputs = {INPUT: Value(tuple(model.input_shape), dtype=dtype, label=INPUT)}
    parameters: list[Parameter] = []
    for node in model.nodes:
        if not all(name in outputs for name in node.inputs):
            continue
        try:
            with builder.owned_by(node.name):
                outputs[node.name] = lower_node(builder, node, [outputs[name] for name in node.inputs], parameters)
        except DeclarationError as error:
            if report is None:
                raise type(error)(f"{node.name}: {error}") from None
            report(node, error)
    return Lowered(builder, outputs, parameters)


def summarize(model: Model, lowered: Lowered) -> list[LayerSummary]:
    """Return one row per node, in order."""
    flops, parameters, trainable = Counter[str](), Counter[str](), Counter[str]()
    for call in lowered.builder.calls:
        flops[call.owner] += call.flops
    for parameter in lowered.parameters:
        owner = parameter.name.rpartition("/")[0]
        parameters[owner] += parameter.size
        trainable[owner] += parameter.size * parameter.weight.trainable
    return [
        LayerSummary(
            node.name,
            type(node.layer).__name__,
            lowered.outputs[node.name].shape,
            parameters[node.name],
            trainable[node.name],
            flops[node.name],
            node.inputs,
        )
        for node in model.nodes
    ]


def lower_node(builder: Builder, node: Node, inputs: Sequence[Value], parameters: list[Parameter]) -> Value:
    """Lower one node and append its weights to `parameters`. Raises DeclarationError if the inputs are invalid."""
    least, most = node.layer.arity
    if not least <= len(inputs) <= (most or len(inputs)):
        wanted = f"{'exactly' if least == most else 'at least'} {least}"
        raise ShapeError(f"{type(node.layer).__name__} takes {wanted} input{'s' * (least > 1)}; received {len(inputs)}")
    made = [
        Parameter(label, weight, Value(weight.shape, batched=False, dtype=builder.dtype, label=label))
        for name, weight in node.layer.weights(*(value.shape for value in inputs)).items()
        for label in [f"{node.name}/{name}"]
    ]
    builder.own = {parameter.name.rpartition("/")[2]: parameter.value for parameter in made}
    output = node.layer.lower(builder, *inputs)
    for parameter in made:
        parameter.weight.initializer.check(parameter.weight.shape)
        if parameter.weight.constraint is not None:
            parameter.weight.constraint.check(parameter.weight.shape)
        if parameter.weight.regularizer is not None and parameter.weight.trainable:
            parameter.weight.regularizer.penalize(builder, parameter.value)
    parameters.extend(made)
    return output
