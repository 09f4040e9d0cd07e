"""Constraints: what a weight is forced back to after each update (keras/src/constraints/constraints.py)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.layers.declarations.declaration import Declaration, Named, Registry
from cnncli.layers.declarations.field_types import Maybe, Number, Whole
from cnncli.layers.declarations.list_types import OneOrMore
from cnncli.ops.ir import Shape

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor


Axes = Annotated[tuple[int, ...], OneOrMore(Whole())]


class Constraint(Declaration):
    """What a weight is forced back to after each update."""

    def check(self, shape: Shape) -> None:
        """Raises ShapeError where the constraint has an axis that a weight of `shape` has not."""
        for axis in getattr(self, "axis", ()):
            if not -len(shape) <= axis < len(shape):
                raise ShapeError(
                    f"{type(self).__name__}'s axis must lie within the weight's shape {shape}; received axis={axis}"
                )

    def steps(self, weight: "Tensor") -> "list[Step]":
        """The kernel's steps that constrain `weight` in place."""
        raise NotImplementedError


CONSTRAINTS = Registry("constraint", Constraint)


ConstraintField = Annotated[Constraint | None, Maybe(Named(CONSTRAINTS))]


@CONSTRAINTS.register
class MaxNorm(Constraint):
    """Scale down where the norm over `axis` exceeds `max_value`."""

    max_value: Annotated[float, Number(above=0)] = 2.0
    axis: Axes = (0,)

    def steps(self, weight: "Tensor") -> "list[Step]":
        return kernels.constraints.max_norm(weight, self.max_value, normalized(self.axis, weight))


@CONSTRAINTS.register
class NonNeg(Constraint):
    """Negative elements become 0."""

    aliases = ("nonneg",)

    def steps(self, weight: "Tensor") -> "list[Step]":
        return kernels.constraints.non_neg(weight)


@CONSTRAINTS.register
class UnitNorm(Constraint):
    """Scale so that the norm over `axis` is 1."""

    axis: Axes = (0,)

    def steps(self, weight: "Tensor") -> "list[Step]":
        return kernels.constraints.unit_norm(weight, normalized(self.axis, weight))


def normalized(axes: Sequence[int], weight: "Tensor") -> tuple[int, ...]:
    """The axes as distinct numbers from 0."""
    return tuple(sorted({axis % len(weight.shape) for axis in axes}))
