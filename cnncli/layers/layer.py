"""What a layer is: a declaration that says its weights and lowers itself to operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from cnncli.layers.constraints import Constraint
from cnncli.layers.declarations.declaration import Declaration, Registry
from cnncli.layers.initializers import Initializer
from cnncli.layers.regularizers import Regularizer
from cnncli.ops.ir import Shape, Value

if TYPE_CHECKING:
    from cnncli.ops.builder import Builder


class Weight(NamedTuple):
    """A weight a layer wants: its shape, how it begins, and what holds it.

    One that is not trainable has no gradient and is left alone by the optimizer: a frozen weight, or a statistic that
    the layer updates itself while training.
    """

    shape: Shape
    initializer: Initializer
    regularizer: Regularizer | None = None
    constraint: Constraint | None = None
    trainable: bool = True


class Example(NamedTuple):
    """Arguments that a layer accepts, and the input shapes they go with: what the contract test tries."""

    arguments: Mapping[str, Any]
    inputs: Sequence[Shape]


class Layer(Declaration):
    """A layer: its fields are its YAML keys. It holds no arrays and knows no derivative."""

    examples: ClassVar[Sequence[Example]] = ()
    """Uses that the contract test checks; at least one."""
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """The least and the greatest number of inputs."""
    rescales: ClassVar[bool] = False
    """True for a layer that brings images to the scale of the model: they are fed to it as they are."""

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        """The weights for these input shapes, by Keras' names."""
        del inputs
        return {}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        """Emit the operations; raises ShapeError where the inputs do not fit. The output shape is the value's."""
        raise NotImplementedError


LAYERS = Registry("layer", Layer)
