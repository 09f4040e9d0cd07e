"""Optimizers, penalties, constraints: one element or one array at a time, in float64. Nothing is changed in place."""

import numpy as np

EPSILON = 1e-7


def sgd(w, g, m, rate, momentum, nesterov):
    """Returns (w, m)."""
    if m is None:
        return w - rate * g, None
    m = momentum * m - rate * g
    return w + (momentum * m - rate * g if nesterov else m), m


def adam(w, g, m, v, alpha, beta_1, beta_2, epsilon):
    """Kingma and Ba's form, b·m + (1 − b)·g. Returns (w, m, v)."""
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    return w - alpha * m / (np.sqrt(v) + epsilon), m, v


def amsgrad(w, g, m, v, highest, alpha, beta_1, beta_2, epsilon):
    """Returns (w, m, v, highest)."""
    _, m, v = adam(w, g, m, v, alpha, beta_1, beta_2, epsilon)
    highest = np.maximum(highest, v)
    return w - alpha * m / (np.sqrt(highest) + epsilon), m, v, highest


def adamax(w, g, m, u, alpha, beta_1, beta_2, epsilon):
    """Returns (w, m, u)."""
    m, u = beta_1 * m + (1 - beta_1) * g, np.maximum(beta_2 * u, np.abs(g))
    return w - alpha * m / (u + epsilon), m, u


def lamb_direction(g, m, v, of_m, of_v, beta_1, beta_2, epsilon):
    """Returns (m, v, direction)."""
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    return m, v, of_m * m / (np.sqrt(of_v * v) + epsilon)


def norm_ratio(w, direction):
    """‖w‖ / ‖direction‖; 1 where one of them is 0."""
    norms = np.linalg.norm(w), np.linalg.norm(direction)
    return norms[0] / norms[1] if all(norms) else 1.0


def nadam(w, g, m, v, of_m, of_g, of_v, beta_1, beta_2, epsilon):
    """Returns (w, m, v)."""
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    return w - (of_m * m + of_g * g) / (np.sqrt(of_v * v) + epsilon), m, v


def rmsprop(w, g, v, mean, m, rate, rho, momentum, epsilon):
    """`mean` is None where it is not centered, `m` without momentum. Returns (w, v, mean, m)."""
    v = rho * v + (1 - rho) * g**2
    mean = None if mean is None else rho * mean + (1 - rho) * g
    by = rate * g / np.sqrt(v - (0 if mean is None else mean**2) + epsilon)
    m = None if m is None else momentum * m + by
    return w - (by if m is None else m), v, mean, m


def adagrad(w, g, s, rate, epsilon):
    """Returns (w, s)."""
    s = s + g**2
    return w - rate * g / np.sqrt(s + epsilon), s


def adadelta(w, g, s, d, rate, rho, epsilon):
    """Returns (w, s, d)."""
    s = rho * s + (1 - rho) * g**2
    delta = g * np.sqrt((d + epsilon) / (s + epsilon))
    return w - rate * delta, s, rho * d + (1 - rho) * delta**2


def lion(w, g, m, rate, beta_1, beta_2):
    """Returns (w, m)."""
    return w - rate * np.sign(beta_1 * m + (1 - beta_1) * g), beta_2 * m + (1 - beta_2) * g


def ftrl(w, g, s, z, rate, power, l1, l2, shrinkage, beta):
    """As in Keras' documentation, with l2 and shrinkage not doubled. Returns (w, s, z)."""
    before, s = s**power, s + g**2
    z = z + g + 2 * shrinkage * w - (s**power - before) / rate * w
    w = np.where(np.abs(z) > l1, (np.sign(z) * l1 - z) / ((beta + s**power) / rate + 2 * l2), 0.0)
    return w, s, z


def average(w, a, momentum, overwrite):
    """Returns (w, a)."""
    a = momentum * a + (1 - momentum) * w
    return (a if overwrite else w), a


def prepared(w, g, factor, bound, decay):
    """What every update does first. Returns (w, g)."""
    return w - decay * w, np.clip(factor * g, -bound, bound)


def clip_factors(grads, limit, together):
    """What each of the gradients is multiplied by, so that no norm is larger than the limit."""
    norms = [np.linalg.norm(grad) for grad in grads]
    norms = [np.linalg.norm(norms)] * len(norms) if together else norms
    return [limit / max(norm, limit) for norm in norms]


def penalty(x, l1, l2, scale):
    return scale * (l1 * np.abs(x).sum() + l2 * (x**2).sum())


def penalty_gradient(x, l1, l2, scale):
    return scale * (l1 * np.sign(x) + 2 * l2 * x)


def angles(x, factor, rows):
    """Keras' OrthogonalRegularizer."""
    unit = x if rows else x.T
    unit = unit * np.minimum(1 / np.maximum(np.sqrt((unit**2).sum(axis=1, keepdims=True)), 1e-300), 1e7)
    size = len(unit)
    products = np.abs(unit @ unit.T) * (1 - np.eye(size))
    return factor * 0.5 * products.sum() / max(1, size * (size - 1) / 2)


def angles_gradient(x, factor, rows):
    """Derived from that of each pair: the cosine's sign times the other row less its part along this one."""
    w = x if rows else x.T
    length = np.sqrt((w**2).sum(axis=1, keepdims=True))
    unit, size = w / np.where(length == 0, 1, length), len(w)
    found = np.zeros_like(w)
    for i in range(size):
        for j in range(size):
            if i != j and length[i]:
                cosine = unit[i] @ unit[j]
                found[i] += np.sign(cosine) * (unit[j] - cosine * unit[i]) / length[i]
    found *= 2 * factor / max(1, size * (size - 1))
    return found if rows else found.T


def norm(w, axes):
    return np.sqrt((w**2).sum(axis=axes, keepdims=True))


def max_norm(w, max_value, axes):
    length = norm(w, axes)
    return w * np.clip(length, 0, max_value) / (EPSILON + length)


def min_max_norm(w, least, most, rate, axes):
    length = norm(w, axes)
    return w * (rate * np.clip(length, least, most) + (1 - rate) * length) / (EPSILON + length)


def unit_norm(w, axes):
    return w / (EPSILON + norm(w, axes))


def non_neg(w):
    return np.where(w < 0, 0.0, w)
