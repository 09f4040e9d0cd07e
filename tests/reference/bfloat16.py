"""bfloat16 by arithmetic: numbers with 8 significant bits, held as uint16."""

import numpy as np

LEAST = 2.0**-126
"""The least normal number; what is less in magnitude becomes 0."""


def narrow(x):
    """Round to the nearest bfloat16, ties to even; float32 or float64, not NaN."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    with np.errstate(over="ignore"):
        rounded = np.ldexp(np.rint(mantissa * 256), exponent - 8).astype(np.float32)
    signed_zero = np.copysign(np.float32(0), rounded)
    return (np.where(np.abs(x) < LEAST, signed_zero, rounded).view(np.uint32) >> 16).astype(np.uint16)


def widen(x):
    """The float32 of bfloat16."""
    return (x.astype(np.uint32) << 16).view(np.float32)
