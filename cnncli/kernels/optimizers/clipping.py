"""Factors from norms: gradient clipping (keras/src/optimizers/base_optimizer.py), and the ratios of LAMB.

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
SQUARES = block("x places squares count")
FACTORS = block("squares factors count together limit:f")
RATIOS = block("squares ratios count")


def factors(grads: Tensor, segments: Segments, limit: float, *, together: bool) -> list[Step]:
    """factors = limit / max(norm, limit), with the norm of each tensor, or with `together` the global norm.

    grads: real (n,). Fills `segments.factors`.
    """
    count = segments.places.shape[0]
    squares, factors = segments.squares.address, segments.factors.address
    return [
        _squares_of(grads, segments, 0),
        factors_worker.step(
            "float64", 1, squares=squares, factors=factors, count=count, together=together, limit=limit
        ),
    ]


def ratios(weights: Tensor, moves: Tensor, segments: Segments) -> list[Step]:
    """ratios = norm of a tensor's weights / norm of its moves; 1 where one of them is 0.

    weights, moves: real (n,). Fills `segments.ratios`.
    """
    count, squares = segments.places.shape[0], segments.squares.address
    return [
        _squares_of(weights, segments, 0),
        _squares_of(moves, segments, 1),
        ratios_worker.step("float64", 1, squares=squares, ratios=segments.ratios.address, count=count),
    ]


def _squares_of(x: Tensor, segments: Segments, which: int) -> Step:
    """Sum the squares of each part of each tensor, into the half `which` of `segments.squares`."""
    count = segments.places.shape[0]
    squares = segments.squares.address + which * count * PARTS * 8
    places = segments.places.address
    return squares_worker.step(x.dtype, PARTS * count, x=x.address, places=places, squares=squares, count=count)


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
        (total,) = _squares(0, (p.x,), (), start, stop, (), real)
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


@worker(RATIOS)
def ratios_worker(real):
    """Add the parts in order, and compute the ratios from the norms; 1 where a norm is 0 or NaN, as in Keras."""

    def ratios(parameters, chunk, _, thread):
        p = fields(parameters, RATIOS)
        squares, ratios = view(p.squares, (2, p.count, PARTS), real), view(p.ratios, p.count, real)
        for i in range(p.count):
            weights = moves = real(0)
            for part in range(PARTS):
                weights += squares[0, i, part]
                moves += squares[1, i, part]
            ratios[i] = sqrt(weights) / sqrt(moves) if weights > 0 and moves > 0 else 1.0

    return ratios
