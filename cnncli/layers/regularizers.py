"""Regularizers: penalties added to the loss (keras/src/regularizers/regularizers.py; l2·Σw² has no factor 1/2)."""

from typing import TYPE_CHECKING, Annotated, Literal

from cnncli.errors import ShapeError
from cnncli.layers.declarations.declaration import Declaration, Named, NonNegative, Registry
from cnncli.layers.declarations.field_types import Maybe, Number, OrNull
from cnncli.ops.ir import Value

if TYPE_CHECKING:
    from cnncli.ops.builder import Builder


class Regularizer(Declaration):
    """A penalty on a weight, or on the outputs of a layer, added to the loss."""

    def penalize(self, build: "Builder", x: Value) -> None:
        """Add the penalty on x to the objective: l1·Σ|x| + l2·Σx². Raises ShapeError if there is none for its shape."""
        build.penalty(x, getattr(self, "l1", 0.0), getattr(self, "l2", 0.0))


REGULARIZERS = Registry("regularizer", Regularizer)


@REGULARIZERS.register
class L1(Regularizer):
    """L1 penalty: l1·Σ|w|."""

    l1: Annotated[float, OrNull(Number(0), 0.01)] = 0.01


@REGULARIZERS.register
class L2(Regularizer):
    """L2 penalty: l2·Σw²."""

    l2: Annotated[float, OrNull(Number(0), 0.01)] = 0.01


@REGULARIZERS.register
class L1L2(Regularizer):
    """L1 and L2 penalty: l1·Σ|w| + l2·Σw². Both default to 0, as in Keras: without arguments it has no effect."""

    l1: Annotated[float, OrNull(Number(0), 0.0)] = 0.0
    l2: Annotated[float, OrNull(Number(0), 0.0)] = 0.0


@REGULARIZERS.register
class OrthogonalRegularizer(Regularizer):
    """factor · the mean of |cos| of the angles between the rows, or the columns, of a weight of two axes."""

    factor: NonNegative = 0.01
    mode: Literal["rows", "columns"] = "rows"

    def penalize(self, build: "Builder", x: Value) -> None:
        if x.batched or len(x.shape) != 2:
            kind = "outputs" if x.batched else "weight"
            raise ShapeError(f"OrthogonalRegularizer takes weights of two axes; received {kind} of shape {x.shape}")
        build.angle_penalty(x, self.factor, rows=self.mode == "rows")


RegularizerField = Annotated[Regularizer | None, Maybe(Named(REGULARIZERS))]
