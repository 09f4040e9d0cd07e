"""Elementwise losses: how far a prediction is from its target, and on which side of it."""

from cnncli.kernels.losses.loss_rows import Row, Survey
from cnncli.kernels.losses.rule import EPSILON, Rule, at_least, of_elements, of_pair
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.vectormath import decay, log, log1p, tanh


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


def _signed(error: Vector, size: Vector | float = 1.0) -> Vector:
    """`size` with the sign of the error; 0 of 0, NaN of NaN."""
    size = error.full(size)
    return size.where(error > 0.0, (0.0 - size).where(error < 0.0, error))


def _percentage(x: Vector, t: Vector) -> Vector:
    """100 |x − t| / max(|t|, 1e-7)."""
    return (x - t).magnitude() * 100.0 / at_least(t.magnitude(), EPSILON)


def _percentage_slope(x: Vector, t: Vector) -> Vector:
    return _signed(x - t, 100.0 / at_least(t.magnitude(), EPSILON))


def _log_difference(x: Vector, t: Vector) -> Vector:
    """log(1 + x) − log(1 + t), both at least 1e-7."""
    return log1p(at_least(x, EPSILON)) - log1p(at_least(t, EPSILON))


def _squared_log(x: Vector, t: Vector) -> Vector:
    difference = _log_difference(x, t)
    return difference * difference


def _squared_log_slope(x: Vector, t: Vector) -> Vector:
    return x.full(0.0).where(x < EPSILON, _log_difference(x, t) * 2.0 / (x + 1.0))


def _huber(x: Vector, t: Vector, delta: Vector) -> Vector:
    """(x − t)² / 2 up to an error of δ, and δ |x − t| − δ² / 2 beyond."""
    error = (x - t).magnitude()
    return (delta * error - delta * delta * 0.5).where(error > delta, error * error * 0.5)


def _huber_slope(x: Vector, t: Vector, delta: Vector) -> Vector:
    error = x - t
    return _signed(error, delta).where(error.magnitude() > delta, error)


def _log_cosh(x: Vector, t: Vector) -> Vector:
    """log cosh(x − t) = |x − t| + log(1 + e^−2|x − t|) − log 2."""
    error = x - t
    return error.magnitude() + log1p(decay(error * 2.0)) - 0.6931471805599453


def _log_cosh_slope(x: Vector, t: Vector) -> Vector:
    return tanh(x - t)


def _poisson(x: Vector, t: Vector) -> Vector:
    """x − t log(x + 1e-7)."""
    return x - t * log(x + EPSILON)


def _poisson_slope(x: Vector, t: Vector) -> Vector:
    return 1.0 - t / (x + EPSILON)


def _not_binary(x: Vector, t: Vector) -> tuple[Vector]:
    """0 if the target is 0 or 1."""
    return ((t - t.full(1.0).where(t.same(1.0), 0.0)).magnitude().double(),)


def _margin(x: Vector, t: Vector, not_binary: Vector) -> tuple[Vector, Vector]:
    """1 − t x, and t: −1 and 1 for 0 and 1 where the batch has no other targets."""
    side = (t * 2.0 - 1.0).where(not_binary.same(0.0), t)
    return 1.0 - side * x, side


def _hinge(x: Vector, t: Vector, not_binary: Vector) -> Vector:
    """max(1 − t x, 0)."""
    return at_least(_margin(x, t, not_binary)[0], 0.0)


def _hinge_slope(x: Vector, t: Vector, not_binary: Vector) -> Vector:
    margin, side = _margin(x, t, not_binary)
    return (0.0 - side).where(margin >= 0.0, x.full(0.0).where(margin < 0.0, margin))


def _squared_hinge(x: Vector, t: Vector, not_binary: Vector) -> Vector:
    hinge = _hinge(x, t, not_binary)
    return hinge * hinge


def _squared_hinge_slope(x: Vector, t: Vector, not_binary: Vector) -> Vector:
    margin, side = _margin(x, t, not_binary)
    return at_least(margin, 0.0) * side * -2.0


ERRORS: dict[str, Rule] = {
    "mean_squared_error": of_elements(_squared_term, _squared_slope),
    "mean_absolute_error": of_elements(_absolute_term, _absolute_slope),
    "mean_absolute_percentage_error": of_pair(_percentage, _percentage_slope),
    "mean_squared_logarithmic_error": of_pair(_squared_log, _squared_log_slope),
    "huber": of_pair(_huber, _huber_slope, numbers=("delta",)),
    "log_cosh": of_pair(_log_cosh, _log_cosh_slope),
    "poisson": of_pair(_poisson, _poisson_slope),
    "hinge": of_pair(_hinge, _hinge_slope, survey=Survey(1, _not_binary)),
    "squared_hinge": of_pair(_squared_hinge, _squared_hinge_slope, survey=Survey(1, _not_binary)),
}
