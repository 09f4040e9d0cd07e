"""Weight constraints, applied after each update (keras/src/constraints/constraints.py)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.layers.declarations.declaration import Declaration, Named, NonNegative, Registry
from cnncli.layers.declarations.field_types import Integer, Maybe, Number
from cnncli.layers.declarations.list_types import OneOrMore
from cnncli.ops.ir import Shape

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor


Axes = Annotated[tuple[int, ...] | None, Maybe(OneOrMore(Integer()))]
"""null stands for all axes."""


class Constraint(Declaration):
    """A constraint on a weight, applied after each update."""

    def check(self, shape: Shape) -> None:
        """Raise ShapeError if an axis of the constraint is out of range for a weight of `shape`."""
        for axis in getattr(self, "axis", None) or ():
            if not -len(shape) <= axis < len(shape):
                raise ShapeError(
                    f"{type(self).__name__}'s axis must be in range for the weight's shape {shape}; received {axis=}"
                )

    def steps(self, weight: "Tensor") -> "list[Step]":
        """Kernel steps that constrain `weight` in place."""
        raise NotImplementedError


CONSTRAINTS = Registry("constraint", Constraint)


ConstraintField = Annotated[Constraint | None, Maybe(Named(CONSTRAINTS))]


@CONSTRAINTS.register
class MaxNorm(Constraint):
    """Limits the norm of the weights over `axis` to `max_value` (Keras MaxNorm)."""

    max_value: Annotated[float, Number(above=0)] = 2.0
    axis: Axes = (0,)

    def steps(self, weight: "Tensor") -> "list[Step]":
        return kernels.constraints.max_norm(weight, self.max_value, normalize_axes(self.axis, weight))


@CONSTRAINTS.register
class MinMaxNorm(Constraint):
    """Moves the norm of the weights over `axis` towards [min_value, max_value], by `rate` (Keras MinMaxNorm)."""

    min_value: NonNegative = 0.0
    max_value: NonNegative = 1.0
    rate: float = 1.0
    axis: Axes = (0,)

    def steps(self, weight: "Tensor") -> "list[Step]":
        axes = normalize_axes(self.axis, weight)
        return kernels.constraints.min_max_norm(weight, self.min_value, self.max_value, self.rate, axes)


@CONSTRAINTS.register
class NonNeg(Constraint):
    """Sets negative weights to 0 (Keras NonNeg)."""

    aliases = ("nonneg",)

    def steps(self, weight: "Tensor") -> "list[Step]":
        return kernels.constraints.non_neg(weight)


@CONSTRAINTS.register
class UnitNorm(Constraint):
    """Scales the weights to norm 1 over `axis` (Keras UnitNorm)."""

    axis: Axes = (0,)

    def steps(self, weight: "Tensor") -> "list[Step]":
        return kernels.constraints.unit_norm(weight, normalize_axes(self.axis, weight))


def normalize_axes(axes: Sequence[int] | None, weight: "Tensor") -> tuple[int, ...]:
    """The axes as distinct non-negative integers, sorted; all of them for None."""
    rank = len(weight.shape)
    return tuple(sorted({axis % rank for axis in (range(rank) if axes is None else axes)}))
