"""Regularizers: penalties added to the loss (keras/src/regularizers/regularizers.py; l2 is l2·Σw², without a half)."""

from typing import Annotated

from cnncli.layers.declaration import Declaration, Named, NonNegative, Registry
from cnncli.layers.kinds import Maybe


class Regularizer(Declaration):
    """A penalty l1·Σ|w| + l2·Σw²."""

    @property
    def amounts(self) -> tuple[float, float]:
        """(l1, l2)."""
        return getattr(self, "l1", 0.0), getattr(self, "l2", 0.0)


REGULARIZERS = Registry("regularizer", Regularizer)


@REGULARIZERS.register
class L1(Regularizer):
    """l1·Σ|w|."""

    l1: NonNegative = 0.01


@REGULARIZERS.register
class L2(Regularizer):
    """l2·Σw²."""

    l2: NonNegative = 0.01


@REGULARIZERS.register
class L1L2(Regularizer):
    """l1·Σ|w| + l2·Σw²; the bare name `l1_l2` means 0.01 of each, as in Keras."""

    aliases = ("l1_l2",)

    l1: NonNegative = 0.0
    l2: NonNegative = 0.0


class _Named(Named):
    def read(self, value: object) -> Declaration:
        return L1L2(l1=0.01, l2=0.01) if value in ("l1_l2", "l1l2", "L1L2") else super().read(value)


RegularizerField = Annotated[Regularizer | None, Maybe(_Named(REGULARIZERS))]
