"""The model: layers as nodes of a DAG, and its lowering to operations with every shape known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TypeVar

from cnncli.errors import DeclarationError, ShapeError
from cnncli.layers.layer import Layer, Weight
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Call, Shape, Value

T = TypeVar("T")
INPUT = "input"
"""The name under which nodes read what the model is fed."""


@dataclass(frozen=True)
class Node:
    """A layer in its place: its name, and the names of the earlier nodes (or INPUT) it reads."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """Nodes in an order in which each reads earlier ones only."""

    input_shape: Shape
    nodes: tuple[Node, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The nodes whose values the model gives, by name: today the last one alone."""
        return (self.nodes[-1].name,)


def only(by_name: Mapping[str, T]) -> T:
    """What belongs to the only output: for whoever knows of one alone. Raises ValueError where there are others."""
    if len(by_name) != 1:
        raise ValueError(f"a model with one output is wanted; received the outputs {', '.join(by_name)}")
    return next(iter(by_name.values()))


@dataclass(frozen=True)
class Parameter:
    """One weight of the model: "conv2d/kernel", what the layer asked for, and the value it is in the program."""

    name: str
    weight: Weight
    value: Value

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.weight.shape)


@dataclass(frozen=True)
class Lowered:
    """A model as operations. `outputs` maps each node's name to its value; INPUT is among them."""

    builder: Builder
    outputs: dict[str, Value]
    parameters: Sequence[Parameter]

    @property
    def input(self) -> Value:
        """What the model is fed, one sample's shape."""
        return self.outputs[INPUT]

    @property
    def output(self) -> Value:
        """What the last node gives."""
        return self.outputs[next(reversed(self.outputs))]

    def calls_of(self, node: str) -> list[Call]:
        """The operations a node was lowered to."""
        return [call for call in self.builder.calls if call.owner == node]

    def parameters_of(self, node: str) -> list[Parameter]:
        """The weights of a node."""
        return [parameter for parameter in self.parameters if parameter.name.rpartition("/")[0] == node]


@dataclass(frozen=True)
class LayerSummary:
    """One row of the summary. FLOPs are those of one sample forward; a multiply-add counts two.

    `trainable`: how many of the parameters are.
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
    """Lower every node in order; inputs, weights and what follows from them are stored as `dtype`.

    A node that does not fit what it is fed raises ShapeError; with `report`, that is called instead, nodes that depend
    on the faulty one are left out, and the rest is lowered.
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
    """One row a node, in order."""
    return [
        LayerSummary(
            node.name,
            type(node.layer).__name__,
            lowered.outputs[node.name].shape,
            sum(parameter.size for parameter in lowered.parameters_of(node.name)),
            sum(parameter.size for parameter in lowered.parameters_of(node.name) if parameter.weight.trainable),
            sum(call.flops for call in lowered.calls_of(node.name)),
            node.inputs,
        )
        for node in model.nodes
    ]


def lower_node(builder: Builder, node: Node, inputs: Sequence[Value], parameters: list[Parameter]) -> Value:
    """Lower one node on `builder`, its weights added to `parameters`; raises DeclarationError where it does not fit."""
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
        if parameter.weight.constraint is not None:
            parameter.weight.constraint.check(parameter.weight.shape)
        if parameter.weight.regularizer is not None and parameter.weight.trainable:
            builder.penalty(parameter.value, *parameter.weight.regularizer.amounts)
    parameters.extend(made)
    return output
