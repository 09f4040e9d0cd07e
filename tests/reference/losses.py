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


def spread(gradient, weight, count):
    """`gradient` times each sample's weight, over the number of values that the batch's loss is a mean of."""
    return gradient * weight.reshape(-1, *[1] * (gradient.ndim - 1)) / count
