"""Cross-entropies of probabilities and of logits."""

from cnncli.kernels.losses.loss_rows import Row
from cnncli.kernels.losses.rule import Rule, at_least, clip, of_elements, power, sloped, within_clip
from cnncli.kernels.vector.lanes import Vector, larger
from cnncli.kernels.vector.sweeps import of_number
from cnncli.kernels.vector.vectormath import decay, exp, log, log1p, sigmoid

FOCAL = ("alpha", "gamma", "apply_class_balancing")


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
    (dot,) = row.sums(1, lambda p, t, mass: (row.wanted(t.double()) * log(clip(p.double() / mass, p.item)),), mass)
    return 0.0 - dot


def _cross_entropy_gradient(row: Row, scale: Vector) -> None:
    """With respect to p: (T − t/q) / Σp where q was not clipped, T / Σp where it was; T is Σt over the unclipped."""

    def reaches(p: Vector, t: Vector, mass: Vector) -> tuple[Vector]:
        q = p.double() / mass
        return (row.wanted(t.double()).where(q.same(clip(q, p.item)), 0.0),)

    def slope(p: Vector, t: Vector, mass: Vector, reached: Vector) -> Vector:
        q = p.double() / mass
        own = (row.wanted(t.double()) / q).where(q.same(clip(q, p.item)), 0.0)
        return (reached - own) / mass

    (mass,) = row.sums(1, lambda p, t: (p.double(),))
    (reached,) = row.sums(1, reaches, mass)
    row.slope(scale, slope, mass, reached)


def _clipped_sums(row: Row) -> list[Vector]:
    """Sums of q (p clipped), of the target t, and of t log q."""

    def terms(p: Vector, t: Vector) -> tuple[Vector, Vector, Vector]:
        q, wanted = clip(p.double(), p.item), row.wanted(t.double())
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
        return within_clip(p, mass / partition - row.wanted(t.double()) / p.double())

    row.slope(scale, slope, partition, mass)


def _sigmoid_loss(row: Row) -> Vector:
    """max(z, 0) − z·t + log(1 + e^−|z|)."""

    (total,) = row.fill(1, lambda z, t: _sigmoid_term(row, z, t))
    return total


def _sigmoid_term(row: Row, z: Vector, t: Vector) -> tuple[Vector, tuple[Vector]]:
    tail = log1p(decay(z)).double()  # LLVM reuses the decay for the sigmoid
    return sigmoid(z), (larger(z, z.full(0.0)).double() - z.double() * row.wanted(t.double()) + tail,)


def _difference(row: Row, x: Vector, t: Vector) -> Vector:
    """With respect to the logits, whose probabilities are x: p − t."""
    return x - row.wanted(t)


def _binary_term(row: Row, p: Vector, t: Vector) -> Vector:
    """−t log q − (1 − t) log(1 − q), q = p clipped to [1e-7, 1 − 1e-7]."""
    q, wanted = clip(p.double(), p.item), row.wanted(t.double())
    return 0.0 - (wanted * log(q) + (1.0 - wanted) * log1p(q * -1.0))


def _binary_slope(row: Row, p: Vector, t: Vector) -> Vector:
    """With respect to p: (p − t) / (p(1 − p)), 0 where p was clipped."""
    q = p.double()
    return within_clip(p, (q - row.wanted(t.double())) / (q * (1.0 - q)))


def _share_logs(p: Vector, mass: Vector) -> tuple[Vector, Vector, Vector]:
    """q = p / Σp, the same clipped, and its logarithm."""
    share = p.double() / mass
    q = clip(share, p.item)
    return share, q, log(q)


def _focal_loss(row: Row) -> Vector:
    """−Σ α (1 − q)^γ t log q with q = p / Σp clipped to [1e-7, 1 − 1e-7]."""
    alpha, gamma = row.numbers

    def term(p: Vector, t: Vector, mass: Vector) -> tuple[Vector]:
        _, q, logarithm = _share_logs(p, mass)
        return (row.wanted(t.double()) * power(1.0 - q, gamma) * logarithm * alpha,)

    (mass,) = row.sums(1, lambda p, t: (p.double(),))
    (dot,) = row.sums(1, term, mass)
    return 0.0 - dot


def _focal_gradient(row: Row, scale: Vector) -> None:
    """With respect to p: (g − Σ g q) / Σp, with the slope g with respect to q, 0 where q was clipped."""
    alpha, gamma = row.numbers

    def of_share(p: Vector, t: Vector, mass: Vector) -> tuple[Vector, Vector]:
        share, q, logarithm = _share_logs(p, mass)
        modulation = gamma * power(1.0 - q, gamma - 1.0) * logarithm - power(1.0 - q, gamma) / q
        slope = row.wanted(t.double()) * alpha * modulation
        return share, slope.where(share.same(q), slope * 0.0)

    def part(p: Vector, t: Vector, mass: Vector) -> tuple[Vector]:
        share, slope = of_share(p, t, mass)
        return (share * slope,)

    (mass,) = row.sums(1, lambda p, t: (p.double(),))
    (carried,) = row.sums(1, part, mass)
    row.slope(scale, lambda p, t, mass, carried: (of_share(p, t, mass)[1] - carried) / mass, mass, carried)


def _binary_modulation(row: Row, p: Vector, t: Vector) -> tuple[Vector, Vector]:
    """(1 − pₜ)^γ and its slope with respect to p, both weighted; pₜ is the probability given to the target."""
    alpha, gamma, balanced = row.numbers
    weight = (t * alpha + (1.0 - t) * (1.0 - alpha)).where(balanced > 0.0, 1.0)
    missing = 1.0 - (t * p + (1.0 - t) * (1.0 - p))
    return weight * power(missing, gamma), weight * gamma * power(missing, gamma - 1.0) * (1.0 - t * 2.0)


def _binary_focal_term(row: Row, p: Vector, t: Vector) -> Vector:
    """(1 − pₜ)^γ times the cross-entropy, with α as the weight of class 1 and 1 − α of class 0 if it is balanced."""
    modulation, _ = _binary_modulation(row, p.double(), row.wanted(t.double()))
    return modulation * _binary_term(row, p, t)


def _binary_focal_slope(row: Row, p: Vector, t: Vector) -> Vector:
    modulation, slope = _binary_modulation(row, p.double(), row.wanted(t.double()))
    return modulation * _binary_slope(row, p, t) + slope * _binary_term(row, p, t)


def _sigmoid_focal_loss(row: Row) -> Vector:
    """The same of logits: the cross-entropy is computed from them."""

    def formula(z: Vector, t: Vector) -> tuple[Vector, tuple[Vector]]:
        p, (entropy,) = _sigmoid_term(row, z, t)
        modulation, _ = _binary_modulation(row, p.double(), row.wanted(t.double()))
        return p, (modulation * entropy,)

    (total,) = row.fill(1, formula)
    return total


def _sigmoid_focal_slope(row: Row, p: Vector, t: Vector) -> Vector:
    """With respect to the logits, whose slope of p is p (1 − p)."""
    q, wanted = p.double(), row.wanted(t.double())
    modulation, slope = _binary_modulation(row, q, wanted)
    entropy = wanted * log(at_least(q, 1e-300)) + (1.0 - wanted) * log(at_least(1.0 - q, 1e-300))
    return modulation * (q - wanted) - slope * q * (1.0 - q) * entropy


CROSS_ENTROPIES: dict[str, Rule] = {
    "softmax_cross_entropy": Rule(_softmax_loss, _softmax_gradient),
    "cross_entropy": Rule(_cross_entropy_loss, _cross_entropy_gradient),
    "sparse_cross_entropy": Rule(_sparse_loss, _sparse_gradient),
    "sigmoid_cross_entropy": Rule(_sigmoid_loss, sloped(_difference), "sample", mean=True),
    "binary_cross_entropy": of_elements(_binary_term, _binary_slope),
    "focal_cross_entropy": Rule(_focal_loss, _focal_gradient, numbers=("alpha", "gamma")),
    "binary_focal_cross_entropy": of_elements(_binary_focal_term, _binary_focal_slope, FOCAL),
    "sigmoid_focal_cross_entropy": Rule(_sigmoid_focal_loss, sloped(_sigmoid_focal_slope), "sample", FOCAL, mean=True),
}
