"""Regularizers: penalties added to the loss (keras/src/regularizers/regularizers.py; l2·Σw² has no factor 1/2)."""

from typing import Annotated

from cnncli.layers.declarations.declaration import Declaration, Named, Registry
from cnncli.layers.declarations.field_types import Maybe, Number, OrNull


class Regularizer(Declaration):
    """A penalty l1·Σ|w| + l2·Σw² added to the loss."""

    @property
    def amounts(self) -> tuple[float, float]:
        """(l1, l2)."""
        return getattr(self, "l1", 0.0), getattr(self, "l2", 0.0)


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


RegularizerField = Annotated[Regularizer | None, Maybe(Named(REGULARIZERS))]
