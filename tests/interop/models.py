"""Models of one layer, with weights, inputs and the expected outputs, for what translates models."""

from math import prod
from typing import Annotated, Any

import numpy as np

from cnncli.graph.model import INPUT, Model, Node, lower
from cnncli.layers.declarations.field_types import Integer
from cnncli.layers.declarations.list_types import ListOf
from cnncli.layers.layer import LAYERS, Layer
from cnncli.layers.vocabulary import layers
from cnncli.training.sections import CompileSection
from tests.layers.twins import TWINS

BATCH = 2


class Part(Layer):
    """Some elements of a vector, in a shape: a model has one input, and layers several."""

    start: int
    shape: Annotated[tuple[int, ...], ListOf(Integer(1))]

    def lower(self, build, *inputs):
        return build.reshape(build.slice(inputs[0], 0, self.start, prod(self.shape)), self.shape)


class OneLayer:
    """A layer in a model that has nothing else; of several inputs, each is a part of the model's.

    `weights` by name and `x` are random as in `LayerHarness`; `expected` is what the naive twin makes of them.
    """

    def __init__(self, name: str, arguments: dict[str, Any], shapes: list[tuple[int, ...]]):
        layer = LAYERS.parse({name: arguments})
        parts = np.cumsum([0, *map(prod, shapes)]).tolist()
        nodes = [
            Node(f"part{k}", Part(start=start, shape=shape), (INPUT,))
            for k, (start, shape) in enumerate(zip(parts, shapes, strict=False))
        ]
        several = len(shapes) > 1
        inputs = tuple(node.name for node in nodes) if several else (INPUT,)
        nodes = nodes if several else []
        shape = (parts[-1],) if several else shapes[0]
        self.model = Model(shape, (*nodes, Node(f"the_{name.lower()}", layer, inputs)))
        random = np.random.default_rng(0)

        def draw(shape, positive=False):
            signs = 1 if positive else random.choice([-1.0, 1.0], shape)
            return (random.uniform(0.1, 1.0, shape) * signs).astype(np.float32)

        self.x = draw((BATCH, *shape))
        self.weights = {
            parameter.name: draw(parameter.weight.shape, parameter.name.endswith("variance"))
            for parameter in lower(self.model).parameters
        }
        xs = [
            self.x.reshape(BATCH, -1)[:, start : start + prod(shape)].reshape(BATCH, *shape).astype(np.float64)
            for start, shape in zip(parts, shapes, strict=False)
        ]
        own = [weight.astype(np.float64) for weight in self.weights.values()]
        self.expected = TWINS[name](layer, *xs, *own)


def examples():
    """The name, arguments and input shapes of every example of every layer."""
    for name, cls in layers().items():
        for number, example in enumerate(cls.examples):
            yield f"{name}-{number}", name, dict(example.arguments), list(example.inputs)


def channels_first(x: np.ndarray) -> np.ndarray:
    """A batch of images, or what else has several axes, with the channels first."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


class Spec:
    """What an export reads of a spec: its name, model and loss."""

    def __init__(self, model: Model, loss: str | dict[str, Any] = "mse"):
        self.model, self.name = model, "made"
        self.compile = CompileSection(optimizer="adam", loss=loss)
