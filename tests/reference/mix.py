"""A batch mixed in float64, image by image: the twin of `kernels/augment/mix.py`."""

from math import exp, log

import numpy as np

from tests.reference.affine import between, fractions


def drawn(seed, stream, weights, step, batch, alpha):
    """What is drawn for a batch: the rows' partners, weights, and places (left, top)."""
    own = fractions(seed, stream, step, batch + 1)
    order = list(range(batch))
    for i in reversed(range(batch)):
        other = int(own[i, 0] * (i + 1))
        order[i], order[other] = order[other], order[i]
    tries = fractions(seed, weights, step, 32 * batch).reshape(batch, 64, 2)
    chosen = between(alpha, own[batch, 0])
    return np.array(order), np.array([beta(pairs, chosen) for pairs in tries]), own[:batch, 1], own[:batch, 2]


def beta(pairs, alpha):
    """Jöhnk's way with the first of the pairs for which it succeeds; u^(1/α) may be 0, its logarithm is not."""
    for u, v in pairs:
        x, y = log(u) / alpha, log(v) / alpha
        if exp(x) + exp(y) <= 1:
            return exp(x - max(x, y)) / (exp(x - max(x, y)) + exp(y - max(x, y)))
    raise AssertionError("64 attempts have failed")


def blended(x, order, weight):
    own = weight.reshape(-1, *[1] * (x.ndim - 1))
    return own * x + (1 - own) * x[order]


def pasted(x, order, weight, left, top):
    """Keras' formulas: a mask of the cells whose numbers lie within the rectangle."""
    out, (height, width) = x.copy(), x.shape[1:3]
    row, column = np.mgrid[:height, :width]
    for image, other, ratio, across, down in zip(out, x[order], np.sqrt(1 - weight), left, top, strict=True):
        x0, y0 = across * (width - ratio * width), down * (height - ratio * height)
        inside = (column >= x0) & (column < x0 + ratio * width) & (row >= y0) & (row < y0 + ratio * height)
        image[inside] = other[inside]
    return out
