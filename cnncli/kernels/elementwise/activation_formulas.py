"""Formulas of activations as vector code: f, and its derivative times a gradient. Names: `activation_names`."""

from collections.abc import Callable
from math import pi, sqrt

from cnncli.kernels.vector.lanes import Vector, smaller
from cnncli.kernels.vector.vectormath import bell, decay, decay_less_1, exp, log1p, normal, sigmoid, tanh

SELU = 1.0507009873554805, 1.7580993408473768
"""Its slope above 0, and the value that it approaches below, negated (Klambauer et al. 2017)."""
GELU = 2 * sqrt(2 / pi), 2 * sqrt(2 / pi) * 0.044715
"""Factors of x and x³ in its approximation x · sigmoid(…) (Hendrycks, Gimpel 2016)."""


def _relu(x: Vector) -> Vector:
    return x.full(0.0).where(x <= 0.0, x)  # not max(x, 0): NaN must propagate


def _relu_gradient(y: Vector, grad: Vector) -> Vector:
    return grad.full(0.0).where(y <= 0.0, grad)


def _relu6(x: Vector) -> Vector:
    return x.full(6.0).where(x >= 6.0, _relu(x))


def _within(y: Vector, most: float, slope: Vector) -> Vector:
    """`slope` where 0 < y < most, else 0."""
    return slope.full(0.0).where((y <= 0.0) | (y >= most), slope)


def _leaky_relu(x: Vector, slope: Vector) -> Vector:
    return (x * slope).where(x <= 0.0, x)


def _elu(x: Vector, alpha: Vector) -> Vector:
    return (alpha * decay_less_1(x)).where(x <= 0.0, x)


def _elu_gradient(y: Vector, grad: Vector, alpha: Vector) -> Vector:
    return (grad * (y + alpha)).where(y <= 0.0, grad)


def _hard_sigmoid(x: Vector) -> Vector:
    return _relu6(x + 3.0) / 6.0


def _gelu_gradient(x: Vector, grad: Vector) -> Vector:
    return grad * x.fma(bell(x) * (1 / sqrt(2 * pi)), normal(x))


def _silu_gradient(x: Vector, grad: Vector) -> Vector:
    share = sigmoid(x)
    return grad * (share * x.fma(1.0 - share, 1.0))


def _hard_silu_gradient(x: Vector, grad: Vector) -> Vector:
    share = _hard_sigmoid(x)
    return grad * (share + _within(share, 1.0, x / 6.0))


def _clipped_relu(x: Vector, most: Vector, slope: Vector, threshold: Vector) -> Vector:
    below = ((x - threshold) * slope).where(slope > 0.0, 0.0)  # 0 also for −∞
    return smaller(most, x).where(x > threshold, below).where(x.number(), x)


def _clipped_relu_gradient(x: Vector, grad: Vector, most: Vector, slope: Vector, threshold: Vector) -> Vector:
    below = (grad * slope).where(x < threshold, 0.0)
    return grad.where((x > threshold) & (x <= most), below)


def _elu_of_input_gradient(x: Vector, grad: Vector, alpha: Vector) -> Vector:
    return (grad * (alpha * decay(x))).where(x <= 0.0, grad)


def _celu(x: Vector, alpha: Vector) -> Vector:
    return (alpha * decay_less_1(x / alpha)).where(x <= 0.0, x)


def _celu_gradient(y: Vector, grad: Vector, alpha: Vector) -> Vector:
    return (grad * (y / alpha + 1.0)).where(y <= 0.0, grad)


def _selu(x: Vector) -> Vector:
    slope, floor = SELU
    return (decay_less_1(x) * floor).where(x <= 0.0, x * slope)


def _selu_gradient(y: Vector, grad: Vector) -> Vector:
    slope, floor = SELU
    return (grad * (y + floor)).where(y < 0.0, grad * slope)


def _softplus(x: Vector) -> Vector:
    return x.full(0.0).where(x <= 0.0, x) + log1p(decay(x))


def _mish_parts(x: Vector) -> tuple[Vector, Vector, Vector]:
    """u = e^−|x|, and p, q with p / q = tanh(softplus(x)): (e²ˣ + 2eˣ) / (e²ˣ + 2eˣ + 2), divided by e²ˣ for x > 0."""
    u = decay(x)
    top = (u * 2.0 + 1.0).where(x > 0.0, u * (u + 2.0))
    return u, top, top + (u * u * 2.0).where(x > 0.0, 2.0)


def _mish(x: Vector) -> Vector:
    _, top, bottom = _mish_parts(x)
    return x * (top / bottom)


def _mish_gradient(x: Vector, grad: Vector) -> Vector:
    """tanh(s) + x · (1 − tanh² s) · sigmoid(x) with s = softplus(x)."""
    u, top, bottom = _mish_parts(x)
    tanh_s, share = top / bottom, u.full(1.0).where(x >= 0.0, u) / (u + 1.0)
    return grad * (x * share).fma((bottom - top) * (bottom + top) / (bottom * bottom), tanh_s)


def _gelu_tanh(x: Vector) -> Vector:
    near, cubic = GELU
    return x * sigmoid(x * (x * x).fma(cubic, near))


def _gelu_tanh_gradient(x: Vector, grad: Vector) -> Vector:
    near, cubic = GELU
    x = x.full(20.0).where(x > 20.0, x.full(-20.0).where(x < -20.0, x))  # constant beyond; x² must not overflow
    square = x * x
    share = sigmoid(x * square.fma(cubic, near))
    return grad * share.fma(x * (1.0 - share) * square.fma(3 * cubic, near), share)


def _squareplus(x: Vector, b: Vector) -> Vector:
    root = x.fma(x, b).sqrt()
    return (b / (root - x)).where(x < 0.0, root + x) * 0.5


def _sparse_plus(x: Vector) -> Vector:
    half = (x + 1.0) * 0.5
    return x.full(0.0).where(x <= -1.0, x.where(x >= 1.0, half * half))


def _soft_shrink(x: Vector, threshold: Vector) -> Vector:
    size = x.magnitude() - threshold
    return x.full(0.0).where(size <= 0.0, (size.bits() | x.sign()).real())


def _hard_tanh(x: Vector) -> Vector:
    return x.full(1.0).where(x > 1.0, x.full(-1.0).where(x < -1.0, x))


def _tanh_shrink_gradient(x: Vector, grad: Vector) -> Vector:
    y = tanh(x)
    return grad * (y * y)


def _where_not_0(y: Vector, grad: Vector, *_: Vector) -> Vector:
    return grad.full(0.0).where(y.same(0.0), grad)


def _softsign_gradient(y: Vector, grad: Vector) -> Vector:
    rest = 1.0 - y.magnitude()
    return grad * (rest * rest)


def _sparse_sigmoid(x: Vector) -> Vector:
    return x.full(0.0).where(x <= -1.0, x.full(1.0).where(x >= 1.0, (x + 1.0) * 0.5))


def _threshold(x: Vector, threshold: Vector, value: Vector) -> Vector:
    return value.where(x <= threshold, x)


FORMULAS: dict[str, tuple[Callable[..., Vector], Callable[..., Vector]]] = {
    "relu": (_relu, _relu_gradient),
    "relu6": (_relu6, lambda y, grad: _within(y, 6.0, grad)),
    "leaky_relu": (_leaky_relu, lambda y, grad, slope: (grad * slope).where(y <= 0.0, grad)),
    "elu": (_elu, _elu_gradient),
    "sigmoid": (sigmoid, lambda y, grad: grad * (y * (1.0 - y))),
    "hard_sigmoid": (_hard_sigmoid, lambda y, grad: _within(y, 1.0, grad / 6.0)),
    "tanh": (tanh, lambda y, grad: grad * (1.0 - y * y)),
    "gelu": (lambda x: x * normal(x), _gelu_gradient),
    "silu": (lambda x: x * sigmoid(x), _silu_gradient),
    "hard_silu": (lambda x: x * _hard_sigmoid(x), _hard_silu_gradient),
    "celu": (_celu, _celu_gradient),
    "clipped_relu": (_clipped_relu, _clipped_relu_gradient),
    "elu_of_input": (_elu, _elu_of_input_gradient),
    "exponential": (exp, lambda y, grad: grad * y),
    "gelu_tanh": (_gelu_tanh, _gelu_tanh_gradient),
    "hard_shrink": (lambda x, threshold: x.full(0.0).where(x.magnitude() <= threshold, x), _where_not_0),
    "hard_tanh": (_hard_tanh, lambda x, grad: grad.full(0.0).where(x.magnitude() > 1.0, grad)),
    "log_sigmoid": (lambda x: -_softplus(-x), lambda y, grad: -(grad * decay_less_1(y))),
    "mish": (_mish, _mish_gradient),
    "selu": (_selu, _selu_gradient),
    "soft_shrink": (_soft_shrink, _where_not_0),
    "softplus": (_softplus, lambda y, grad: -(grad * decay_less_1(y))),
    "softsign": (lambda x: x / (x.magnitude() + 1.0), _softsign_gradient),
    "sparse_plus": (_sparse_plus, lambda y, grad: grad.where(y >= 1.0, grad * y.sqrt())),
    "sparse_sigmoid": (_sparse_sigmoid, lambda y, grad: _within(y, 1.0, grad * 0.5)),
    "squareplus": (_squareplus, lambda y, grad, b: grad / (b * 0.25 / (y * y) + 1.0)),
    "tanh_shrink": (lambda x: x - tanh(x), _tanh_shrink_gradient),
    "threshold": (_threshold, lambda x, grad, threshold, _: grad.full(0.0).where(x <= threshold, grad)),
}
"""f(x, *constants), and grad · f′(x) from (y or x, grad, *constants).

clipped_relu is Keras' ReLU with all its arguments: x between `threshold` and `most`, slope · (x − threshold) below.
elu_of_input is elu for alpha < 0, whose output does not tell the sign of x; gelu_tanh is Keras' approximate gelu.
"""
