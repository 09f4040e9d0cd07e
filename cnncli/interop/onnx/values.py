"""Values of an ONNX graph on their way to layers: their axes, in ONNX' order and in ours.

ONNX' images are (batch, channels, height, width), ours (height, width, channels). A transposition only renames axes;
axes are permuted where a layer needs them in an order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from cnncli.errors import DeclarationError
from cnncli.graph.model import INPUT, Node, lower_node
from cnncli.interop.incoming.draft import MOST_LAYERS, Array, Entry, Names, UnsupportedError
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.vocabulary import layers
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Shape, Value

IMAGE = (2, 3, 1)
"""ONNX' axes of an image in our order: height, width, channels."""


PARTS = {"Cropping2D": "crop", "Permute": "permute", "ZeroPadding2D": "pad"}
"""Layers that a node has beside the one that goes by its name."""


@dataclass(frozen=True)
class Tensor:
    """An output of a layer. `shape`: in ONNX, with a batch of 1. `order`: ONNX' axis of each of our axes.

    `elements`: of a flattened image, ONNX' index of each of our elements; None if they have one order. `positive`: it
    has no numbers below 0.
    """

    name: str
    shape: Shape
    order: tuple[int, ...]
    elements: Array | None = None
    positive: bool = False

    @property
    def rank(self) -> int:
        """The number of axes in ONNX."""
        return len(self.shape)

    @property
    def own_shape(self) -> Shape:
        """The shape here, without the batch."""
        return tuple(self.shape[axis] for axis in self.order)

    def axis(self, axis: int) -> int:
        """Our number of an ONNX axis, as layers take it: from 1. Raises UnsupportedError for that of the batch."""
        axis += self.rank if axis < 0 else 0
        if axis not in self.order:
            raise UnsupportedError("it works along the batch")
        return self.order.index(axis) + 1


class Flow:
    """Layers in the making."""

    def __init__(self, shape: Shape, order: tuple[int, ...]) -> None:
        self.names = Names()
        self.entries: list[Entry] = []
        self.builder = Builder(training=False)
        own = tuple(shape[axis] for axis in order)
        self.values = {INPUT: Value(own, label=INPUT)}
        self.input = Tensor(INPUT, shape, order)
        self.owner = INPUT

    def layer(
        self,
        kind: str,
        *inputs: Tensor,
        order: tuple[int, ...] | None = None,
        weights: Mapping[str, Array] | None = None,
        positive: bool | None = None,
        elements: Array | None = None,
        **arguments: Any,
    ) -> Tensor:
        """Add a layer and return its output. `order`: of its axes, by default that of the first input.

        Raises UnsupportedError where the layer does not take its arguments, inputs or weights.
        """
        if len(self.entries) >= MOST_LAYERS:
            raise UnsupportedError(f"a model must not have more than {MOST_LAYERS:,} layers")
        part = PARTS.get(kind, "")
        name = self.names.unique(f"{self.owner}_{part}" if part and part not in self.owner.lower() else self.owner)
        made, entry = self._lowered(Entry(name, kind, tuple(x.name for x in inputs), arguments, weights or {}))
        self.entries.append(entry)
        self.values[name] = made
        order = inputs[0].order if order is None else order
        if len(order) != len(made.shape):
            raise UnsupportedError(f"its output has the shape {list(made.shape)}")
        lengths = dict(zip(order, made.shape, strict=True))
        shape = (1, *(lengths[axis] for axis in range(1, len(order) + 1)))
        return Tensor(name, shape, order, elements, inputs[0].positive if positive is None else positive)

    def _lowered(self, entry: Entry) -> tuple[Value, Entry]:
        try:
            layer = layers()[entry.kind](**entry.arguments)
            parameters: list[Any] = []
            node = Node(entry.name, layer, entry.inputs)
            with self.builder.owned_by(entry.name):
                made = lower_node(self.builder, node, [self.values[name] for name in entry.inputs], parameters)
        except (ValidationError, DeclarationError) as error:
            raise UnsupportedError(str(error)) from None
        for parameter in parameters:
            own = parameter.name.rpartition("/")[2]
            given = entry.weights.get(own)
            if given is None or given.shape != parameter.weight.shape:
                received = "none" if given is None else list(given.shape)
                raise UnsupportedError(f"its {own} must have shape {list(parameter.weight.shape)}; received {received}")
        return made, entry

    def ordered(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """The tensor with its axes in this order, permuted if need be."""
        x, order = self.whole(x), tuple(order)
        if sorted(order) != sorted(x.order):
            raise UnsupportedError(f"it works on {len(order) + 1} axes; received {x.rank}")
        if x.order == order:
            return x
        if _long(x, x.order) == _long(x, order):
            target = [x.shape[axis] for axis in order]
            return self.layer("Reshape", x, order=order, target_shape=target)
        return self.layer("Permute", x, order=order, dims=[x.order.index(axis) + 1 for axis in order])

    def image(self, x: Tensor) -> Tensor:
        """An image as (height, width, channels). Raises UnsupportedError for other ranks."""
        if x.rank != 4:
            kind = {3: "sequences", 5: "volumes"}.get(x.rank, f"{x.rank} axes")
            raise UnsupportedError(f"it is of {kind}, and inputs are images")
        return self.ordered(x, IMAGE)

    def straight(self, x: Tensor) -> Tensor:
        """The tensor with its axes in ONNX' order."""
        return self.ordered(x, range(1, x.rank))

    def whole(self, x: Tensor) -> Tensor:
        """A flattened image with its elements in ONNX' order."""
        if x.elements is None:
            return x
        size = len(x.elements)
        rows, channels = _grid(x.elements)
        image = self.layer("Reshape", replace(x, elements=None), order=(1, 2), target_shape=[rows, channels])
        turned = self.layer("Permute", image, order=(2, 1), dims=[2, 1])
        return self.layer("Reshape", turned, order=(1,), target_shape=[size])

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """The tensor in another shape, given with the batch, in ONNX' row-major order."""
        shape = tuple(shape)
        if shape[:1] != (1,) or prod(shape) != prod(x.shape) or len(shape) < 2:
            raise UnsupportedError(f"it changes the shape {list(x.shape)} to {list(shape)}, which mixes images")
        if shape == x.shape:
            return x
        x = self.whole(x)
        order = IMAGE if len(shape) == 4 and shape[2:] == (1, 1) else tuple(range(1, len(shape)))
        if _long(x, x.order) != _long(x, sorted(x.order)):
            if len(shape) == 2 and x.order == IMAGE:
                return self._flattened(x)
            x = self.straight(x)
        target = [shape[axis] for axis in order]
        if len(target) == 1:
            return self.layer("Flatten", x, order=order)
        return self.layer("Reshape", x, order=order, target_shape=target)

    def _flattened(self, x: Tensor) -> Tensor:
        """An image flattened in our order: the dense layer after it has its kernel's rows in this order, too."""
        numbers = np.arange(prod(x.shape)).reshape(x.shape[1:])
        elements = numbers.transpose([axis - 1 for axis in x.order]).reshape(-1)
        return self.layer("Flatten", x, order=(1,), elements=elements)


def _grid(elements: Array) -> tuple[int, int]:
    """Pixels and channels of a flattened image, by the order of its elements."""
    channels = int(np.argmax(elements == 1)) if len(elements) > 1 else 1
    return len(elements) // channels, channels


def _long(x: Tensor, order: Sequence[int]) -> list[int]:
    """The axes in this order that have more than one element: only these tell a row-major order from another."""
    return [axis for axis in order if x.shape[axis] > 1]
