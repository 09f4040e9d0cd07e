"""Sparsemax along the last axis (Martins, Astudillo 2016): the nearest point of the probability simplex.

`x`, `y`, `grad`, `out`: float32 or float64, one shape (…, classes). `out` may be the same array as an input. Sums over
a row have 16 lanes in float64.
"""

from cnncli.kernels.elementwise.softmax import BACKWARD, FORWARD, by_rows
from cnncli.kernels.jit.runtime import Step, Tensor, fields, worker
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import elementwise, largest, summing


def forward(x: Tensor, out: Tensor) -> list[Step]:
    """out = max(x − τ, 0), with τ such that a row sums to 1. A NaN in a row makes the whole row NaN."""
    return by_rows(forward_worker, out, x=x.address)


def backward(y: Tensor, grad: Tensor, out: Tensor) -> list[Step]:
    """out = grad − its mean over the elements with y > 0, there; 0 elsewhere. From the output y."""
    return by_rows(backward_worker, out, y=y.address, grad=grad.address)


def _counted(left_out: Vector, x: Vector) -> tuple[tuple[()], tuple[Vector, Vector]]:
    """The sum and the number of the others."""
    return (), (x.full(0.0).where(left_out, x), x.full(0.0).where(left_out, 1.0))


def _above(x: Vector, shift: Vector, threshold: Vector) -> tuple[tuple[()], tuple[Vector, Vector]]:
    rest = x.double() - shift
    return _counted(rest <= threshold, rest)


def _rest(x: Vector, shift: Vector, threshold: Vector) -> Vector:
    rest = x.double() - shift - threshold
    return rest.full(0.0).where(rest <= 0.0, rest).rounded(x.item)


def _less_mean(y: Vector, grad: Vector, mean: Vector) -> Vector:
    return grad.full(0.0).where(y <= 0.0, (grad.double() - mean).rounded(y.item))


_sums = summing(2, _above)
_rests = elementwise(_rest)
_gradient_sums = summing(2, lambda y, grad: _counted(y.double() <= 0.0, grad.double()))
_gradients = elementwise(_less_mean)


@worker(FORWARD)
def forward_worker(real):
    """The rows of one chunk."""
    item = real.bitwidth // 8

    def sparsemax(parameters, chunk, _, thread):
        p = fields(parameters, FORWARD)
        classes = p.classes
        for row in range(chunk * p.rows_per_chunk, min(p.rows, (chunk + 1) * p.rows_per_chunk)):
            skip = row * classes * item
            x, most = p.x + skip, largest(p.x + skip, classes, real) + 0.0
            # The threshold of all elements, then of those above it, until they are the same: it only rises (Michelot
            # 1986). The largest element, 0 after the shift, is always above it.
            threshold, before = -1e300, -1.0
            while True:
                total, count = _sums(0, (x,), (), 0, classes, (most, threshold), real)
                if count == before:
                    break
                threshold, before = (total - 1.0) / count, count
            _rests(0, (x,), (p.out + skip,), 0, classes, (most, threshold), real)

    return sparsemax


@worker(BACKWARD)
def backward_worker(real):
    """The gradient of the rows of one chunk."""
    item = real.bitwidth // 8

    def sparsemax_gradient(parameters, chunk, _, thread):
        p = fields(parameters, BACKWARD)
        classes = p.classes
        for row in range(chunk * p.rows_per_chunk, min(p.rows, (chunk + 1) * p.rows_per_chunk)):
            skip = row * classes * item
            total, count = _gradient_sums(0, (p.y + skip, p.grad + skip), (), 0, classes, (), real)
            _gradients(0, (p.y + skip, p.grad + skip), (p.out + skip,), 0, classes, (total / max(count, 1.0),), real)

    return sparsemax_gradient
