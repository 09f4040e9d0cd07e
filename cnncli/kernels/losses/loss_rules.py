"""The losses: one entry of RULES each, defined on a row (`loss_rows`).

`p`, `q`: probabilities, `z`: logits, `t`: target. Terms of sums are float64. A loss of logits fills the row's `out`
with their probabilities, and its gradient takes these as the prediction.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cnncli.kernels.losses.loss_rows import Row
from cnncli.kernels.vector.lanes import Vector, larger
from cnncli.kernels.vector.sweeps import of_number
from cnncli.kernels.vector.vectormath import decay, exp, log, log1p, sigmoid

EPSILON = 1e-7


class Rule(NamedTuple):
    """The loss of a row, a float64 scalar, and its gradient: (row, scale) fills the row's `out`.

    `by_class`: a row holds the classes of a position, and the loss is a mean over positions; otherwise a row is a whole
    sample, and the loss is a mean over its elements. `numbers`: the names of at most 3 arguments besides
    `label_smoothing`, read at run time.
    """

    loss: Callable[[Row], Vector]
    gradient: Callable[[Row, Vector], None]
    by_class: bool = False
    numbers: tuple[str, ...] = ()


def of_elements(
    term: Callable[[Row, Vector, Vector], Vector],
    slope: Callable[[Row, Vector, Vector], Vector],
    numbers: tuple[str, ...] = (),
) -> Rule:
    """Return the rule of an elementwise loss: (row, prediction, target) → term.

    `slope` is the term's derivative with respect to the prediction, in either precision.
    """

    def loss(row: Row) -> Vector:
        (total,) = row.sums(1, lambda x, t: (term(row, x, t),))
        return total

    return Rule(loss, _sloped(slope), numbers=numbers)


def _sloped(slope: Callable[[Row, Vector, Vector], Vector]) -> Callable[[Row, Vector], None]:
    return lambda row, scale: row.slope(scale, lambda x, t: slope(row, x, t))


def _clip(q: Vector, item: int) -> Vector:
    """float64 q within [1e-7, 1 − 1e-7], rounded to the dtype as in Keras (1 − 1.19e-7 in float32); NaN stays."""
    kind = np.float32 if item == 4 else np.float64
    low, high = float(kind(EPSILON)), float(kind(1 - EPSILON))
    return q.full(low).where(q < low, q.full(high).where(q > high, q))


def _within_clip(p: Vector, slope: Vector) -> Vector:
    """The slope with respect to p, 0 where p was clipped."""
    q = p.double()
    clipped = (q - _clip(q, p.item)).magnitude() > 0.0  # not `!=`: NaN must propagate
    return slope.full(0.0).where(clipped, slope)


def _softmax_loss(row: Row) -> Vector:
    """−Σ t log softmax(z)."""

    def expected(z: Vector, t: Vector, largest: Vector) -> tuple[Vector, Vector]:
        wanted, logit = row.wanted(t.double()), (z - largest).double()
        # A logit of −inf has no loss if its target is 0.
        return wanted, wanted.full(0.0).where(wanted.same(0.0), wanted * logit)

    def exponential(z: Vector, t: Vector, largest: Vector) -> tuple[Vector, tuple[Vector]]:
        power = exp(z - largest)
        return power, (power.double(),)

    largest = row.largest()
    mass, dot = row.sums(2, expected, largest)
    (partition,) = row.fill(1, exponential, largest)
    row.divide(partition)
    return mass * of_number(log, partition) - dot


def _softmax_gradient(row: Row, scale: Vector) -> None:
    """With respect to the logits: q Σt − t."""
    (mass,) = row.sums(1, lambda q, t: (row.wanted(t.double()),))
    row.slope(scale, lambda q, t, mass: q.double() * mass - row.wanted(t.double()), mass)


def _cross_entropy_loss(row: Row) -> Vector:
    """−Σ t log q with q = p / Σp clipped to [1e-7, 1 − 1e-7], as Keras does with probabilities."""
    (mass,) = row.sums(1, lambda p, t: (p.double(),))
    (dot,) = row.sums(1, lambda p, t, mass: (row.wanted(t.double()) * log(_clip(p.double() / mass, p.item)),), mass)
    return 0.0 - dot


def _cross_entropy_gradient(row: Row, scale: Vector) -> None:
    """With respect to p: (T − t/q) / Σp where q was not clipped, T / Σp where it was; T is Σt over the unclipped."""

    def reaches(p: Vector, t: Vector, mass: Vector) -> tuple[Vector]:
        q = p.double() / mass
        return (row.wanted(t.double()).where(q.same(_clip(q, p.item)), 0.0),)

    def slope(p: Vector, t: Vector, mass: Vector, reached: Vector) -> Vector:
        q = p.double() / mass
        own = (row.wanted(t.double()) / q).where(q.same(_clip(q, p.item)), 0.0)
        return (reached - own) / mass

    (mass,) = row.sums(1, lambda p, t: (p.double(),))
    (reached,) = row.sums(1, reaches, mass)
    row.slope(scale, slope, mass, reached)


def _clipped_sums(row: Row) -> list[Vector]:
    """Sums of q (p clipped), of the target t, and of t log q."""

    def terms(p: Vector, t: Vector) -> tuple[Vector, Vector, Vector]:
        q, wanted = _clip(p.double(), p.item), row.wanted(t.double())
        return q, wanted, wanted * log(q)

    return row.sums(3, terms)


def _sparse_loss(row: Row) -> Vector:
    """−Σ t log(q / Σq) with q = p clipped to [1e-7, 1 − 1e-7], as in Keras for integer class targets."""
    partition, mass, dot = _clipped_sums(row)
    return mass * of_number(log, partition) - dot


def _sparse_gradient(row: Row, scale: Vector) -> None:
    """With respect to p: Σt / Σq − t/q, 0 where p was clipped."""
    partition, mass, _ = _clipped_sums(row)

    def slope(p: Vector, t: Vector, partition: Vector, mass: Vector) -> Vector:
        return _within_clip(p, mass / partition - row.wanted(t.double()) / p.double())

    row.slope(scale, slope, partition, mass)


def _sigmoid_loss(row: Row) -> Vector:
    """max(z, 0) − z·t + log(1 + e^−|z|)."""

    def formula(z: Vector, t: Vector) -> tuple[Vector, tuple[Vector]]:
        tail = log1p(decay(z)).double()  # LLVM reuses the decay for the sigmoid
        return sigmoid(z), (larger(z, z.full(0.0)).double() - z.double() * row.wanted(t.double()) + tail,)

    (total,) = row.fill(1, formula)
    return total


def _difference(row: Row, x: Vector, t: Vector) -> Vector:
    """With respect to the logits, whose probabilities are x: p − t."""
    return x - row.wanted(t)


def _binary_term(row: Row, p: Vector, t: Vector) -> Vector:
    """−t log q − (1 − t) log(1 − q), q = p clipped to [1e-7, 1 − 1e-7]."""
    q, wanted = _clip(p.double(), p.item), row.wanted(t.double())
    return 0.0 - (wanted * log(q) + (1.0 - wanted) * log1p(q * -1.0))


def _binary_slope(row: Row, p: Vector, t: Vector) -> Vector:
    """With respect to p: (p − t) / (p(1 − p)), 0 where p was clipped."""
    q = p.double()
    return _within_clip(p, (q - row.wanted(t.double())) / (q * (1.0 - q)))


def _squared_term(row: Row, x: Vector, t: Vector) -> Vector:
    """(x − t)²."""
    error = x.double() - row.wanted(t.double())
    return error * error


def _squared_slope(row: Row, x: Vector, t: Vector) -> Vector:
    """With respect to x: 2 (x − t)."""
    return (x - row.wanted(t)) * 2.0


def _absolute_term(row: Row, x: Vector, t: Vector) -> Vector:
    """|x − t|."""
    return (x.double() - row.wanted(t.double())).magnitude()


def _absolute_slope(row: Row, x: Vector, t: Vector) -> Vector:
    """With respect to x: the sign of x − t."""
    wanted = row.wanted(t)
    return x.full(1.0).where(x > wanted, x.full(-1.0).where(x < wanted, x - wanted))  # 0, or NaN


RULES: dict[str, Rule] = {
    "softmax_cross_entropy": Rule(_softmax_loss, _softmax_gradient, by_class=True),
    "cross_entropy": Rule(_cross_entropy_loss, _cross_entropy_gradient, by_class=True),
    "sparse_cross_entropy": Rule(_sparse_loss, _sparse_gradient, by_class=True),
    "sigmoid_cross_entropy": Rule(_sigmoid_loss, _sloped(_difference)),
    "binary_cross_entropy": of_elements(_binary_term, _binary_slope),
    "mean_squared_error": of_elements(_squared_term, _squared_slope),
    "mean_absolute_error": of_elements(_absolute_term, _absolute_slope),
}
