"""The base class of layers: declarations that list their weights and lower to operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from cnncli.layers.constraints import Constraint
from cnncli.layers.declarations.declaration import Declaration, Registry
from cnncli.layers.declarations.field_types import Boolean, Kind, Maybe, OneOf
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError
from cnncli.layers.initializers import Initializer
from cnncli.layers.regularizers import Regularizer
from cnncli.ops.ir import Shape, Value

if TYPE_CHECKING:
    from cnncli.ops.builder import Builder


class Weight(NamedTuple):
    """A weight of a layer: its shape, initializer, regularizer and constraint.

    A non-trainable weight has no gradient and is not updated by the optimizer: it is frozen, or a statistic that the
    layer itself updates during training.
    """

    shape: Shape
    initializer: Initializer
    regularizer: Regularizer | None = None
    constraint: Constraint | None = None
    trainable: bool = True


class Example(NamedTuple):
    """Valid arguments of a layer and matching input shapes, used by the contract test."""

    arguments: Mapping[str, Any]
    inputs: Sequence[Shape]


class _Dtype(OneOf):
    def read(self, value: Any) -> str:
        if isinstance(value, str) and value != "float32":
            raise ValidationError([ErrorDetail((), "sentence", "layers compute in float32, and in no other dtype")])
        return super().read(value)


class Layer(Declaration):
    """A layer: its fields are its YAML keys. It holds no arrays and computes no derivatives."""

    ignored: ClassVar[Mapping[str, Kind]] = {"trainable": Boolean(), "dtype": Maybe(_Dtype("float32"))}
    """Arguments of every Keras layer: `trainable` of layers without weights, and the only dtype."""

    examples: ClassVar[Sequence[Example]] = ()
    """Examples for the contract test; at least one."""
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """The minimum and maximum number of inputs (None: no maximum)."""
    rescales: ClassVar[bool] = False
    """True for a layer that rescales images itself, so that they are fed to it without rescaling."""

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        """The weights for these input shapes, by Keras' names."""
        del inputs
        return {}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        """Emit the operations and return the output. Raises ShapeError if the input shapes do not fit."""
        raise NotImplementedError


LAYERS = Registry("layer", Layer)
