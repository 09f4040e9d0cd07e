"""Softmax along the last axis. `x`, `y`, `grad`, `out`: float32 or float64, one shape (…, classes).

`out` may be the same array as an input. Sums over a row are plain chains in float64.
"""

from math import exp

from numba import types

from cnncli.kernels.runtime import SPAN, Step, Tensor, block, fields, view, worker

FORWARD = block("x out rows classes rows_per_chunk")
BACKWARD = block("y grad out rows classes rows_per_chunk")


def forward(x: Tensor, out: Tensor) -> list[Step]:
    """out = eˣ / Σ eˣ, computed from x − max x. A NaN in a row makes the whole row NaN."""
    rows, classes, rows_per_chunk, chunks = split(out)
    return [
        forward_worker.step(
            out.dtype,
            chunks,
            x=x.address,
            out=out.address,
            rows=rows,
            classes=classes,
            rows_per_chunk=rows_per_chunk,
        )
    ]


def backward(y: Tensor, grad: Tensor, out: Tensor) -> list[Step]:
    """out = y · (grad − Σ y·grad), from the output y = softmax(x)."""
    rows, classes, rows_per_chunk, chunks = split(out)
    return [
        backward_worker.step(
            out.dtype,
            chunks,
            y=y.address,
            grad=grad.address,
            out=out.address,
            rows=rows,
            classes=classes,
            rows_per_chunk=rows_per_chunk,
        )
    ]


def split(x: Tensor) -> tuple[int, int, int, int]:
    """x as a matrix of rows: (rows, length of a row, rows in a chunk, chunks)."""
    length = x.shape[-1]
    rows = x.size // length
    rows_per_chunk = max(1, SPAN // length)
    return rows, length, rows_per_chunk, max(1, -(-rows // rows_per_chunk))


@worker(FORWARD)
def forward_worker(real):  # type: ignore[no-untyped-def]
    """Softmax of the rows of one chunk."""

    def softmax(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, FORWARD)
        x, out = view(p.x, (p.rows, p.classes), real), view(p.out, (p.rows, p.classes), real)
        classes = p.classes
        for row in range(chunk * p.rows_per_chunk, min(p.rows, (chunk + 1) * p.rows_per_chunk)):
            largest = x[row, 0]
            for c in range(1, classes):
                largest = max(largest, x[row, c])
            total = types.float64(0)
            for c in range(classes):
                out[row, c] = exp(x[row, c] - largest)
                total += out[row, c]
            for c in range(classes):
                out[row, c] = out[row, c] / total

    return softmax


@worker(BACKWARD)
def backward_worker(real):  # type: ignore[no-untyped-def]
    """The gradient of the rows of one chunk."""

    def softmax_gradient(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, BACKWARD)
        shape = (p.rows, p.classes)
        y, grad, out = view(p.y, shape, real), view(p.grad, shape, real), view(p.out, shape, real)
        classes = p.classes
        for row in range(chunk * p.rows_per_chunk, min(p.rows, (chunk + 1) * p.rows_per_chunk)):
            dot = types.float64(0)
            for c in range(classes):
                dot += types.float64(y[row, c]) * grad[row, c]
            for c in range(classes):
                out[row, c] = y[row, c] * (grad[row, c] - dot)

    return softmax_gradient
