"""How much gradients must shrink for their norms to stay below a limit (keras/src/optimizers/base_optimizer.py).

Norms are summed in float64: at most 8 parts of a tensor, a pure function of its size; 16 lanes in each; parts added in
order, then tensors.
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
    """factors = limit / max(norm, limit), of each tensor's norm, or `together` of that of all of them.

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
    """The sum of squares of one part of one tensor; 0 for a part that a small tensor has not."""

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
    """Add the parts in order, and compare the roots with the limit. A norm that is NaN makes a factor that is."""

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
