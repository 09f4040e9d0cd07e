"""Temperature scaling: one number that makes probabilities as sure as they are right.

Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks (ICML 2017), section 4.2: the logits z are
divided by T, which minimizes the mean negative log-likelihood on held-out data. The order of the classes stays.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LEAST, GREATEST = 1e-3, 1e6
"""Bounds of T. Where the likelihood still grows at one, no temperature maximizes it."""
TINY = float(np.finfo(np.float32).smallest_subnormal)
NEAR_ONE = 2.0**-25
"""Half the distance from 1 to the float32 below it."""


def logits(probabilities: Array) -> Array:
    """Logits of softmax's `probabilities`, real (n, classes): their logarithms, which differ from the network's by a
    number per row and so have the same softmax at any temperature. Float64.

    A probability that underflowed to 0 counts as the smallest float32, as if its logit were 103 below the greatest.
    """
    found: Array = np.log(np.maximum(probabilities.astype(np.float64), TINY))
    return found


def log_odds(probabilities: Array) -> Array:
    """Logits of sigmoid's `probabilities`, real (…): log p − log(1 − p). Float64.

    A float32 of 0 counts as the smallest one, a float32 of 1 as 1 − 2⁻²⁵: logits are between −103 and 17.
    """
    p = probabilities.astype(np.float64)
    found: Array = np.log(np.maximum(p, TINY)) - np.log(np.maximum(1 - p, NEAR_ONE))
    return found


def softmax(logits: Array) -> Array:
    """exp z / Σ exp z over the last axis. Float64."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    found: Array = powers / powers.sum(-1, keepdims=True)
    return found


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp −z). Float64."""
    small = np.exp(-np.abs(logits))
    found: Array = np.where(logits < 0, small, 1.0) / (1 + small)
    return found


def fit(logits: Array, targets: Array) -> float | None:
    """The temperature with the least mean negative log-likelihood −Σ t·log softmax(z/T).

    logits: float64 (n, classes). targets: real (n, classes), rows that sum to 1. None if none is best: the likelihood
    grows for ever as T nears 0 (every sample is right) or as T grows (the logits are no better than chance).

    The likelihood is convex in b = 1/T, with slope Σ p·z − Σ t·z and curvature Var_p z (means over the samples):
    Newton's method, and bisection where that would leave the bracket.
    """
    z = logits - logits.max(-1, keepdims=True)
    wanted = float((targets * z).sum(-1).mean())

    def slope(b: float) -> tuple[float, float]:
        p = softmax(b * z)
        mean = (p * z).sum(-1, keepdims=True)
        return float(mean.mean()) - wanted, float((p * (z - mean) ** 2).sum(-1).mean())

    low, high = 1 / GREATEST, 1 / LEAST
    if slope(low)[0] >= 0 or slope(high)[0] <= 0:
        return None
    b = 1.0
    for _ in range(200):
        steepness, curvature = slope(b)
        low, high = (b, high) if steepness < 0 else (low, b)
        newton = b - steepness / curvature if curvature > 0 else low
        following = newton if low < newton < high else (low + high) / 2
        if abs(following - b) <= 1e-14 * b:
            break
        b = following
    return 1 / b


def negative_log_likelihood(logits: Array, targets: Array) -> float:
    """The mean of −Σ t·log softmax(z). Both float64 (n, classes)."""
    z = logits - logits.max(-1, keepdims=True)
    return float((targets * (np.log(np.exp(z).sum(-1, keepdims=True)) - z)).sum(-1).mean())
