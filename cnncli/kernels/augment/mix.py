"""MixUp and CutMix: random mixing of rows within a batch, in-place (Zhang et al. 2018, Yun et al. 2019).

Partners are given by a random permutation (a row may be its own partner); weights are drawn from Beta(α, α). All are
redrawn for each mixed array: the same clock and streams give the same partners, weights and rectangles.
"""

from math import exp, log, prod, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit, types

from cnncli.kernels.batch.gather import copied
from cnncli.kernels.batch.random import fractions
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import copy
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, Work, block, fields, images, view, worker

DRAWN = block("drawn batch clock stream weights low:f high:f")
MIXED = block("x kept drawn size height width channels")
PARTNER, WEIGHT, LEFT, TOP = range(4)
"""Random numbers of a row, as float64: index of its partner, its own weight, position of the partner's rectangle."""
LEAST = 1e-6
"""Added to the α of CutMix, which may be 0, as in Keras."""
POSITIONS = 32
"""Positions in the stream of weights per row: two attempts each, each successful with probability ≥ 1/2."""
PORTION = 1 << 14
"""Elements per chunk."""


class Mixing(NamedTuple):
    """Random streams and parameters of mixing: α is drawn once per batch, from a range in (0, 1].

    clock: int64 (3,), see draws.py, read at run time. `stream`, `weights`: the streams of partners and places, and of
    weights.
    """

    clock: Tensor
    stream: int
    weights: int
    alpha: tuple[float, float]


def blend(x: Tensor, mixing: Mixing, scratch: Scratch) -> list[Step]:
    """x[i] = w · x[i] + (1 - w) · x[partner]. x: real (N, …)."""
    return _steps(x, (1, 1, prod(x.shape[1:])), mixing, scratch, rectangles=False)


def paste(x: Tensor, mixing: Mixing, scratch: Scratch) -> list[Step]:
    """Paste a rectangle of its partner into each image of x, real (N, H, W, C).

    Its area is the fraction 1 - w of the image's, with the same aspect ratio, before rounding to whole pixels.
    """
    _, height, width, channels = x.shape
    return _steps(x, (height, width, channels), mixing, scratch, rectangles=True)


def _steps(x: Tensor, sides: tuple[int, int, int], mixing: Mixing, scratch: Scratch, *, rectangles: bool) -> list[Step]:
    batch, size = x.shape[0], prod(sides)
    drawn, kept = scratch.take(batch * 32), scratch.take(x.size * bytes_of(x.dtype))
    height, width, channels = sides
    low, high = mixing.alpha
    return [
        draw_worker.step(
            x.dtype,
            Work(1),
            drawn=drawn,
            batch=batch,
            clock=mixing.clock.address,
            stream=mixing.stream,
            weights=mixing.weights,
            low=low,
            high=high,
        ),
        *copied(x, x._replace(address=kept)),
        (paste_worker if rectangles else blend_worker).step(
            x.dtype,
            images(batch, max(1, PORTION // size)),
            x=x.address,
            kept=kept,
            drawn=drawn,
            size=size,
            height=height,
            width=width,
            channels=channels,
        ),
    ]


@njit
def _share(u, v, alpha):
    """Draw from Beta(α, α), or return -1, given two numbers in (0, 1) (Jöhnk 1964); in logarithms against underflow."""
    first, second = log(u) / alpha, log(v) / alpha
    return 1 / (1 + exp(second - first)) if exp(first) + exp(second) <= 1 else -1.0


@njit
def beta(seed, step, stream, row, alpha):
    """Draw from Beta(α, α), 0 < α ≤ 1, for a row; 1/2 if all 64 attempts fail (probability at most 2⁻⁶⁴)."""
    for attempt in range(POSITIONS):
        u, v, s, t = fractions(seed, step, stream, row * POSITIONS + attempt)
        first, second = _share(u, v, alpha), _share(s, t, alpha)
        if first >= 0 or second >= 0:
            return first if first >= 0 else second
    return 0.5


@worker(DRAWN)
def draw_worker(real):
    """Draw for all rows; the permutation is drawn from its end (Durstenfeld 1964)."""

    def draw(parameters, start, stop, thread):
        p = fields(parameters, DRAWN)
        clock, drawn = view(p.clock, 3, types.int64), view(p.drawn, (p.batch, 4), types.float64)
        alpha = p.low + (p.high - p.low) * fractions(clock[0], clock[1], p.stream, clock[2] + p.batch)[0]
        for i in range(p.batch):
            drawn[i, PARTNER] = i
        for i in range(p.batch - 1, -1, -1):
            chosen, left, top, _ = fractions(clock[0], clock[1], p.stream, clock[2] + i)
            other = np.int64(chosen * (i + 1))
            drawn[i, PARTNER], drawn[other, PARTNER] = drawn[other, PARTNER], drawn[i, PARTNER]
            drawn[i, WEIGHT] = beta(clock[0], clock[1], p.weights, clock[2] + i, alpha)
            drawn[i, LEFT], drawn[i, TOP] = left, top

    return draw


@worker(MIXED)
def blend_worker(real):
    """Process some rows."""
    item = real.bitwidth // 8

    def blend(parameters, start, stop, thread):
        p = fields(parameters, MIXED)
        drawn, size = view(p.drawn, (stop, 4), types.float64), p.size
        for i in range(start, stop):
            out = view(p.x + i * size * item, size, real)
            other = view(p.kept + np.int64(drawn[i, PARTNER]) * size * item, size, real)
            own, rest = real(drawn[i, WEIGHT]), real(1 - drawn[i, WEIGHT])
            for k in range(size):
                out[k] = own * out[k] + rest * other[k]

    return blend


@njit
def _stretch(length, ratio, fraction):
    """Return the first cell and the last + 1 of a randomly placed part of an axis."""
    part = ratio * length
    first = fraction * (length - part)
    return np.int64(np.ceil(first)), min(np.int64(np.ceil(first + part)), length)


@worker(MIXED)
def paste_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def paste(parameters, start, stop, thread):
        p = fields(parameters, MIXED)
        drawn, size = view(p.drawn, (stop, 4), types.float64), p.size * item
        pixel = p.channels * item
        for i in range(start, stop):
            ratio = sqrt(1 - drawn[i, WEIGHT])
            first, last = _stretch(p.width, ratio, drawn[i, LEFT])
            upper, lower = _stretch(p.height, ratio, drawn[i, TOP])
            other = p.kept + np.int64(drawn[i, PARTNER]) * size
            for row in range(upper, lower):
                place = (row * p.width + first) * pixel
                copy(p.x + i * size + place, other + place, (last - first) * pixel)

    return paste
