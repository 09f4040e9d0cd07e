"""What a loss is made of, and what several formulas share.

`p`, `q`: probabilities, `z`: logits, `x`: any prediction, `t`: target. Terms of sums are float64. A loss of logits
fills the row's `out` with their probabilities, and its gradient takes these as the prediction.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from cnncli.kernels.losses.loss_rows import Row, Survey
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.vectormath import exp, log

EPSILON = 1e-7
Extent = Literal["position", "sample", "batch"]
Elementwise = Callable[[Row, Vector, Vector], Vector]
"""(row, prediction, target) → a number for each element."""


class Rule(NamedTuple):
    """The loss of a row, a float64 scalar, and its gradient: (row, scale) fills the row's `out`.

    `extent`: what a row is, of which `axis` decides where it is None. The loss of a sample is the mean over its
    positions, that of the batch the same for all its samples. `mean`: whether it is also the mean over a row's
    elements, of which `loss` is then the sum. `numbers`: the names of at most 3 arguments besides `label_smoothing`,
    read at run time. `survey`: sums over a row; each row then has those of the whole batch as `surveyed`, where `axis`
    decides what a row is only if that is the batch.
    """

    loss: Callable[[Row], Vector]
    gradient: Callable[[Row, Vector], None]
    extent: Extent | None = "position"
    numbers: tuple[str, ...] = ()
    mean: bool = False
    survey: Survey | None = None


def of_elements(
    term: Elementwise,
    slope: Elementwise,
    numbers: tuple[str, ...] = (),
    survey: Survey | None = None,
) -> Rule:
    """Return the rule of an elementwise loss.

    `slope` is the term's derivative with respect to the prediction, in either precision.
    """

    def loss(row: Row) -> Vector:
        (total,) = row.sums(1, lambda x, t: (term(row, x, t),))
        return total

    return Rule(loss, sloped(slope), "sample", numbers, mean=True, survey=survey)


def of_pair(
    value: Callable[..., Vector],
    derivative: Callable[..., Vector],
    numbers: tuple[str, ...] = (),
    survey: Survey | None = None,
) -> Rule:
    """Return the rule of an elementwise loss: (prediction, target, *numbers[, surveyed]) → value, all in float64."""

    def of(formula: Callable[..., Vector]) -> Elementwise:
        return lambda row, x, t: formula(x.double(), t.double(), *row.numbers, *row.surveyed)

    return of_elements(of(value), of(derivative), numbers, survey)


def sloped(slope: Elementwise) -> Callable[[Row, Vector], None]:
    """Return the gradient of which each element depends on its own prediction and target."""
    return lambda row, scale: row.slope(scale, lambda x, t: slope(row, x, t))


def clip(q: Vector, item: int, highest: float = 1 - EPSILON) -> Vector:
    """float64 q within [1e-7, highest], rounded to the dtype as in Keras (1 − 1.19e-7 in float32); NaN stays."""
    kind = np.float32 if item == 4 else np.float64
    low, high = float(kind(EPSILON)), float(kind(highest))
    return q.full(low).where(q < low, q.full(high).where(q > high, q))


def within_clip(p: Vector, slope: Vector, highest: float = 1 - EPSILON) -> Vector:
    """The slope with respect to p, 0 where p was clipped."""
    q = p.double()
    clipped = (q - clip(q, p.item, highest)).magnitude() > 0.0  # not `!=`: NaN must propagate
    return slope.full(0.0).where(clipped, slope)


def at_least(x: Vector, lowest: float) -> Vector:
    """The larger of x and a number; NaN stays."""
    return x.full(lowest).where(x < lowest, x)


def power(base: Vector, exponent: Vector) -> Vector:
    """base to a power, for a base ≥ 0: of 0 it is 1 to the power 0 and otherwise 0, so that no slope is infinite."""
    found = exp(exponent * log(at_least(base, 1e-300)))
    none = base.full(1.0).where(exponent.same(0.0), base.full(0.0))
    return none.where(base.same(0.0), found)
