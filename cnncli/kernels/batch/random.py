"""Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, SC 2011).

A number is a pure function of (seed, stream, step, position), so the order of draws does not matter. The 64-bit seed
is the key (low word first); the counter's four words are (block, stream, step low, step high); a block yields four
32-bit words. Each use has its own stream: each weight, each dropout layer, the shuffle. Seeds and steps are taken
modulo 2⁶⁴, streams modulo 2³²; one (seed, stream, step) has 2³⁴ words.

`philox` works in workers and on NumPy arrays; the rest is NumPy host code, independent of NumPy's own generators, whose
streams may change between versions.
"""

from collections.abc import Sequence
from math import erf, prod, sqrt
from typing import Any

import numpy as np
from numba import njit

Float64 = np.ndarray[Any, np.dtype[np.float64]]

MULTIPLY_0, MULTIPLY_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
WORD, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

# fmt: off
# AS241's rational approximations (numerator, denominator), highest power first: centre, tails, far tails.
CENTRE = (
    (
        2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
        1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080,
    ),
    (
        5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
        5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0,
    ),
)
TAIL = (
    (
        7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
        3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
        6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1.0,
    ),
)
FAR = (
    (
        2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
        2.96560571828504891230e-1, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720,
    ),
    (
        2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
        1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0,
    ),
)
# fmt: on


def _philox(c0, c1, c2, c3, k0, k1):
    """The four output words of counter (c0, c1, c2, c3) under key (k0, k1); all are 32-bit values in uint64."""
    for _ in range(10):
        product_0, product_1 = MULTIPLY_0 * c0, MULTIPLY_1 * c2
        c0, c2 = (product_1 >> HALF) ^ c1 ^ k0, (product_0 >> HALF) ^ c3 ^ k1
        c1, c3 = product_1 & WORD, product_0 & WORD
        k0, k1 = (k0 + WEYL_0) & WORD, (k1 + WEYL_1) & WORD
    return c0, c1, c2, c3


philox = njit(forceinline=True)(_philox)
"""`_philox` compiled, for workers. Loops over blocks vectorize only if it is inlined."""


@njit
def fractions(seed, step, stream, position):
    """Four numbers in (0, 1), multiples of 2⁻⁵³, for workers: words 8·position … of (seed, stream, step)."""
    key, counter = np.uint64(seed), np.uint64(step)
    first, second = np.uint64(2 * position), np.uint64(2 * position + 1)
    low, high, key_low, key_high = counter & WORD, counter >> HALF, key & WORD, key >> HALF
    w0, w1, w2, w3 = philox(first, np.uint64(stream), low, high, key_low, key_high)
    w4, w5, w6, w7 = philox(second, np.uint64(stream), low, high, key_low, key_high)
    return _fraction(w0, w1), _fraction(w2, w3), _fraction(w4, w5), _fraction(w6, w7)


@njit
def _fraction(high, low):
    return (np.float64(((high << HALF) | low) >> np.uint64(12)) + 0.5) * 2.0**-52


def bits(seed: int, stream: int, step: int, count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """The first `count` words of (seed, stream, step): uint32 (count,). Raises ValueError for more than 2³⁴."""
    if count > 1 << 34:
        raise ValueError(f"one (seed, stream, step) holds at most 2**34 words; received count={count}")
    blocks = np.arange(-(-count // 4), dtype=np.uint64)
    stream_word, step_low, step_high, key_low, key_high = (
        np.uint64(number & 0xFFFFFFFF) for number in (stream, step, step >> 32, seed, seed >> 32)
    )
    words = _philox(blocks, stream_word, step_low, step_high, key_low, key_high)
    return np.stack(words, axis=1).astype(np.uint32).reshape(-1)[:count]


def uniform(shape: Sequence[int], low: float, high: float, seed: int, stream: int) -> Float64:
    """Uniformly distributed numbers in (low, high): float64 of `shape`."""
    return low + (high - low) * _fractions(shape, seed, stream)


def normal(shape: Sequence[int], mean: float, stddev: float, seed: int, stream: int) -> Float64:
    """Normally distributed numbers: float64 of `shape`."""
    return mean + stddev * quantile(_fractions(shape, seed, stream))


def truncated_normal(shape: Sequence[int], mean: float, stddev: float, seed: int, stream: int) -> Float64:
    """Truncated normal numbers in mean ± 2·stddev; `stddev` is that of the untruncated normal: float64 of `shape`."""
    tail = (1 - erf(sqrt(2))) / 2  # probability below −2σ
    standard = quantile(tail + (1 - 2 * tail) * _fractions(shape, seed, stream))
    return mean + stddev * np.clip(standard, -2, 2)


def orthogonal(rows: int, columns: int, seed: int, stream: int) -> Float64:
    """A random matrix with orthonormal columns, uniformly distributed: float64 (rows, columns), rows ≥ columns.

    The modified Gram-Schmidt process on normal numbers: the factor Q of QR for which R has a positive diagonal. Its
    sums run over the rows, one after the other, so that the bits do not depend on the processor.
    """
    matrix = normal((rows, columns), 0.0, 1.0, seed, stream)
    for column in range(columns):
        unit = matrix[:, column : column + 1]
        unit /= np.sqrt(np.add.accumulate(unit * unit)[-1])
        rest = matrix[:, column + 1 :]
        rest -= unit * (unit * rest).sum(axis=0)
    return matrix


def quantile(fractions: Float64) -> Float64:
    """The standard normal's inverse distribution function on (0, 1), to about 1e-16 (Wichura 1988, algorithm AS241)."""
    offset = fractions - 0.5
    edge = np.sqrt(-np.log(np.minimum(fractions, 1 - fractions)))
    centre = offset * _ratio(CENTRE, 0.180625 - offset * offset)
    outside = np.where(edge <= 5, _ratio(TAIL, edge - 1.6), _ratio(FAR, edge - 5))
    return np.where(np.abs(offset) <= 0.425, centre, np.copysign(outside, offset))


def _ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], x: Float64) -> Float64:
    numerator, denominator = polynomials
    return np.asarray(np.polyval(numerator, x) / np.polyval(denominator, x))


def permutation(count: int, seed: int, stream: int, step: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The numbers 0 … count−1 in random order: int64 (count,). The order of 64-bit random keys, ties by position."""
    return np.argsort(_pairs(seed, stream, step, count), kind="stable").astype(np.int64)


def _pairs(seed: int, stream: int, step: int, count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return `count` 64-bit numbers, each from two consecutive words, high word first."""
    words = bits(seed, stream, step, 2 * count).astype(np.uint64)
    return (words[0::2] << HALF) | words[1::2]


def _fractions(shape: Sequence[int], seed: int, stream: int) -> Float64:
    """Numbers in the open interval (0, 1), multiples of 2⁻⁵³ that are exact in float64: float64 of `shape`."""
    # 52 bits plus one half: with 53 bits the largest number would round to 1.
    numerators = (_pairs(seed, stream, 0, prod(shape)) >> np.uint64(12)).astype(np.float64) + 0.5
    return np.asarray(numerators * 2.0**-52).reshape(shape)
