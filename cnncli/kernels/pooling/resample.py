"""Upsampling, padding, cropping and channel sums of images, channels last. Vectors run along the channels.

Along each axis, every output cell is a weighted sum of a few adjacent input cells, defined by `Bands`. One worker
therefore implements nearest and bilinear interpolation as well as their gradients, which use the transposed weight
matrix.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from cnncli.kernels.gemm import microkernel
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import call
from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, Work, block, elements, fields, moved, view, worker
from cnncli.kernels.vector.emit import Code, Variable, emitted
from cnncli.kernels.vector.lanes import Vector

WEIGHTED = block("x out height width channels rows columns taps_y taps_x")
FRAME = block("border x out height width pixel rows columns top left")
REPEAT = block("x out size times")


class Bands(NamedTuple):
    """One axis of a resampling: output cell i is Σ_k weights[i][k] · input[first[i] + k]."""

    first: Sequence[int]
    weights: Sequence[Sequence[float]]


def weighted(x: Tensor, out: Tensor, rows: Bands, columns: Bands) -> list[Step]:
    """out[y, x] = Σ weight · weight · cell over the bands of row y and column x, one chain, row by row.

    x: real (N, H, W, C); out: (N, OH, OW, C).
    """
    taps = [max(map(len, bands.weights)) for bands in (rows, columns)]
    batch, high, wide, channels = out.shape
    lines = max(1, SPAN // (wide * channels * taps[0] * taps[1]))
    step = weighted_worker.step(
        out.dtype,
        Work(batch * high, lines, batch),
        x=x.address,
        out=out.address,
        height=x.shape[1],
        width=x.shape[2],
        channels=channels,
        rows=high,
        columns=wide,
        taps_y=taps[0],
        taps_x=taps[1],
    )
    # The block is followed by (first, count) of each band, then by their weights, zero-padded.
    words = [np.array([(f, len(w)) for f, w in zip(*bands, strict=True)], np.int64) for bands in (rows, columns)]
    numbers = [
        np.array([[*w, *[0.0] * (most - len(w))] for w in bands.weights])
        for bands, most in zip((rows, columns), taps, strict=True)
    ]
    parts = [step.parameters.view(np.int64), *(a.ravel() for a in words), *(a.ravel().view(np.int64) for a in numbers)]
    return [step._replace(parameters=np.concatenate(parts))]


def frame(x: Tensor, out: Tensor, top: int, left: int) -> list[Step]:
    """out[y, x] = x[y − top, x − left], or 0 if that is outside. x: real (N, H, W, C); out: (N, OH, OW, C).

    Pads an image with zeros; negative `top`, `left` crop it.
    """
    batch, rows, columns, channels = out.shape
    lines = max(1, SPAN // (columns * channels))
    return [
        frame_worker.step(
            out.dtype,
            Work(batch * rows, lines, batch),
            border=microkernel.family(out.dtype).border,
            x=x.address,
            out=out.address,
            height=x.shape[1],
            width=x.shape[2],
            pixel=channels * bytes_of(out.dtype),
            rows=rows,
            columns=columns,
            top=top,
            left=left,
        )
    ]


def repeat(x: Tensor, out: Tensor, times: int) -> list[Step]:
    """out = every element of x repeated `times` times, copies adjacent. Real; out is `times` as long."""
    return [repeat_worker.step(out.dtype, elements(x), x=x.address, out=out.address, size=x.size, times=times)]


def fold(x: Tensor, out: Tensor, times: int) -> list[Step]:
    """The adjoint of `repeat`: sums of `times` adjacent elements, in order. Real; x is `times` as long as out."""
    return [fold_worker.step(out.dtype, elements(out), x=x.address, out=out.address, size=out.size, times=times)]


@emitted()
def _sum(
    code: Code, places: list[Vector], rows: list[Vector], columns: list[Vector], steps: list[Vector], channels: Vector
) -> None:
    """One pixel. places: (x, out). rows, columns: (float64 weights, count). steps: row, pixel stride in bytes."""
    (x, out), (weights_y, high), (weights_x, wide), (row, pixel) = places, rows, columns, steps

    def sums(index: Vector, mask: Vector | None) -> None:
        total = Variable(code.full(0.0))
        with code.loop(high) as i:
            y = code.number(weights_y, i, ir.DoubleType())
            with code.loop(wide) as j:
                weight = code.full(y * code.number(weights_x, j, ir.DoubleType())).rounded(code.item)
                total.set(code.load(x + row * i + pixel * j, index, mask).fma(weight, total.get()))
        code.store(total.get(), out, index, mask)

    code.sweep(code.word(0), channels, sums)


@worker(WEIGHTED)
def weighted_worker(real):
    """Process some lines of output pixels."""
    item = real.bitwidth // 8

    def weighted(parameters, start, stop, thread):
        p = fields(parameters, WEIGHTED)
        bands = view(parameters + TABLE, (p.rows + p.columns, 2), types.int64)
        weights_y = parameters + TABLE + (p.rows + p.columns) * 16
        weights_x, pixel = weights_y + p.rows * p.taps_y * 8, p.channels * item
        for line in range(start, stop):
            row = line % p.rows
            first, high = bands[row]
            above = p.x + (line // p.rows * p.height + first) * p.width * pixel
            for column in range(p.columns):
                left, wide = bands[p.rows + column]
                _sum(
                    (above + left * pixel, p.out + (line * p.columns + column) * pixel),
                    (weights_y + row * p.taps_y * 8, high),
                    (weights_x + column * p.taps_x * 8, wide),
                    (p.width * pixel, pixel),
                    p.channels,
                    real,
                )

    return weighted


TABLE = weighted_worker.dtype.itemsize
"""Bytes from a step's block to its bands."""


@worker(FRAME)
def frame_worker(real):
    """Process some lines of output pixels."""

    def frame(parameters, start, stop, thread):
        p = fields(parameters, FRAME)
        while start < stop:
            image, row = start // p.rows, start % p.rows
            lines = min(stop - start, p.rows - row)
            out, x = p.out + start * p.columns * p.pixel, p.x + image * p.height * p.width * p.pixel
            call(p.border, (out, x, p.height, p.width, p.pixel, p.pixel, row - p.top, lines, -p.left, p.columns))
            start += lines

    return frame


@worker(REPEAT)
def repeat_worker(real):
    """Repeat some elements."""
    element = moved(real)

    def repeat(parameters, start, stop, thread):
        p = fields(parameters, REPEAT)
        x, out = view(p.x, p.size, element), view(p.out, (p.size, p.times), element)
        for i in range(start, stop):
            for k in range(p.times):
                out[i, k] = x[i]

    return repeat


@worker(REPEAT)
def fold_worker(real):
    """Compute some sums of adjacent elements."""

    def fold(parameters, start, stop, thread):
        p = fields(parameters, REPEAT)
        x, out = view(p.x, (p.size, p.times), real), view(p.out, p.size, real)
        for i in range(start, stop):
            total = x[i, 0]
            for k in range(1, p.times):
                total += x[i, k]
            out[i] = total

    return fold
