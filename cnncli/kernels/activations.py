"""Activation functions, element by element. `x`, `y`, `grad`, `out`: float32 or float64, one shape, any rank.

`out` may be the same array as an input. A kind is a branch outside the loop of each worker, so that one compiled
function serves them all; a new kind is a line in `KINDS` and a branch in `forward_worker` and `backward_worker`.
"""

from math import exp, tanh

from numba import njit

from cnncli.kernels.runtime import Step, Tensor, block, chunks, fields, span, view, worker

KINDS = {"relu": 0, "sigmoid": 1, "tanh": 2}
RELU, SIGMOID, TANH = KINDS.values()

FORWARD = block("x out size kind")
BACKWARD = block("y grad out size kind")


def forward(kind: str, x: Tensor, out: Tensor) -> list[Step]:
    """out = f(x). NaN stays NaN. Raises ValueError for a kind that is not in `KINDS`."""
    return [
        forward_worker.step(
            out.dtype, chunks(out.size), x=x.address, out=out.address, size=out.size, kind=_number(kind)
        )
    ]


def backward(kind: str, y: Tensor, grad: Tensor, out: Tensor) -> list[Step]:
    """out = grad · f′(x), where f′ is computed from the output y = f(x). Raises ValueError as `forward` does."""
    return [
        backward_worker.step(
            out.dtype,
            chunks(out.size),
            y=y.address,
            grad=grad.address,
            out=out.address,
            size=out.size,
            kind=_number(kind),
        )
    ]


def _number(kind: str) -> int:
    if kind not in KINDS:
        raise ValueError(f"activation must be one of {', '.join(KINDS)}; received {kind!r}")
    return KINDS[kind]


@njit(inline="always")
def logistic(x, one):  # type: ignore[no-untyped-def]
    """1 / (1 + e⁻ˣ) in the dtype of `one`; the exponential's argument is never positive, so nothing overflows."""
    tail = exp(-abs(x))
    return (one if x >= 0 else tail) / (one + tail)


@njit(inline="always")
def _relu(x, out, zero):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = zero if x[i] <= 0 else x[i]  # not max(x, 0): NaN must pass


@worker(FORWARD)
def forward_worker(real):  # type: ignore[no-untyped-def]
    """out = f(x) for one span."""

    def activation(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, FORWARD)
        start, stop = span(chunk, p.size)
        x, out = view(p.x, p.size, real)[start:stop], view(p.out, p.size, real)[start:stop]
        if p.kind == RELU:
            # One array under two names would keep LLVM from vectorizing.
            if p.x == p.out:
                _relu(out, out, real(0))
            else:
                _relu(x, out, real(0))
        elif p.kind == SIGMOID:
            for i in range(stop - start):
                out[i] = logistic(x[i], real(1))
        elif p.kind == TANH:
            for i in range(stop - start):
                out[i] = tanh(x[i])

    return activation


@worker(BACKWARD)
def backward_worker(real):  # type: ignore[no-untyped-def]
    """out = grad · f′(x) for one span."""

    def activation_gradient(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, BACKWARD)
        start, stop = span(chunk, p.size)
        y, grad = view(p.y, p.size, real)[start:stop], view(p.grad, p.size, real)[start:stop]
        out = view(p.out, p.size, real)[start:stop]
        one = real(1)
        if p.kind == RELU:
            for i in range(stop - start):
                out[i] = real(0) if y[i] <= 0 else grad[i]
        elif p.kind == SIGMOID:
            for i in range(stop - start):
                out[i] = grad[i] * (y[i] * (one - y[i]))
        elif p.kind == TANH:
            for i in range(stop - start):
                out[i] = grad[i] * (one - y[i] * y[i])

    return activation_gradient
