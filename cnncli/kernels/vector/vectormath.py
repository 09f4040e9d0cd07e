"""Elementary functions of `lanes.Vector`s, float32 or float64, without branches, tables or C library calls.

Results depend on the argument only. Coefficients are those of the Taylor series (except for Φ's), after exact
argument reduction (Cody, Waite 1980; Muller, Elementary Functions, chapter 11). Errors are given in units in the last
place, measured on dense samples against higher precision (`tests/kernels/test_vectormath.py`).
"""

from collections.abc import Sequence
from math import factorial, inf, nan
from typing import NamedTuple

from cnncli.kernels.vector.lanes import Vector


class Format(NamedTuple):
    """Constants of a dtype."""

    mantissa: int
    bias: int
    log_2: tuple[float, float]
    """ln 2 in two parts: a leading part whose product with an integer is exact, and the remainder (FreeBSD's msun)."""
    highest: float
    lowest: float
    """Bounds of x beyond which eˣ is infinite or rounds to 0."""
    exp_degree: int
    log_degree: int
    """Degrees of the series; their remainders are well below one unit in the last place."""


FORMATS = {
    4: Format(23, 127, (0.693145751953125, 1.4286068203094172e-06), 89.0, -105.0, 7, 4),
    8: Format(52, 1023, (0.6931471803691238, 1.9082149292705877e-10), 710.0, -746.0, 13, 10),
}


# fmt: off
NORMAL = {
    4: (16.0, 3.5, -1.4375, [
        -2.840479282895103e-06, 2.416634515611804e-06, 3.846844265353866e-05, -3.797622048296034e-05,
        -0.0005278909229673445, -5.252488699625246e-05, 0.008943199180066586, 0.0417938195168972,
        0.10960258543491364, 0.19587546586990356, 0.14436528086662292,
    ]),
    8: (40.0, 5.0, -1.25, [
        -1.7471042878261377e-11, 1.837828148738456e-13, 2.3697414345599017e-10, -6.847110525062808e-11,
        -2.154316875692042e-09, 1.1389188959701015e-09, 1.8878058395667665e-08, -9.508275171161845e-09,
        -1.7994427855061542e-07, -5.171296101542326e-09, 1.847671392518789e-06, 2.3923413058906134e-06,
        -1.7184697225607713e-05, -6.927146881393747e-05, 2.0270739694275247e-05, 0.001098093710415606,
        0.005376682002131297, 0.016669463230167606, 0.039108581813058874, 0.07395771880810396, 0.1160829917641643,
        0.15335794939360992, 0.09441064130196894,
    ]),
}
# fmt: on
"""Where Φ(−x) rounds to 0, c, b, and e^(x²/2) Φ(−x) as a polynomial of u = (c + b x) / (c + x), which runs
from 1 (x = 0) to −1: interpolated at Chebyshev's nodes, computed with 80 digits. Highest power first."""


def polynomial(x: Vector, coefficients: Sequence[float]) -> Vector:
    """Horner's rule, highest power first."""
    total = x.full(coefficients[0])
    for coefficient in coefficients[1:]:
        total = total.fma(x, coefficient)
    return total


def _reduced(x: Vector) -> tuple[Vector, Vector]:
    """(n, e^r − 1) with x = n ln 2 + r, |r| ≤ ln 2 / 2; n is an integer vector."""
    form = FORMATS[x.item]
    # Adding 1.5 · 2^mantissa rounds to an integer, which is then in the low bits.
    magic = 1.5 * 2.0**form.mantissa
    shifted = x.fma(1.4426950408889634, magic)
    n = shifted - magic
    r = n.fma(-form.log_2[0], x)
    r = n.fma(-form.log_2[1], r)
    tail = polynomial(r, [1 / factorial(k) for k in range(form.exp_degree, 1, -1)])
    return shifted.bits() - x.full(magic).bits(), (r * r).fma(tail, r)


def _power(n: Vector) -> Vector:
    """2ⁿ for integers n in the range of normal numbers."""
    form = FORMATS[n.item]
    return ((n + form.bias) << form.mantissa).real()


def exp(x: Vector) -> Vector:
    """eˣ within 1.1 ulp; subnormal results, 0 and ∞ at the ends, NaN of NaN."""
    form = FORMATS[x.item]
    x = x.full(form.highest).where(x > form.highest, x)
    n, rest = _reduced(x.full(form.lowest).where(x < form.lowest, x))
    half = n >> 1  # 2ⁿ itself may be out of range
    return (rest + 1.0) * _power(half) * _power(n - half)


def decay(x: Vector) -> Vector:
    """e^−|x| within 1.1 ulp."""
    return exp((x.bits() | -(1 << 8 * x.item - 1)).real())


def decay_less_1(x: Vector) -> Vector:
    """e^−|x| − 1 within 1.3 ulp, also near 0."""
    y = (x.bits() | x.full(-0.0).bits()).real()
    n, rest = _reduced(y.full(-80.0).where(y < -80.0, y))
    power = _power(n)
    return power.fma(rest, power - 1.0)


def sigmoid(x: Vector) -> Vector:
    """1 / (1 + e⁻ˣ) within 2.5 ulp; the exponential's argument is never positive, so nothing overflows."""
    tail = decay(x)
    return tail.full(1.0).where(x >= 0.0, tail) / (tail + 1.0)


def tanh(x: Vector) -> Vector:
    """(1 − e^−2|x|) / (1 + e^−2|x|) with x's sign, within 3 ulp also near 0; −0 of −0."""
    minus_1 = decay_less_1(x * 2.0)
    size = minus_1 / (minus_1 + 2.0)
    return (size.magnitude().bits() | x.sign()).real()


def _split(x: Vector) -> tuple[Vector, Vector, Vector]:
    """(k, m, 2⁻ᵏ) with x = 2ᵏ m, √½ ≤ m < √2, for positive normal x; k is a real."""
    form = FORMATS[x.item]
    root = x.full(0.70710678118654752440).bits()
    above = x.bits() + (x.full(1.0).bits() - root)
    # Positive, so the arithmetic shift inserts zeros.
    k = (above >> form.mantissa) - form.bias
    m = ((above & (1 << form.mantissa) - 1) + root).real()
    magic = x.full(1.5 * 2.0**form.mantissa)
    return (magic.bits() + k).real() - magic, m, k


def _log_1p(k: Vector, f: Vector) -> Vector:
    """k ln 2 + log(1 + f) with f between √½ − 1 and √2 − 1: 2 artanh(f / (2 + f)), arranged as in FreeBSD's msun."""
    form = FORMATS[f.item]
    s = f / (f + 2.0)
    z, half_square = s * s, f * f * 0.5
    series = z * polynomial(z, [2 / (2 * j + 1) for j in range(form.log_degree, 0, -1)])
    low = s.fma(half_square + series, k * form.log_2[1])
    return k.fma(form.log_2[0], f - (half_square - low))


def log(x: Vector) -> Vector:
    """The natural logarithm within 1 ulp; −∞ of 0, NaN of negative numbers."""
    form = FORMATS[x.item]
    smallest, shift = 2.0 ** (1 - form.bias), form.mantissa + 2
    small = x < smallest
    k, m, _ = _split((x * 2.0**shift).where(small, x))
    found = _log_1p((k - float(shift)).where(small, k), m - 1.0)
    found = x.where(x.same(inf), found)
    return _outside(x, found)


def log1p(x: Vector) -> Vector:
    """log(1 + x) within 1.5 ulp also near 0; −∞ of −1, NaN below."""
    u = x + 1.0
    back = u - 1.0
    lost = (1.0 - (u - back)) + (x - back)  # rounding error of the sum (Knuth's two-sum)
    k, m, n = _split(u)
    # For a large u the rounding error is negligible, and 2⁻ᵏ is out of range.
    f = (m - 1.0) + (lost * _power(x.full(0.0).bits() - n)).where(u < 2.0**100, 0.0)
    found = x.where(x.same(inf), _log_1p(k, f))
    return _outside(u, found)


def _outside(x: Vector, found: Vector) -> Vector:
    """Correct `found`, a logarithm of x, for x = 0 and outside the domain."""
    found = x.full(-inf).where(x.same(0.0), found)
    return found.where(x >= 0.0, nan)


def bell(x: Vector) -> Vector:
    """e^(−x²/2) within 1.4 ulp: x² = `square` + `lost`, by a part of x whose square is exact (Dekker 1971)."""
    low_bits = FORMATS[x.item].mantissa // 2 + 1
    size = _clipped_size(x)
    high = (size.bits() >> low_bits << low_bits).real()
    square = size * size
    lost = high.fma(high, -square) + (size - high) * (size + high)
    rounded = exp(square * -0.5)
    return _or_nan(x, rounded.fma(lost * -0.5, rounded))


def normal(x: Vector) -> Vector:
    """The standard normal distribution function Φ within 14.2 ulp, 5 of them above -5, also near 0."""
    _, c, b, tail = NORMAL[x.item]
    size = _clipped_size(x)
    below = bell(x) * polynomial(size.fma(b, c) / (size + c), tail)
    return _or_nan(x, below.where(x < 0.0, 1.0 - below))


def _or_nan(x: Vector, found: Vector) -> Vector:
    """What was found, or x itself where that is NaN: which of several NaN an instruction passes on differs."""
    return found.where(x.magnitude() >= 0.0, x)


def _clipped_size(x: Vector) -> Vector:
    """|x|, but where Φ(−|x|) rounds to 0 the smallest such, so that x² does not overflow."""
    end, size = NORMAL[x.item][0], x.magnitude()
    return size.full(end).where(size > end, size)
