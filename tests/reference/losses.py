"""Losses sample by sample, in float64, as Keras defines them. Each returns (N,), weighted.

A rule's twin has its name, and takes the loss' numbers by name; the twin of its gradient has the name with `_gradient`.
"""

import numpy as np

EPSILON = 1e-7


def smooth(target, smoothing):
    return target * (1 - smoothing) + smoothing / target.shape[-1]


def smooth_binary(target, smoothing):
    return target * (1 - smoothing) + smoothing / 2


def per_sample(values, weight):
    """The mean of everything that belongs to a sample, times its weight."""
    return np.array([np.mean(values[n]) * weight[n] for n in range(len(values))])


def softmax_cross_entropy(logits, target, weight, label_smoothing):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return per_sample(-(smooth(target, label_smoothing) * log_probabilities).sum(axis=-1), weight)


def cross_entropy(probabilities, target, weight, label_smoothing):
    q = probabilities / probabilities.sum(axis=-1, keepdims=True)
    q = np.clip(q, EPSILON, 1 - EPSILON)
    return per_sample(-(smooth(target, label_smoothing) * np.log(q)).sum(axis=-1), weight)


def sparse_cross_entropy(probabilities, target, weight, label_smoothing):
    q = np.clip(probabilities, EPSILON, 1 - EPSILON)
    q = q / q.sum(axis=-1, keepdims=True)
    return per_sample(-(smooth(target, label_smoothing) * np.log(q)).sum(axis=-1), weight)


def sigmoid_cross_entropy(logits, target, weight, label_smoothing):
    t = smooth_binary(target, label_smoothing)
    # −log sigmoid(z) = log(e⁰ + e⁻ᶻ)
    return per_sample(t * np.logaddexp(0, -logits) + (1 - t) * np.logaddexp(0, logits), weight)


def binary_cross_entropy(probabilities, target, weight, label_smoothing):
    t, q = smooth_binary(target, label_smoothing), np.clip(probabilities, EPSILON, 1 - EPSILON)
    return per_sample(-(t * np.log(q) + (1 - t) * np.log(1 - q)), weight)


def mean_squared_error(prediction, target, weight):
    return per_sample((prediction - target) ** 2, weight)


def mean_absolute_error(prediction, target, weight):
    return per_sample(np.abs(prediction - target), weight)


def focal_cross_entropy(probabilities, target, weight, label_smoothing, alpha, gamma):
    q = clip(probabilities / probabilities.sum(axis=-1, keepdims=True), 1 - EPSILON)
    t = smooth(target, label_smoothing)
    return per_sample((-alpha * (1 - q) ** gamma * t * np.log(q)).sum(axis=-1), weight)


def binary_focal_cross_entropy(p, target, weight, label_smoothing, alpha, gamma, apply_class_balancing):
    t, q = smooth_binary(target, label_smoothing), clip(p, 1 - EPSILON)
    entropy = -(t * np.log(q) + (1 - t) * np.log(1 - q))
    return per_sample(entropy * focus(p, t, alpha, gamma, apply_class_balancing), weight)


def sigmoid_focal_cross_entropy(logits, target, weight, label_smoothing, alpha, gamma, apply_class_balancing):
    t = smooth_binary(target, label_smoothing)
    entropy = t * np.log(1 + np.exp(-logits)) + (1 - t) * np.log(1 + np.exp(logits))
    p = 1 / (1 + np.exp(-logits))
    return per_sample(entropy * focus(p, t, alpha, gamma, apply_class_balancing), weight)


def focus(p, t, alpha, gamma, balanced):
    factor = t * alpha + (1 - t) * (1 - alpha) if balanced else 1
    return factor * (1 - (t * p + (1 - t) * (1 - p))) ** gamma


def mean_absolute_percentage_error(x, t, weight):
    return per_sample(100 * magnitude(x - t) / np.maximum(np.abs(t), EPSILON), weight)


def mean_squared_logarithmic_error(x, t, weight):
    logs = (np.log(1 + np.maximum(number, EPSILON)) for number in (x, t))
    return per_sample(np.subtract(*logs) ** 2, weight)


def huber(x, t, weight, delta):
    error = magnitude(x - t)
    return per_sample(np.where(error.real <= delta, error**2 / 2, delta * error - delta**2 / 2), weight)


def log_cosh(x, t, weight):
    return per_sample(np.log(np.cosh(x - t)), weight)


def poisson(x, t, weight):
    return per_sample(x - t * np.log(x + EPSILON), weight)


def hinge(x, t, weight):
    return per_sample(too_close(x, t), weight)


def squared_hinge(x, t, weight):
    return per_sample(too_close(x, t) ** 2, weight)


def too_close(x, t):
    side = 2 * t - 1 if set(np.unique(t)) <= {0, 1} else t
    return np.maximum(1 - side * x, 0)


def categorical_hinge(x, t, weight):
    return per_sample(np.maximum(((1 - t) * x).max(axis=-1) - (t * x).sum(axis=-1) + 1, 0), weight)


def kl_divergence(p, t, weight):
    p, t = clip(p, 1), clip(t, 1)
    return per_sample((t * np.log(t / p)).sum(axis=-1), weight)


def cosine_similarity(x, t, weight):
    def norm(v):
        return np.maximum(np.sqrt((v * v).sum(axis=-1)), EPSILON)

    return per_sample(-(x * t).sum(axis=-1) / norm(x) / norm(t), weight)


def generalized_cross_entropy(p, t, weight, q):
    with np.errstate(invalid="ignore"):  # of targets below 0, which a test tries
        return per_sample((1 - (p * t).sum(axis=-1) ** q) / q, weight)


def clip(p, highest):
    """Complex numbers, too."""
    return np.where(p.real < EPSILON, EPSILON, np.where(p.real > highest, highest, p))


def magnitude(x):
    """|x|, of a complex number with the sign of its real part: its derivative stays."""
    return np.where(x.real < 0, -x, x)


def complex_step(loss):
    """The gradient of the mean of a loss: its value at x + 1e-30 i, in the imaginary part, for one element at a time of
    every sample (Squire, Trapp 1998)."""

    def gradient(x, target, weight, **numbers):
        out = np.empty(x.shape)
        for index in np.ndindex(x.shape[1:]):
            at = (slice(None), *index)
            moved = x.astype(complex)
            moved[at] += 1e-30j
            out[at] = loss(moved, target, weight, **numbers).imag / 1e-30 / len(x)
        return out

    return gradient


def of_logits(gradient):
    """The gradient of a loss of a sigmoid's logits, given the probabilities."""
    return lambda p, *given, **numbers: gradient(np.log(p) - np.log1p(-p), *given, **numbers)


focal_cross_entropy_gradient = complex_step(focal_cross_entropy)
binary_focal_cross_entropy_gradient = complex_step(binary_focal_cross_entropy)
sigmoid_focal_cross_entropy_gradient = of_logits(complex_step(sigmoid_focal_cross_entropy))
mean_absolute_percentage_error_gradient = complex_step(mean_absolute_percentage_error)
mean_squared_logarithmic_error_gradient = complex_step(mean_squared_logarithmic_error)
huber_gradient = complex_step(huber)
log_cosh_gradient = complex_step(log_cosh)
poisson_gradient = complex_step(poisson)
hinge_gradient = complex_step(hinge)
squared_hinge_gradient = complex_step(squared_hinge)
categorical_hinge_gradient = complex_step(categorical_hinge)
kl_divergence_gradient = complex_step(kl_divergence)
cosine_similarity_gradient = complex_step(cosine_similarity)
generalized_cross_entropy_gradient = complex_step(generalized_cross_entropy)


def softmax_cross_entropy_gradient(probabilities, target, weight, label_smoothing):
    t = smooth(target, label_smoothing)
    return spread(probabilities * t.sum(axis=-1, keepdims=True) - t, weight, probabilities.size // t.shape[-1])


def cross_entropy_gradient(probabilities, target, weight, label_smoothing):
    """The chain rule through log, clip and p / Σp, with the Jacobian of the last written out."""
    t, out = smooth(target, label_smoothing), np.zeros_like(probabilities)
    for index in np.ndindex(probabilities.shape[:-1]):
        p = probabilities[index]
        q = p / p.sum()
        inside = (q >= EPSILON) & (q <= 1 - EPSILON)
        slope = np.where(inside, -t[index] / q, 0.0)
        jacobian = np.eye(len(p)) / p.sum() - np.outer(p, np.ones(len(p))) / p.sum() ** 2
        out[index] = slope @ jacobian
    return spread(out, weight, out.size // out.shape[-1])


def sparse_cross_entropy_gradient(probabilities, target, weight, label_smoothing):
    """That of softmax and cross-entropy of the logits log q, and the chain rule through log and clip."""
    t, p = smooth(target, label_smoothing), probabilities
    inside, q = (p >= EPSILON) & (p <= 1 - EPSILON), np.clip(p, EPSILON, 1 - EPSILON)
    logits = q / q.sum(axis=-1, keepdims=True) * t.sum(axis=-1, keepdims=True) - t
    return spread(np.where(inside, logits / q, 0.0), weight, p.size // p.shape[-1])


def sigmoid_cross_entropy_gradient(probabilities, target, weight, label_smoothing):
    return spread(probabilities - smooth_binary(target, label_smoothing), weight, target.size)


def binary_cross_entropy_gradient(probabilities, target, weight, label_smoothing):
    t, p = smooth_binary(target, label_smoothing), probabilities
    inside = (p >= EPSILON) & (p <= 1 - EPSILON)
    q = np.clip(p, EPSILON, 1 - EPSILON)
    return spread(np.where(inside, (1 - t) / (1 - q) - t / q, 0.0), weight, p.size)


def mean_squared_error_gradient(prediction, target, weight):
    return spread(2 * (prediction - target), weight, prediction.size)


def mean_absolute_error_gradient(prediction, target, weight):
    return spread(np.sign(prediction - target), weight, prediction.size)


def dice(p, t, weight, axis):
    return _overlap(p, t, weight, axis, lambda p, t, mean: 1 - 2 * mean(p * t) / (mean(t) + mean(p) + EPSILON))


def tversky(p, t, weight, alpha, beta, axis):
    def value(p, t, total):
        both = total(p * t)
        return 1 - both / (both + alpha * total(t * (1 - p)) + beta * total(p * (1 - t)) + EPSILON)

    return _overlap(p, t, weight, axis, value)


def _overlap(p, t, weight, axis, value):
    """The value of the sums over the batch, over each sample, or over each position."""
    if axis is None:
        return value(p, t, np.sum) * weight
    axes = -1 if axis == -1 else tuple(range(1, p.ndim))
    return per_sample(value(p, t, lambda array: array.sum(axes)), weight)


def dice_gradient(p, t, weight, axis):
    def slope(p, t, total):
        both, whole = total(p * t), total(p) + total(t) + EPSILON
        return 2 * (both / whole - t) / whole

    return _overlap_gradient(p, t, weight, axis, slope)


def tversky_gradient(p, t, weight, alpha, beta, axis):
    def slope(p, t, total):
        both = total(p * t)
        whole = both + alpha * total(t * (1 - p)) + beta * total(p * (1 - t)) + EPSILON
        return both * (t - alpha * t + beta * (1 - t)) / whole**2 - t / whole

    return _overlap_gradient(p, t, weight, axis, slope)


def _overlap_gradient(p, t, weight, axis, slope):
    if axis is None:
        return slope(p, t, np.sum) * weight.mean()
    axes = -1 if axis == -1 else tuple(range(1, p.ndim))
    found = slope(p, t, lambda array: array.sum(axes, keepdims=True))
    return spread(found, weight, p.size // p.shape[-1] if axis == -1 else len(p))


def spread(gradient, weight, count):
    """`gradient` times each sample's weight, over the number of values that the batch's loss is a mean of."""
    return gradient * weight.reshape(-1, *[1] * (gradient.ndim - 1)) / count
