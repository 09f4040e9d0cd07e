"""Formulas of metrics that are means: predictions and targets, float64 (n, …, outputs) → terms, of any shape."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
EPSILON = 1e-7


def _squared(x: Array, t: Array) -> Array:
    difference = x - t
    squares: Array = difference * difference
    return squares


def _squared_log(x: Array, t: Array) -> Array:
    return _squared(*(np.log1p(np.maximum(numbers, EPSILON)) for numbers in (x, t)))


def _log_cosh(x: Array, t: Array) -> Array:
    error = np.abs(x - t)
    logs: Array = error + np.log1p(np.exp(-2 * error)) - np.log(2)
    return logs


def _unit(x: Array) -> Array:
    """Rows of length 1; shorter ones than 1e-7 are 1e7 times as long."""
    rows: Array = x / np.maximum(np.sqrt((x * x).sum(-1, keepdims=True)), EPSILON)
    return rows


def _centred(x: Array) -> tuple[Array, Array]:
    """Rows less their mean, and their mean, (…, 1)."""
    mean = x.mean(-1, keepdims=True)
    return x - mean, mean


def _pearson(x: Array, t: Array) -> Array:
    (x, _), (t, _) = _centred(x), _centred(t)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation: Array = (x * t).mean(-1) / (x.std(-1) * t.std(-1))
    return correlation


def _concordance(x: Array, t: Array) -> Array:
    (centred, mean), (_, wanted) = _centred(x), _centred(t)
    spread = x.var(-1, keepdims=True) + t.var(-1, keepdims=True) + (wanted - mean) ** 2
    correlation: Array = (2 * (t - mean) * centred / (spread + EPSILON)).mean(-1)
    return correlation


def _poisson(x: Array, t: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms: Array = x - t * np.log(x + EPSILON)
    return terms


def _divergence(p: Array, t: Array) -> Array:
    p, t = np.clip(p, EPSILON, 1), np.clip(t, EPSILON, 1)
    sums: Array = (t * np.log(t / p)).sum(-1)
    return sums


def _hinge(x: Array, t: Array) -> Array:
    sides = 2 * t - 1 if ((t == 0) | (t == 1)).all() else t
    terms: Array = np.maximum(1 - sides * x, 0)
    return terms


def _class_hinge(x: Array, t: Array) -> Array:
    terms: Array = np.maximum(((1 - t) * x).max(-1) - (t * x).sum(-1) + 1, 0)
    return terms


def _binary(x: Array, t: Array, from_logits: bool, label_smoothing: float) -> Array:
    t = t * (1 - label_smoothing) + label_smoothing / 2
    terms: Array = -t * np.log(_clipped(x)) - (1 - t) * np.log1p(-_clipped(x))
    if from_logits:
        terms = np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))
    return terms


def _categorical(x: Array, t: Array, from_logits: bool, label_smoothing: float) -> Array:
    t = t * (1 - label_smoothing) + label_smoothing / t.shape[-1]
    logs = _log_softmax(x) if from_logits else np.log(_clipped(x / x.sum(-1, keepdims=True)))
    sums: Array = -(t * logs).sum(-1)
    return sums


def _sparse(x: Array, t: Array, from_logits: bool) -> Array:
    sums: Array = -(t * _log_softmax(x if from_logits else np.log(_clipped(x)))).sum(-1)
    return sums


def _clipped(p: Array) -> Array:
    """Within 1e-7 and 1 − 1e-7, as float32 has them."""
    return np.clip(p, float(np.float32(EPSILON)), float(np.float32(1 - EPSILON)))


def _log_softmax(x: Array) -> Array:
    lower = x - x.max(-1, keepdims=True)
    logs: Array = lower - np.log(np.exp(lower).sum(-1, keepdims=True))
    return logs


FORMULAS: Mapping[str, Callable[..., Array]] = {
    "MeanAbsoluteError": lambda x, t: np.abs(x - t),
    "MeanSquaredError": _squared,
    "RootMeanSquaredError": _squared,
    "MeanAbsolutePercentageError": lambda x, t: 100 * np.abs(x - t) / np.maximum(np.abs(t), EPSILON),
    "MeanSquaredLogarithmicError": _squared_log,
    "LogCoshError": _log_cosh,
    "CosineSimilarity": lambda x, t: (_unit(x) * _unit(t)).sum(-1),
    "PearsonCorrelation": _pearson,
    "ConcordanceCorrelation": _concordance,
    "Poisson": _poisson,
    "KLDivergence": _divergence,
    "Hinge": _hinge,
    "SquaredHinge": lambda x, t: _hinge(x, t) ** 2,
    "CategoricalHinge": _class_hinge,
    "BinaryCrossentropy": _binary,
    "CategoricalCrossentropy": _categorical,
    "SparseCategoricalCrossentropy": _sparse,
}
"""By the name of the metric's class; the fields of the metric are further arguments."""
