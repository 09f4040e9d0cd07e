"""Gradient clipping by norm (keras/src/optimizers/base_optimizer.py).

Norms are summed in float64: at most 8 parts per tensor, a pure function of its size; 16 lanes per part; parts are added
in order, then tensors.
"""

from math import sqrt

from numba import types

from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, block, fields, view, worker
from cnncli.kernels.optimizers.update_rules import Segments
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import summing

PARTS = 8
SQUARES = block("grads places squares count")
FACTORS = block("squares factors count together limit:f")


def factors(grads: Tensor, segments: Segments, limit: float, *, together: bool) -> list[Step]:
    """factors = limit / max(norm, limit), with the norm of each tensor, or with `together` the global norm.

    grads: real (n,). Fills `segments.factors`.
    """
    count = segments.places.shape[0]
    places = {"squares": segments.squares.address, "count": count}
    return [
        squares_worker.step(grads.dtype, PARTS * count, grads=grads.address, places=segments.places.address, **places),
        factors_worker.step("float64", 1, factors=segments.factors.address, together=together, limit=limit, **places),
    ]


def _square(g: Vector) -> tuple[tuple[()], tuple[Vector]]:
    g = g.double()
    return (), (g * g,)


_squares = summing(1, _square)


@worker(SQUARES)
def squares_worker(real):
    """Compute the sum of squares of one part of a tensor; 0 for parts that a small tensor does not have."""

    def squares(parameters, chunk, _, thread):
        p = fields(parameters, SQUARES)
        tensor, part = chunk // PARTS, chunk % PARTS
        first, end = view(p.places, (p.count, 2), types.int64)[tensor]
        parts = max(1, min(PARTS, (end - first + SPAN - 1) // SPAN))
        length = (end - first + parts - 1) // parts
        start = min(end, first + part * length)
        stop = min(end, start + length)
        (total,) = _squares(0, (p.grads,), (), start, stop, (), real)
        view(p.squares, (p.count, PARTS), types.float64)[tensor, part] = total

    return squares


@worker(FACTORS)
def factors_worker(real):
    """Add the parts in order, and compute the factors from the norms. A NaN norm gives a NaN factor."""

    def factors(parameters, chunk, _, thread):
        p = fields(parameters, FACTORS)
        squares, factors = view(p.squares, (p.count, PARTS), real), view(p.factors, p.count, real)
        total = real(0)
        for i in range(p.count):
            own = real(0)
            for part in range(PARTS):
                own += squares[i, part]
            norm = sqrt(own)
            factors[i] = 1.0 if norm <= p.limit else p.limit / norm
            total += own
        if p.together:
            norm = sqrt(total)
            for i in range(p.count):
                factors[i] = 1.0 if norm <= p.limit else p.limit / norm

    return factors
