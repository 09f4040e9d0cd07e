"""Dropout of a network for PyTorch: an operation of its own, which inference otherwise has not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from cnncli.graph.model import Model, Node
from cnncli.interop.onnx.graph import Graph
from cnncli.interop.onnx.network import Translator
from cnncli.layers.declarations.field_types import Number
from cnncli.layers.layer import Layer
from cnncli.layers.noise import Dropout, SpatialDropout2D
from cnncli.ops.builder import Builder
from cnncli.ops.elementwise import Elementwise
from cnncli.ops.ir import Call, Op, Value


@dataclass(frozen=True)
class Dropped(Elementwise):
    """Drops numbers, or whole channels, in training."""

    rate: float
    whole_channels: bool


class Kept(Layer):
    """In the place of a dropout."""

    rate: Annotated[float, Number(0, 1)]
    whole_channels: bool = False

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.emit(Dropped(self.rate, self.whole_channels), *inputs)


def with_dropout(model: Model) -> Model:
    """The model in which dropout that PyTorch has is kept."""
    return replace(model, nodes=tuple(map(_kept, model.nodes)))


def _kept(node: Node) -> Node:
    layer = node.layer
    if isinstance(layer, SpatialDropout2D) and layer.rate:
        return replace(node, layer=Kept(rate=layer.rate, whole_channels=True))
    if isinstance(layer, Dropout) and layer.rate and layer.noise_shape is None:
        return replace(node, layer=Kept(rate=layer.rate))
    return node


def _translated(graph: Graph, call: Call, op: Dropped) -> None:
    graph.emit(call, "Dropout", graph.read(call), ratio=op.rate, whole_channels=int(op.whole_channels))


TRANSLATORS: Mapping[type[Op], Translator] = {Dropped: _translated}
