"""The logarithm of softmax along the last axis. `x`, `y`, `grad`, `out`: float32 or float64, one shape (…, classes).

`out` may be the same array as an input. Sums over a row have 16 lanes in float64.
"""

from numba import types

from cnncli.kernels.elementwise.softmax import BACKWARD, FORWARD, by_rows
from cnncli.kernels.jit.runtime import Step, Tensor, fields, worker
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import elementwise, largest, of_number, summing
from cnncli.kernels.vector.vectormath import exp, log


def forward(x: Tensor, out: Tensor) -> list[Step]:
    """out = x − log Σ eˣ, computed from x − max x. A NaN in a row makes the whole row NaN."""
    return by_rows(forward_worker, out, x=x.address)


def backward(y: Tensor, grad: Tensor, out: Tensor) -> list[Step]:
    """out = grad − e^y · Σ grad, from the output y."""
    return by_rows(backward_worker, out, y=y.address, grad=grad.address)


@emitted(types.float64)
def _log(code: Code, x: Vector) -> Vector:
    return of_number(log, x)


_exponentials = summing(1, lambda x, shift: ((), (exp(x - shift).double(),)))
_shifted = elementwise(lambda x, shift: (x.double() - shift).rounded(x.item))
_sums = summing(1, lambda grad: ((), (grad.double(),)))
_gradients = elementwise(lambda y, grad, total: (grad.double() - exp(y).double() * total).rounded(y.item))


@worker(FORWARD)
def forward_worker(real):
    """The rows of one chunk."""
    item = real.bitwidth // 8

    def log_softmax(parameters, chunk, _, thread):
        p = fields(parameters, FORWARD)
        classes = p.classes
        for row in range(chunk * p.rows_per_chunk, min(p.rows, (chunk + 1) * p.rows_per_chunk)):
            skip = row * classes * item
            x, most = p.x + skip, largest(p.x + skip, classes, real)
            (total,) = _exponentials(0, (x,), (), 0, classes, (most,), real)
            _shifted(0, (x,), (p.out + skip,), 0, classes, (most + _log(total, real),), real)

    return log_softmax


@worker(BACKWARD)
def backward_worker(real):
    """The gradient of the rows of one chunk."""
    item = real.bitwidth // 8

    def log_softmax_gradient(parameters, chunk, _, thread):
        p = fields(parameters, BACKWARD)
        classes = p.classes
        for row in range(chunk * p.rows_per_chunk, min(p.rows, (chunk + 1) * p.rows_per_chunk)):
            skip = row * classes * item
            (total,) = _sums(0, (p.grad + skip,), (), 0, classes, (), real)
            _gradients(0, (p.y + skip, p.grad + skip), (p.out + skip,), 0, classes, (total,), real)

    return log_softmax_gradient
