"""Softmax along the last axis. `x`, `y`, `grad`, `out`: float32 or float64, one shape (…, classes).

`out` may be the same array as an input. Sums over a row have 16 lanes in float64.
"""

from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, Worker, block, fields, worker
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import elementwise, largest, summing
from cnncli.kernels.vector.vectormath import exp

FORWARD = block("x out rows classes rows_per_chunk")
BACKWARD = block("y grad out rows classes rows_per_chunk")


def forward(x: Tensor, out: Tensor) -> list[Step]:
    """out = eˣ / Σ eˣ, computed from x − max x. A NaN in a row makes the whole row NaN."""
    return by_rows(forward_worker, out, x=x.address)


def backward(y: Tensor, grad: Tensor, out: Tensor) -> list[Step]:
    """out = y · (grad − Σ y·grad), from the output y = softmax(x)."""
    return by_rows(backward_worker, out, y=y.address, grad=grad.address)


def by_rows(work: Worker, out: Tensor, **places: int) -> list[Step]:
    """The step of a worker that fills `out` row by row, from the arrays at the other places."""
    classes = out.shape[-1]
    rows = out.size // classes
    grain = max(1, SPAN // classes)
    chunks = max(1, -(-rows // grain))
    return [work.step(out.dtype, chunks, **places, out=out.address, rows=rows, classes=classes, rows_per_chunk=grain)]


def _exponential(x: Vector, shift: Vector) -> tuple[tuple[Vector], tuple[Vector]]:
    power = exp(x - shift)
    return (power,), (power.double(),)


def _product(y: Vector, grad: Vector) -> tuple[tuple[()], tuple[Vector]]:
    return (), (y.double() * grad.double(),)


def _gradient(y: Vector, grad: Vector, dot: Vector) -> Vector:
    return (y.double() * (grad.double() - dot)).rounded(y.item)  # grad and the sum may be nearly equal


exponentials = summing(1, _exponential)
"""out = e^(x − shift), and their sum."""
divided = elementwise(lambda x, divisor: x / divisor)
"""out = x / divisor."""
_products, _gradients = summing(1, _product), elementwise(_gradient)


@worker(FORWARD)
def forward_worker(real):
    """Softmax of the rows of one chunk."""
    item = real.bitwidth // 8

    def softmax(parameters, chunk, _, thread):
        p = fields(parameters, FORWARD)
        classes = p.classes
        for row in range(chunk * p.rows_per_chunk, min(p.rows, (chunk + 1) * p.rows_per_chunk)):
            skip = row * classes * item
            x, out = p.x + skip, p.out + skip
            (total,) = exponentials(0, (x,), (out,), 0, classes, (largest(x, classes, real),), real)
            divided(0, (out,), (out,), 0, classes, (real(total),), real)

    return softmax


@worker(BACKWARD)
def backward_worker(real):
    """The gradient of the rows of one chunk."""
    item = real.bitwidth // 8

    def softmax_gradient(parameters, chunk, _, thread):
        p = fields(parameters, BACKWARD)
        classes = p.classes
        for row in range(chunk * p.rows_per_chunk, min(p.rows, (chunk + 1) * p.rows_per_chunk)):
            skip = row * classes * item
            y, grad = p.y + skip, p.grad + skip
            (dot,) = _products(0, (y, grad), (), 0, classes, (), real)
            _gradients(0, (y, grad), (p.out + skip,), 0, classes, (dot,), real)

    return softmax_gradient
