"""Batch normalization over all axes but the last (Ioffe & Szegedy 2015; the variance is the biased one, as in Keras).

    y = f((x − mean) · scale + beta),  scale = gamma / √(variance + epsilon)

f is an activation. Sums are computed in float64 from at most 8 parts of the batch, as in `reduce`. The gradients are in
`batch_normalization_gradient`.
"""

from collections.abc import Callable
from math import sqrt
from typing import Any, NamedTuple

from numba import njit, types

from cnncli.kernels.batch import shared
from cnncli.kernels.batch.reduce import Lanes, in_lanes
from cnncli.kernels.elementwise.activation_formulas import FORMULAS
from cnncli.kernels.elementwise.activation_names import parts
from cnncli.kernels.elementwise.activations import constants_of
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import clear
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, Work, block, computed, elements, fields, view, worker
from cnncli.kernels.vector import channels
from cnncli.kernels.vector.lanes import Vector

PARTS = "x sums per_image length lane"
MOMENTS = block(PARTS)
STATISTICS = block("sums saved mean variance new_mean new_variance count channels length partials momentum:f epsilon:f")
TABLES = block("mean variance given gamma beta out channels length epsilon:f")
APPLY = block("x tables out length")


class Normalization(NamedTuple):
    """Parameters besides x: `gamma`, `beta` (None for 1 and 0), `saved` and the constants.

    saved: real (2, C), the batch's mean and 1/√(variance + epsilon). `synchronized`: if processes share a batch,
    all of its rows count, instead of those of this process.
    """

    gamma: Tensor | None
    beta: Tensor | None
    saved: Tensor
    epsilon: float
    activation: str = "linear"
    synchronized: bool = False


class Running(NamedTuple):
    """The moving mean and variance, real (C,), and their updates: momentum · old + (1 − momentum) · the batch's."""

    mean: Tensor
    variance: Tensor
    new_mean: Tensor
    new_variance: Tensor
    momentum: float


def training(x: Tensor, normalization: Normalization, running: Running, out: Tensor, scratch: Scratch) -> list[Step]:
    """out = f(x normalized with batch mean and variance); fills `saved` and the new moving statistics.

    x, out: real (N, …, C), or bfloat16; all else is then float32.
    """
    depth = x.shape[-1]
    divided, parts = parts_of(x, scratch)
    moments = moments_worker.step(x.dtype, divided.work(), **parts)
    statistics = statistics_worker.step(
        normalization.saved.dtype,
        1,
        sums=parts["sums"],
        saved=normalization.saved.address,
        mean=running.mean.address,
        variance=running.variance.address,
        new_mean=running.new_mean.address,
        new_variance=running.new_variance.address,
        count=x.size // depth,
        channels=depth,
        length=parts["length"],
        partials=divided.number,
        momentum=running.momentum,
        epsilon=normalization.epsilon,
    )
    steps = [moments, *everyone(normalization, parts, divided, statistics), statistics]
    return [*steps, *again(x, normalization, out, scratch)]


def everyone(
    normalization: Normalization, parts: dict[str, int], divided: Lanes, reader: Step, *, weighted: bool = False
) -> list[Step]:
    """Return the steps that make the two sums of each channel those of all processes, if they are synchronized."""
    if not normalization.synchronized:
        return []
    return shared.summed(parts["sums"], divided.number, 2 * parts["length"], reader, weighted=weighted)


def again(x: Tensor, normalization: Normalization, out: Tensor, scratch: Scratch) -> list[Step]:
    """Recompute the `out` of `training` from `saved`. x, out: real (N, …, C)."""
    table, tables = make_tables(normalization, x, scratch)
    return [table, _apply(x, tables, out, normalization.activation)]


def inference(
    x: Tensor, normalization: Normalization, mean: Tensor, variance: Tensor, out: Tensor, scratch: Scratch
) -> list[Step]:
    """out = f(x normalized with the given mean and variance, real (C,)). x, out: real (N, …, C); ignores `saved`."""
    table, tables = make_tables(normalization, x, scratch, mean, variance)
    return [table, _apply(x, tables, out, normalization.activation)]


def parts_of(x: Tensor, scratch: Scratch) -> tuple[Lanes, dict[str, int]]:
    """Return the lanes of the batch, and the fields of PARTS: the location of each lane's two sums of one period."""
    divided, length = in_lanes(x.shape[0]), channels.period(x.shape[-1])
    sums = scratch.take(divided.most * 2 * length * 8)
    values = x.address, sums, x.size // x.shape[0], length, divided.images
    return divided, dict(zip(PARTS.split(), values, strict=True))


def address_of(tensor: Tensor | None) -> int:
    return tensor.address if tensor else 0


def make_tables(
    normalization: Normalization,
    x: Tensor,
    scratch: Scratch,
    mean: Tensor | None = None,
    variance: Tensor | None = None,
    extra: int = 0,
) -> tuple[Step, int]:
    """Return the step that fills tables of mean, scale and beta, followed by `extra` zero tables; and their address.

    Without `mean` and `variance`, those of `saved` are used.
    """
    depth, saved = x.shape[-1], normalization.saved
    length = channels.period(depth)
    out = scratch.take((3 + extra) * length * bytes_of(saved.dtype))
    step = tables_worker.step(
        saved.dtype,
        1,
        extra,
        mean=mean.address if mean else saved.address,
        variance=variance.address if variance else saved.address + depth * bytes_of(saved.dtype),
        given=int(variance is not None),
        gamma=address_of(normalization.gamma),
        beta=address_of(normalization.beta),
        out=out,
        channels=depth,
        length=length,
        epsilon=normalization.epsilon,
    )
    return step, out


def _apply(x: Tensor, tables: int, out: Tensor, activation: str) -> Step:
    places = {"x": x.address, "tables": tables, "out": out.address}
    return apply_worker.step(x.dtype, elements_of(x), activation, **places, length=channels.period(x.shape[-1]))


def elements_of(x: Tensor) -> Work:
    """Return the work of a loop over whole periods."""
    return elements(x)._replace(grain=channels.rows_of(x.shape[-1]))


def _normalized(kind: str) -> Callable[..., Vector]:
    def normalized(x: Vector, mean: Vector, scale: Vector, beta: Vector, *constants: Vector) -> Vector:
        z = (x - mean).fma(scale, beta)
        return z if kind == "linear" else FORMULAS[kind][0](z, *constants)

    return normalized


KINDS = {kind: number for number, kind in enumerate(("linear", *FORMULAS))}


def chosen(kind: str, real: Any) -> tuple[int, tuple[Any, ...]]:
    """Return the index of an activation's formula, and its constants."""
    return (0, ()) if kind == "linear" else (KINDS[parts(kind)[0]], constants_of(kind, real))


_sum_moments = channels.summed(2, channels.moments)
_normalize = channels.channelwise(*map(_normalized, KINDS))


@njit
def begin_sums(p, start, stop):
    """Return the address of a lane's sums, cleared at its first image, and how many images can be summed as one.

    Each image begins at the first position of a period, so the result does not depend on how many are merged.
    """
    sums = p.sums + start // p.lane * 2 * p.length * 8
    if start % p.lane == 0:
        clear(sums, 2 * p.length * 8)
    return sums, stop - start if p.per_image % p.length == 0 else 1


@worker(MOMENTS)
def moments_worker(real):
    """Accumulate Σx and Σx² of some images of a lane."""
    item = real.bitwidth // 8

    def moments(parameters, start, stop, thread):
        p = fields(parameters, MOMENTS)
        sums, together = begin_sums(p, start, stop)
        for image in range(start, stop, together):
            x = p.x + image * p.per_image * item
            _sum_moments(0, (x,), (), sums, 0, together * p.per_image, p.length, (), real)

    return moments


@njit
def folded(sums, partials, terms, length, channels, term, channel):
    """The sum of a channel: parts in order, and in each part the positions of the period in order."""
    numbers, total = view(sums, (partials, terms, length), types.float64), 0.0
    for part in range(partials):
        for place in range(channel, length, channels):
            total += numbers[part, term, place]
    return total


@worker(STATISTICS)
def statistics_worker(real):
    """Compute mean and 1/√(variance + epsilon) from the moments, and the new moving mean and variance."""

    def statistics(parameters, chunk, _, thread):
        p = fields(parameters, STATISTICS)
        saved = view(p.saved, (2, p.channels), real)
        old_mean, old_variance = view(p.mean, p.channels, real), view(p.variance, p.channels, real)
        new_mean, new_variance = view(p.new_mean, p.channels, real), view(p.new_variance, p.channels, real)
        for c in range(p.channels):
            mean = folded(p.sums, p.partials, 2, p.length, p.channels, 0, c) / p.count
            square = folded(p.sums, p.partials, 2, p.length, p.channels, 1, c) / p.count
            variance = square - mean * mean
            if variance < 0:  # rounding error; not max(variance, 0), because NaN must propagate
                variance = 0.0
            saved[0, c] = mean
            saved[1, c] = 1 / sqrt(variance + p.epsilon)
            new_mean[c] = old_mean[c] * p.momentum + mean * (1 - p.momentum)
            new_variance[c] = old_variance[c] * p.momentum + variance * (1 - p.momentum)

    return statistics


@worker(TABLES)
def tables_worker(real, extra):
    """Fill tables of mean, scale and beta, each channel's value at all its positions in a period; then zeros."""

    def tables(parameters, chunk, _, thread):
        p = fields(parameters, TABLES)
        out = view(p.out, (3 + extra, p.length), real)
        mean, variance = view(p.mean, p.channels, real), view(p.variance, p.channels, real)
        for place in range(p.length):
            c = place % p.channels
            scale = 1 / sqrt(variance[c] + p.epsilon) if p.given else variance[c] * 1.0
            out[0, place] = mean[c]
            out[1, place] = scale * view(p.gamma, p.channels, real)[c] if p.gamma != 0 else scale
            out[2, place] = view(p.beta, p.channels, real)[c] if p.beta != 0 else 0
            for table in range(3, 3 + extra):
                out[table, place] = 0

    return tables


@worker(APPLY)
def apply_worker(real, kind):
    """Compute f((x − mean) · scale + beta) for some elements that start at the first channel."""
    (number, constants), item = chosen(kind, real), computed(real).bitwidth // 8

    def normalize(parameters, start, stop, thread):
        p = fields(parameters, APPLY)
        table = p.length * item
        tables = (p.tables, p.tables + table, p.tables + 2 * table)
        _normalize(number, (p.x,), tables, p.out, start, stop, p.length, constants, real)

    return normalize
