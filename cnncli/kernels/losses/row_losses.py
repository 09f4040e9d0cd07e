"""Losses of a row as a whole: of directions, distributions, the greatest of other classes, and overlaps."""

from cnncli.kernels.losses.loss_rows import Row, Survey
from cnncli.kernels.losses.rule import EPSILON, Rule, at_least, clip, power, within_clip
from cnncli.kernels.vector.lanes import Vector, smaller
from cnncli.kernels.vector.sweeps import of_number
from cnncli.kernels.vector.vectormath import log


def _cosine_sums(row: Row) -> tuple[Vector, Vector, Vector]:
    """x · t, and 1 / |x| and 1 / |t|, at most 1e7 as in Keras."""
    dot, *squares = row.sums(
        3, lambda x, t: (x.double() * t.double(), x.double() * x.double(), t.double() * t.double())
    )
    x, t = (
        of_number(lambda square: smaller(square.full(1 / EPSILON), 1.0 / square.sqrt()), square) for square in squares
    )
    return dot, x, t


def _cosine_loss(row: Row) -> Vector:
    """−(x / |x|) · (t / |t|)."""
    dot, x, t = _cosine_sums(row)
    return 0.0 - dot * x * t


def _cosine_gradient(row: Row, scale: Vector) -> None:
    """With respect to x: (x (x · t) / |x|² − t) / (|x| |t|); without the first term where |x| is taken for 1e-7."""
    dot, x, t = _cosine_sums(row)
    along = dot * x * x
    along = along.full(0.0).where(x >= 1 / EPSILON, along)
    row.slope(scale, lambda x, t, along, both: (x.double() * along - t.double()) * both, along, x * t)


def _divergence_loss(row: Row) -> Vector:
    """Σ t log(t / p), both clipped to [1e-7, 1]."""

    def term(p: Vector, t: Vector) -> tuple[Vector]:
        given, wanted = clip(p.double(), p.item, 1.0), clip(t.double(), p.item, 1.0)
        return (wanted * log(wanted / given),)

    (total,) = row.sums(1, term)
    return total


def _divergence_gradient(row: Row, scale: Vector) -> None:
    """With respect to p: −t / p, 0 where p was clipped."""

    def slope(p: Vector, t: Vector) -> Vector:
        return within_clip(p, clip(t.double(), p.item, 1.0) / p.double() * -1.0, 1.0)

    row.slope(scale, slope)


def _other(x: Vector, t: Vector) -> Vector:
    """A score as one of a class that is not the target's: (1 − t) x."""
    return (1.0 - t) * x


def _class_margin(row: Row) -> tuple[Vector, Vector]:
    """The greatest score of another class, in the row's precision, and what it is too close to the target's."""
    greatest = row.largest(_other)
    (own,) = row.sums(1, lambda x, t: (t.double() * x.double(),))
    return greatest, of_number(lambda x: x.double(), greatest) - own + 1.0


def _class_hinge_loss(row: Row) -> Vector:
    """max(max((1 − t) x) − Σ t x + 1, 0)."""
    return of_number(lambda margin: at_least(margin, 0.0), _class_margin(row)[1])


def _class_hinge_gradient(row: Row, scale: Vector) -> None:
    """With respect to x: −t, and 1 − t of the greatest other score, shared among equals; 0 where the loss is."""
    greatest, margin = _class_margin(row)

    def among(x: Vector, t: Vector, greatest: Vector) -> Vector:
        return x.full(1.0).double().where(_other(x, t).same(greatest), 0.0)

    def slope(x: Vector, t: Vector, greatest: Vector, margin: Vector, count: Vector) -> Vector:
        found = among(x, t, greatest) * (1.0 - t.double()) / count - t.double()
        return found.where(margin >= 0.0, margin.full(0.0).where(margin < 0.0, margin))

    (count,) = row.sums(1, lambda *given: (among(*given),), greatest)
    row.slope(scale, slope, greatest, margin, count)


def _generalized_loss(row: Row) -> Vector:
    """(1 − p^q) / q of the probability p of the target's class."""
    (found,) = row.sums(1, lambda p, t: (p.double() * t.double(),))
    q = row.scalars[0].spread(1)
    return of_number(lambda p: (1.0 - power(p, q)) / q, found)


def _generalized_gradient(row: Row, scale: Vector) -> None:
    """With respect to p: −t p^(q − 1)."""
    (found,) = row.sums(1, lambda p, t: (p.double() * t.double(),))
    (q,) = row.numbers
    row.slope(scale, lambda p, t, found: t.double() * power(found, q - 1.0) * -1.0, found)


OVERLAP = Survey(3, lambda x, t: (x.double() * t.double(), x.double(), t.double()))
"""Σ t x, Σ x and Σ t."""


def _dice_loss(row: Row) -> Vector:
    """1 − 2 Σ t x / (Σ t + Σ x + 1e-7)."""
    both, x, t = row.known(OVERLAP)
    return 1.0 - both * 2.0 / (x + t + EPSILON)


def _dice_gradient(row: Row, scale: Vector) -> None:
    """With respect to x: 2 (Σ t x / S − t) / S with the sum S."""
    both, x, t = row.known(OVERLAP)
    total = x + t + EPSILON
    row.slope(scale, lambda x, t, share, total: (share - t.double()) * 2.0 / total, both / total, total)


def _tversky_loss(row: Row) -> Vector:
    """1 − I / (I + α Σ t (1 − x) + β Σ x (1 − t) + 1e-7) with I = Σ t x."""
    both, whole = _tversky_sums(row)
    return 1.0 - both / whole


def _tversky_sums(row: Row) -> tuple[Vector, Vector]:
    (both, x, t), (alpha, beta) = row.known(OVERLAP), row.scalars
    return both, both + alpha * (t - both) + beta * (x - both) + EPSILON


def _tversky_gradient(row: Row, scale: Vector) -> None:
    """With respect to x: (I D' − t D) / D² with the denominator D."""
    (both, whole), (alpha, beta) = _tversky_sums(row), row.numbers

    def slope(x: Vector, t: Vector, share: Vector, whole: Vector) -> Vector:
        wanted = t.double()
        return (share * (wanted - alpha * wanted + beta * (1.0 - wanted)) - wanted) / whole

    row.slope(scale, slope, both / whole, whole)


ROW_LOSSES: dict[str, Rule] = {
    "cosine_similarity": Rule(_cosine_loss, _cosine_gradient),
    "kl_divergence": Rule(_divergence_loss, _divergence_gradient),
    "categorical_hinge": Rule(_class_hinge_loss, _class_hinge_gradient),
    "generalized_cross_entropy": Rule(_generalized_loss, _generalized_gradient, numbers=("q",)),
    "dice": Rule(_dice_loss, _dice_gradient, None, survey=OVERLAP),
    "tversky": Rule(_tversky_loss, _tversky_gradient, None, numbers=("alpha", "beta"), survey=OVERLAP),
}
