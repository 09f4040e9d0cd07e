"""Activation functions, element by element. `x`, `y`, `grad`, `out`: float32 or float64, one shape, any rank.

`out` may be the same array as an input. A new kind is an entry in `FORMULAS`; it is compiled when it is first planned.
"""

from collections.abc import Callable

from cnncli.kernels.lanes import Vector
from cnncli.kernels.runtime import Step, Tensor, block, chunks, fields, function, span, worker
from cnncli.kernels.sweeps import elementwise
from cnncli.kernels.vectormath import sigmoid, tanh

FORWARD = block("x out size")
BACKWARD = block("y grad out size")


def forward(kind: str, x: Tensor, out: Tensor) -> list[Step]:
    """out = f(x). NaN stays NaN. Raises ValueError for a kind that is not in `KINDS`."""
    places = {"x": x.address, "out": out.address}
    return [forward_worker.step(out.dtype, chunks(out.size), _known(kind), **places, size=out.size)]


def backward(kind: str, y: Tensor, grad: Tensor, out: Tensor) -> list[Step]:
    """out = grad · f′(x), where f′ is computed from the output y = f(x). Raises ValueError as `forward` does."""
    places = {"y": y.address, "grad": grad.address, "out": out.address}
    return [backward_worker.step(out.dtype, chunks(out.size), _known(kind), **places, size=out.size)]


def in_place(kind: str, dtype: str) -> int:
    """The address of a C function (x, start, stop): x[start:stop] = f(x[start:stop]), x being an address.

    Raises ValueError as `forward` does.
    """
    return in_place_worker.address(dtype, _known(kind))


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"activation must be one of {', '.join(KINDS)}; received {kind!r}")
    return kind


def _relu(x: Vector) -> Vector:
    return x.full(0.0).where(x <= 0.0, x)  # not the larger of x and 0: NaN must pass


def _relu_gradient(y: Vector, grad: Vector) -> Vector:
    return grad.full(0.0).where(y <= 0.0, grad)


def _sigmoid_gradient(y: Vector, grad: Vector) -> Vector:
    return grad * (y * (1.0 - y))


def _tanh_gradient(y: Vector, grad: Vector) -> Vector:
    return grad * (1.0 - y * y)


FORMULAS: dict[str, tuple[Callable[[Vector], Vector], Callable[[Vector, Vector], Vector]]] = {
    "relu": (_relu, _relu_gradient),
    "sigmoid": (sigmoid, _sigmoid_gradient),
    "tanh": (tanh, _tanh_gradient),
}
"""f(x), and grad · f′(x) from y = f(x) and grad."""
KINDS = {kind: number for number, kind in enumerate(FORMULAS)}
"""Each kind's place among the formulas."""
_functions = elementwise(*(function for function, _ in FORMULAS.values()))
_gradients = elementwise(*(gradient for _, gradient in FORMULAS.values()))


@worker(FORWARD)
def forward_worker(real, kind):
    """out = f(x) for one span."""
    number = KINDS[kind]

    def activation(parameters, chunk, thread):
        p = fields(parameters, FORWARD)
        start, stop = span(chunk, p.size)
        _functions(number, (p.x,), (p.out,), start, stop, (), real)

    return activation


@function
def in_place_worker(real, kind):
    """x = f(x) for elements `start` … `stop`-1."""
    number = KINDS[kind]

    def activation_in_place(x, start, stop):
        _functions(number, (x,), (x,), start, stop, (), real)

    return activation_in_place


@worker(BACKWARD)
def backward_worker(real, kind):
    """out = grad · f′(x) for one span."""
    number = KINDS[kind]

    def activation_gradient(parameters, chunk, thread):
        p = fields(parameters, BACKWARD)
        start, stop = span(chunk, p.size)
        _gradients(number, (p.y, p.grad), (p.out,), start, stop, (), real)

    return activation_gradient
