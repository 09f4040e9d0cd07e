"""The formulas of the losses: what each does with the vectors of a row.

`p`, `q`: probabilities, `z`: logits, `t`: target; the wanted distribution is t · keep + share. Computed in float64.
"""

from typing import TypeAlias

import numpy as np

from cnncli.kernels.vector.lanes import Vector, larger
from cnncli.kernels.vector.sweeps import elementwise, scalar, summing
from cnncli.kernels.vector.vectormath import decay, log, log1p, sigmoid

EPSILON = 1e-7
SOFTMAX, CROSS_ENTROPY, SPARSE, SIGMOID = "softmax", "cross_entropy", "sparse", "sigmoid"
BINARY, SQUARED, DIFFERENCE = "binary", "squared", "difference"
ELEMENTWISE = {SIGMOID: 0, BINARY: 1, SQUARED: 2}
"""Which of `element_losses`."""
SLOPES = {SOFTMAX: 0, CROSS_ENTROPY: 1, BINARY: 2, DIFFERENCE: 3, SPARSE: 4}
"""Which of `slopes`."""

Terms: TypeAlias = tuple[tuple[Vector, ...], tuple[Vector, ...]]
"""What a formula of `summing` returns: outputs, and terms of sums."""


def _wanted(target: Vector, keep: Vector, share: Vector) -> Vector:
    return target.double() * keep + share


def _clip(q: Vector, item: int) -> Vector:
    """float64 q within [1e-7, 1 − 1e-7], rounded to the dtype as in Keras (1 − 1.19e-7 in float32); NaN stays."""
    kind = np.float32 if item == 4 else np.float64
    low, high = float(kind(EPSILON)), float(kind(1 - EPSILON))
    return q.full(low).where(q < low, q.full(high).where(q > high, q))


def _expected_logit(z: Vector, t: Vector, largest: Vector, keep: Vector, share: Vector) -> Terms:
    wanted, logit = _wanted(t, keep, share), (z - largest).double()
    # A logit of −inf costs nothing where nothing is wanted.
    return (), (wanted, wanted.full(0.0).where(wanted.same(0.0), wanted * logit))


def _mass(t: Vector, keep: Vector, share: Vector) -> Terms:
    return (), (_wanted(t, keep, share),)


def _sum(q: Vector) -> Terms:
    return (), (q.double(),)


def _expected_log(p: Vector, t: Vector, mass: Vector, keep: Vector, share: Vector) -> Terms:
    return (), (_wanted(t, keep, share) * log(_clip(p.double() / mass, p.item)),)


def _reached(p: Vector, t: Vector, mass: Vector, keep: Vector, share: Vector) -> Terms:
    """What is wanted where the clip lets a gradient through."""
    q = p.double() / mass
    return (), (_wanted(t, keep, share).where(q.same(_clip(q, p.item)), 0.0),)


def _clipped(p: Vector, t: Vector, keep: Vector, share: Vector) -> Terms:
    """What q = p clipped, what is wanted, and what is wanted of log q sum up to."""
    q, wanted = _clip(p.double(), p.item), _wanted(t, keep, share)
    return (), (q, wanted, wanted * log(q))


def _softmax_slope(q: Vector, t: Vector, mass: Vector, keep: Vector, share: Vector, scale: Vector) -> Vector:
    return ((q.double() * mass - _wanted(t, keep, share)) * scale).rounded(q.item)


def _slope(p: Vector, t: Vector, mass: Vector, reached: Vector, keep: Vector, share: Vector, scale: Vector) -> Vector:
    q = p.double() / mass
    own = (_wanted(t, keep, share) / q).where(q.same(_clip(q, p.item)), 0.0)
    return ((reached - own) / mass * scale).rounded(p.item)


def _clipped_slope(
    p: Vector, t: Vector, partition: Vector, mass: Vector, keep: Vector, share: Vector, scale: Vector
) -> Vector:
    q = p.double()
    clipped = (q - _clip(q, p.item)).magnitude() > 0.0  # not where they differ: NaN must pass
    slope = (mass / partition - _wanted(t, keep, share) / q) * scale
    return slope.full(0.0).where(clipped, slope).rounded(p.item)


def _sigmoid_loss(x: Vector, t: Vector, keep: Vector, share: Vector) -> Terms:
    tail = log1p(decay(x)).double()  # LLVM sees that the sigmoid needs the same decay
    return (sigmoid(x),), (larger(x, x.full(0.0)).double() - x.double() * _wanted(t, keep, share) + tail,)


def _binary_loss(x: Vector, t: Vector, keep: Vector, share: Vector) -> Terms:
    q, wanted = _clip(x.double(), x.item), _wanted(t, keep, share)
    return (), (0.0 - (wanted * log(q) + (1.0 - wanted) * log1p(q * -1.0)),)


def _squared_loss(x: Vector, t: Vector, keep: Vector, share: Vector) -> Terms:
    error = x.double() - _wanted(t, keep, share)
    return (), (error * error,)


def _binary_slope(p: Vector, t: Vector, keep: Vector, share: Vector, scale: Vector) -> Vector:
    q = p.double()
    slope = (q - _wanted(t, keep, share)) / (q * (1.0 - q)) * scale
    clipped = (q - _clip(q, p.item)).magnitude() > 0.0  # not where they differ: NaN must pass
    return slope.full(0.0).where(clipped, slope).rounded(p.item)


def _difference(guess: Vector, t: Vector, keep: Vector, share: Vector, scale: Vector) -> Vector:
    return (guess - (t * keep + share)) * scale


expected_logits, masses, sums = summing(2, _expected_logit), summing(1, _mass), summing(1, _sum)
expected_logs, reaches = summing(1, _expected_log), summing(1, _reached)
clipped_sums = summing(3, _clipped)
element_losses = summing(1, _sigmoid_loss, _binary_loss, _squared_loss)
slopes = elementwise(_softmax_slope, _slope, _binary_slope, _difference, _clipped_slope)
scalar_log = scalar(log)
