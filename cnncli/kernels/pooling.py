"""Max and average pooling, channels last.

Both gradients gather: an input pixel adds up the windows it lies in, row by row.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from cnncli.kernels.runtime import SPAN, Step, Tensor, Worker, block, fields, view, worker

SIZES = "batch height width channels rows columns kh kw sy sx top left"
MAX = block(f"x out winner lines {SIZES}")
MAX_GRADIENT = block(f"grad winner out lines {SIZES}")
AVERAGE = block(f"x out lines {SIZES}")
AVERAGE_GRADIENT = block(f"grad out lines {SIZES}")


class Window(NamedTuple):
    """Where the windows lie; pairs are (vertical, horizontal).

    `padding` counts the cells above and left of the image; those below and on the right follow from the output's shape.
    """

    size: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int]


def max_forward(x: Tensor, out: Tensor, winner: Tensor, window: Window) -> list[Step]:
    """The largest value of each window, and which cell holds it. x: real (N, H, W, C); out: (N, OH, OW, C).

    winner: int32, shaped as out: the cell's row · window width + column, the first among equals. A NaN beats every
    number. A window that lies outside the image gives -inf and winner -1.
    """
    return _steps(max_worker, x, out, window, out=out, x=x, winner=winner)


def max_backward(grad: Tensor, winner: Tensor, out: Tensor, window: Window) -> list[Step]:
    """The gradient goes to each window's winner.

    grad: real (N, OH, OW, C); winner: int32, shaped as grad; out: (N, H, W, C).
    """
    return _steps(max_gradient_worker, out, grad, window, out=out, grad=grad, winner=winner)


def average_forward(x: Tensor, out: Tensor, window: Window) -> list[Step]:
    """The mean of each window's cells inside the image; 0 where there is none.

    x: real (N, H, W, C); out: (N, OH, OW, C).
    """
    return _steps(average_worker, x, out, window, out=out, x=x)


def average_backward(grad: Tensor, out: Tensor, window: Window) -> list[Step]:
    """The gradient of each window, shared among its cells. grad: real (N, OH, OW, C); out: (N, H, W, C)."""
    return _steps(average_gradient_worker, out, grad, window, out=out, grad=grad)


def _steps(
    pooling: Worker, image: Tensor, pooled: Tensor, window: Window, *, out: Tensor, **others: Tensor
) -> list[Step]:
    """One step; a chunk fills some lines of pixels of `out`, which has the shape of `image` or of `pooled`."""
    lines = max(1, SPAN // (out.shape[2] * out.shape[3] * window.size[0] * window.size[1]))
    sizes = (*image.shape, *pooled.shape[1:3], *window.size, *window.strides, *window.padding)
    return [
        pooling.step(
            out.dtype,
            -(-out.shape[0] * out.shape[1] // lines),
            lines=lines,
            out=out.address,
            **{name: array.address for name, array in others.items()},
            **dict(zip(SIZES.split(), sizes, strict=True)),
        )
    ]


@worker(MAX)
def max_worker(real):  # type: ignore[no-untyped-def]
    """Some lines of output pixels."""
    item = real.bitwidth // 8

    def largest(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, MAX)
        for line in range(chunk * p.lines, min(p.batch * p.rows, (chunk + 1) * p.lines)):
            y, image = line % p.rows * p.sy - p.top, line // p.rows * p.height
            for column in range(p.columns):
                x = column * p.sx - p.left
                pixel = (line * p.columns + column) * p.channels
                best = view(p.out + pixel * item, p.channels, real)
                winner = view(p.winner + pixel * 4, p.channels, types.int32)
                for c in range(p.channels):
                    best[c] = -np.inf
                    winner[c] = -1
                for i in range(max(0, -y), min(p.kh, p.height - y)):
                    for j in range(max(0, -x), min(p.kw, p.width - x)):
                        cell = types.int32(i * p.kw + j)
                        value = view(p.x + ((image + y + i) * p.width + x + j) * p.channels * item, p.channels, real)
                        for c in range(p.channels):
                            new, old = value[c], best[c]
                            wins = (new > old) | (winner[c] < 0) | (np.isnan(new) & ~np.isnan(old))
                            best[c] = new if wins else old
                            winner[c] = cell if wins else winner[c]

    return largest


@worker(MAX_GRADIENT)
def max_gradient_worker(real):  # type: ignore[no-untyped-def]
    """Some lines of input pixels."""
    item = real.bitwidth // 8

    def gather(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, MAX_GRADIENT)
        for line in range(chunk * p.lines, min(p.batch * p.height, (chunk + 1) * p.lines)):
            y, image = line % p.height + p.top, line // p.height * p.rows
            for column in range(p.width):
                x = column + p.left
                out = view(p.out + (line * p.width + column) * p.channels * item, p.channels, real)
                for c in range(p.channels):
                    out[c] = 0
                for row in range(max(0, -((p.kh - 1 - y) // p.sy)), min(p.rows, y // p.sy + 1)):
                    for col in range(max(0, -((p.kw - 1 - x) // p.sx)), min(p.columns, x // p.sx + 1)):
                        pixel = ((image + row) * p.columns + col) * p.channels
                        grad = view(p.grad + pixel * item, p.channels, real)
                        winner = view(p.winner + pixel * 4, p.channels, types.int32)
                        cell = types.int32((y - row * p.sy) * p.kw + x - col * p.sx)
                        for c in range(p.channels):
                            out[c] += grad[c] if winner[c] == cell else real(0)

    return gather


@worker(AVERAGE)
def average_worker(real):  # type: ignore[no-untyped-def]
    """Some lines of output pixels."""
    item = real.bitwidth // 8

    def average(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, AVERAGE)
        for line in range(chunk * p.lines, min(p.batch * p.rows, (chunk + 1) * p.lines)):
            y, image = line % p.rows * p.sy - p.top, line // p.rows * p.height
            first, last = max(0, y), min(p.height, y + p.kh)
            for column in range(p.columns):
                x = column * p.sx - p.left
                left, right = max(0, x), min(p.width, x + p.kw)
                mean = view(p.out + (line * p.columns + column) * p.channels * item, p.channels, real)
                for c in range(p.channels):
                    mean[c] = 0
                for row in range(first, last):
                    for col in range(left, right):
                        value = view(p.x + ((image + row) * p.width + col) * p.channels * item, p.channels, real)
                        for c in range(p.channels):
                            mean[c] += value[c]
                cells = real(max(1, max(0, last - first) * max(0, right - left)))
                for c in range(p.channels):
                    mean[c] /= cells

    return average


@worker(AVERAGE_GRADIENT)
def average_gradient_worker(real):  # type: ignore[no-untyped-def]
    """Some lines of input pixels."""
    item = real.bitwidth // 8

    def gather(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, AVERAGE_GRADIENT)
        for line in range(chunk * p.lines, min(p.batch * p.height, (chunk + 1) * p.lines)):
            y, image = line % p.height + p.top, line // p.height * p.rows
            for column in range(p.width):
                x = column + p.left
                out = view(p.out + (line * p.width + column) * p.channels * item, p.channels, real)
                for c in range(p.channels):
                    out[c] = 0
                for row in range(max(0, -((p.kh - 1 - y) // p.sy)), min(p.rows, y // p.sy + 1)):
                    above = row * p.sy - p.top
                    height = min(p.height, above + p.kh) - max(0, above)
                    for col in range(max(0, -((p.kw - 1 - x) // p.sx)), min(p.columns, x // p.sx + 1)):
                        before = col * p.sx - p.left
                        cells = real(height * (min(p.width, before + p.kw) - max(0, before)))
                        grad = view(p.grad + ((image + row) * p.columns + col) * p.channels * item, p.channels, real)
                        for c in range(p.channels):
                            out[c] += grad[c] / cells

    return gather
