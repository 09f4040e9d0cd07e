"""Activation functions, element by element. `x`, `y`, `grad`, `out`: float32 or float64, one shape, any rank.

`out` may be the same array as an input (in-place). A new kind needs an entry in `FORMULAS` and one in
`activation_names`; it is compiled when first planned, with its constants inlined.
"""

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

from numba.np import numpy_support

from cnncli.kernels.elementwise.activation_names import parts
from cnncli.kernels.jit.runtime import Step, Tensor, block, elements, fields, function, worker
from cnncli.kernels.vector.lanes import Vector, smaller
from cnncli.kernels.vector.sweeps import elementwise
from cnncli.kernels.vector.vectormath import decay_less_1, erf, exp, sigmoid, tanh

FORWARD = block("x out")
BACKWARD = block("saved grad out")


def forward(kind: str, x: Tensor, out: Tensor) -> list[Step]:
    """out = f(x). NaN stays NaN. Raises ValueError for a kind that is not in `FORMULAS`."""
    parts(kind)
    places = {"x": x.address, "out": out.address}
    return [forward_worker.step(out.dtype, elements(out), kind, **places)]


def backward(kind: str, saved: Tensor, grad: Tensor, out: Tensor) -> list[Step]:
    """out = grad · f′(x), where f′ is computed from `saved`: the input x for the kinds in `OF_INPUT`, else y = f(x).

    Raises ValueError as `forward` does.
    """
    parts(kind)
    places = {"saved": saved.address, "grad": grad.address, "out": out.address}
    return [backward_worker.step(out.dtype, elements(out), kind, **places)]


def in_place(kind: str, dtype: str) -> int:
    """The address of a C function (x, start, stop): x[start:stop] = f(x[start:stop]), x being an address.

    Raises ValueError as `forward` does.
    """
    parts(kind)
    return in_place_worker.address(dtype, kind)


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


def _normal(x: Vector) -> Vector:
    """The standard normal distribution function, within 2 units in the last place of 1."""
    return (erf(x * sqrt(0.5)) + 1.0) * 0.5


def _gelu_gradient(x: Vector, grad: Vector) -> Vector:
    density = exp(x * x * -0.5) * (1 / sqrt(2 * pi))
    return grad * x.fma(density, _normal(x))


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


FORMULAS: dict[str, tuple[Callable[..., Vector], Callable[..., Vector]]] = {
    "relu": (_relu, _relu_gradient),
    "relu6": (_relu6, lambda y, grad: _within(y, 6.0, grad)),
    "leaky_relu": (_leaky_relu, lambda y, grad, slope: (grad * slope).where(y <= 0.0, grad)),
    "elu": (_elu, _elu_gradient),
    "sigmoid": (sigmoid, lambda y, grad: grad * (y * (1.0 - y))),
    "hard_sigmoid": (_hard_sigmoid, lambda y, grad: _within(y, 1.0, grad / 6.0)),
    "tanh": (tanh, lambda y, grad: grad * (1.0 - y * y)),
    "gelu": (lambda x: x * _normal(x), _gelu_gradient),
    "silu": (lambda x: x * sigmoid(x), _silu_gradient),
    "hard_silu": (lambda x: x * _hard_sigmoid(x), _hard_silu_gradient),
    "clipped_relu": (_clipped_relu, _clipped_relu_gradient),
}
"""f(x, *constants), and grad · f′(x) from (y or x, grad, *constants).

clipped_relu is Keras' ReLU with all its arguments: x between `threshold` and `most`, slope · (x − threshold) below.
"""
KINDS = {kind: number for number, kind in enumerate(FORMULAS)}
"""The index of each kind in the formulas."""
_functions = elementwise(*(function for function, _ in FORMULAS.values()))
_gradients = elementwise(*(gradient for _, gradient in FORMULAS.values()))


def constants_of(kind: str, real: Any) -> tuple[Any, ...]:
    """Return the constants of a kind as numbers of type `real`, to be passed to a formula."""
    number = numpy_support.as_dtype(real).type
    return tuple(number(constant) for constant in parts(kind)[1])


@worker(FORWARD)
def forward_worker(real, kind):
    """out = f(x) for some elements."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation(parameters, start, stop, thread):
        p = fields(parameters, FORWARD)
        _functions(number, (p.x,), (p.out,), start, stop, constants, real)

    return activation


@function
def in_place_worker(real, kind):
    """x = f(x) for elements `start` … `stop`-1."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation_in_place(x, start, stop):
        _functions(number, (x,), (x,), start, stop, constants, real)

    return activation_in_place


@worker(BACKWARD)
def backward_worker(real, kind):
    """out = grad · f′(x) for some elements."""
    number, constants = KINDS[parts(kind)[0]], constants_of(kind, real)

    def activation_gradient(parameters, start, stop, thread):
        p = fields(parameters, BACKWARD)
        _gradients(number, (p.saved, p.grad), (p.out,), start, stop, constants, real)

    return activation_gradient
