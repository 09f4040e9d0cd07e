"""Exact sums of real numbers as arrays of integers, which can be added in any order and any division into batches."""

from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
DIGITS = 53
"""Bits of a float64's significand."""
LEAST = -1074
"""The exponent of the least float64."""
SPAN = 8
"""Exponents that share an integer."""
PIECE, PIECES = 18, 3
"""A significand in pieces of so many bits: with SPAN − 1 more, 2³⁸ of them fit into an int64."""
PLACES = 1 + (1024 - LEAST) // SPAN + 1
"""The first is the number of terms that are not finite."""


def exact_sums(terms: Array) -> Array:
    """The sum of each column, as integers: int64 (PIECES, PLACES, k). terms: real (n, k)."""
    terms = terms.astype(np.float64)
    finite = np.isfinite(terms)
    fractions, exponents = np.frexp(np.where(finite, terms, 0.0))
    significands = np.ldexp(fractions, DIGITS).astype(np.int64)
    # Denormal numbers end in zeros: below LEAST there is nothing to lose.
    low = np.maximum(LEAST - (exponents - DIGITS), 0)
    significands, exponents = significands >> low, exponents - DIGITS + low - LEAST
    columns = terms.shape[1]
    places = (1 + exponents // SPAN) * columns + np.arange(columns)
    sums = [_add(places, part << (exponents % SPAN), columns) for part in _pieces(significands)]
    sums[0][0] = np.count_nonzero(~finite, axis=0)
    return np.stack(sums)


def read_sums(sums: Array) -> list[Fraction | None]:
    """The sums of the columns; None of one with a term that was not finite. sums: int64 (PIECES, PLACES, k)."""
    return [None if column[0, 0] else _read(column[:, 1:]) for column in np.moveaxis(sums, -1, 0)]


def _pieces(significands: Array) -> list[Array]:
    """Integers in pieces, the lowest first; the last has the sign."""
    mask = (1 << PIECE) - 1
    lower = [significands >> (PIECE * number) & mask for number in range(PIECES - 1)]
    return [*lower, significands >> (PIECE * (PIECES - 1))]


def _add(places: Array, parts: Array, columns: int) -> Array:
    """The parts added up at their places: int64 (PLACES, columns). In float64 sums below 2⁵³ are exact."""
    sums = np.bincount(places.ravel(), parts.ravel().astype(np.float64), PLACES * columns)
    return sums.astype(np.int64).reshape(PLACES, columns)


def _read(column: Array) -> Fraction:
    rows = enumerate(column.tolist())
    whole = sum(value << (PIECE * piece + SPAN * place) for piece, row in rows for place, value in enumerate(row))
    return Fraction(whole) * Fraction(2) ** LEAST
