"""Normalization of each sample's groups of channels (Wu, He 2018), and its gradients.

    y = (x − mean) · scale + beta,  scale = gamma / √(variance + epsilon)

A group is C / G neighboring channels at all places of a sample. As in `batch_normalization`, sums are in float64 and
the gradient of x is grad · scale + (x − mean) · slope + offset, with tables of one period; here they are a sample's.
"""

from math import sqrt
from typing import NamedTuple

from numba import njit, types

from cnncli.kernels.batch.reduce import in_lanes
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import clear
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, fields, images, view, worker
from cnncli.kernels.normalization.batch_normalization import address_of
from cnncli.kernels.normalization.layer_normalization import weights
from cnncli.kernels.vector import channels
from cnncli.kernels.vector.lanes import Vector

COMMON = "x saved per_image channels groups length sums tables stride"
MOMENTS = block(f"{COMMON} epsilon:f")
APPLY = block(f"{COMMON} gamma beta out")
GRADIENT = block(f"{COMMON} gamma grad out totals lane")


class Normalization(NamedTuple):
    """Parameters besides x: `gamma`, `beta` (None for 1 and 0), `saved` and the constant.

    saved: real (N, 2, G), the mean and 1/√(variance + epsilon) of each group.
    """

    gamma: Tensor | None
    beta: Tensor | None
    saved: Tensor
    epsilon: float


def forward(x: Tensor, normalization: Normalization, out: Tensor, scratch: Scratch) -> list[Step]:
    """out = x normalized; fills `saved`. x, out: real (N, …, C); gamma, beta: (C,)."""
    places = _places(x, normalization, scratch)
    moments = moments_worker.step(x.dtype, images(x.shape[0]), **places, epsilon=normalization.epsilon)
    return [moments, *again(x, normalization, out, scratch)]


def again(x: Tensor, normalization: Normalization, out: Tensor, scratch: Scratch) -> list[Step]:
    """Recompute the `out` of `forward` from `saved`."""
    places = _places(x, normalization, scratch) | {"out": out.address}
    places |= {"gamma": address_of(normalization.gamma), "beta": address_of(normalization.beta)}
    return [apply_worker.step(x.dtype, images(x.shape[0]), **places)]


def backward(
    x: Tensor,
    grad: Tensor,
    normalization: Normalization,
    out: Tensor,
    grad_gamma: Tensor | None,
    grad_beta: Tensor | None,
    scratch: Scratch,
) -> list[Step]:
    """The gradients of `forward` in x (`out`, which may be `grad`), gamma and beta."""
    lanes, depth = in_lanes(x.shape[0]), x.shape[-1]
    totals = scratch.take(lanes.most * 2 * depth * 8)
    gradient = gradient_worker.step(
        x.dtype,
        lanes.work(),
        **_places(x, normalization, scratch),
        gamma=address_of(normalization.gamma),
        grad=grad.address,
        out=out.address,
        totals=totals,
        lane=lanes.images,
    )
    return [gradient, weights(totals, x.dtype, (lanes.number, depth, depth), grad_gamma, grad_beta)]


def _places(x: Tensor, normalization: Normalization, scratch: Scratch) -> dict[str, int]:
    """Return the common fields. A thread has two sums and four tables of one period."""
    length = channels.period(x.shape[-1])
    tables, stride = scratch.per_thread(4 * length * bytes_of(x.dtype))
    return {
        "x": x.address,
        "saved": normalization.saved.address,
        "per_image": x.size // x.shape[0],
        "channels": x.shape[-1],
        "groups": normalization.saved.shape[-1],
        "length": length,
        "sums": scratch.per_thread(2 * length * 8)[0],
        "tables": tables,
        "stride": stride,
    }


def _products(x: Vector, grad: Vector, mean: Vector) -> tuple[Vector, Vector]:
    return grad, grad.double() * (x - mean).double()


_sum_moments, _sum_products = channels.summed(2, channels.moments), channels.summed(2, _products)
_normalize = channels.channelwise(lambda x, mean, scale, beta: (x - mean).fma(scale, beta))
_give_input = channels.channelwise(
    lambda x, grad, mean, scale, slope, offset: grad.fma(scale, (x - mean).fma(slope, offset))
)


@njit
def _of_channel(sums, term, channels, channel):
    """The sum of a channel: the positions of the period in order."""
    total = 0.0
    for place in range(channel, sums.shape[1], channels):
        total += sums[term, place]
    return total


@njit
def _of_group(sums, term, channels, groups, group):
    """The sum of a group, channel by channel."""
    total, size = 0.0, channels // groups
    for channel in range(group * size, (group + 1) * size):
        total += _of_channel(sums, term, channels, channel)
    return total


@njit
def _fill(tables, saved, gamma, given):
    """Fill tables of mean and scale, each channel's value at all its positions in a period."""
    size = len(gamma) // saved.shape[1]
    for place in range(tables.shape[1]):
        channel = place % len(gamma)
        mean, inverse = saved[0, channel // size], saved[1, channel // size]
        tables[0, place], tables[1, place] = mean, inverse * gamma[channel] if given else inverse


@worker(MOMENTS)
def moments_worker(real):
    """Compute mean and 1/√(variance + epsilon) of the groups of some samples."""
    item = real.bitwidth // 8

    def moments(parameters, start, stop, thread):
        p = fields(parameters, MOMENTS)
        place, count = p.sums + thread * p.stride, p.per_image // p.groups
        sums = view(place, (2, p.length), types.float64)
        for image in range(start, stop):
            clear(place, 16 * p.length)
            x, saved = (
                p.x + image * p.per_image * item,
                view(p.saved + 2 * image * p.groups * item, (2, p.groups), real),
            )
            _sum_moments(0, (x,), (), place, 0, p.per_image, p.length, (), real)
            for group in range(p.groups):
                mean = _of_group(sums, 0, p.channels, p.groups, group) / count
                variance = _of_group(sums, 1, p.channels, p.groups, group) / count - mean * mean
                if variance < 0:  # rounding error; not max(variance, 0), because NaN must propagate
                    variance = 0.0
                saved[0, group], saved[1, group] = mean, 1 / sqrt(variance + p.epsilon)

    return moments


@worker(APPLY)
def apply_worker(real):
    """Normalize some samples by what is saved of them."""
    item = real.bitwidth // 8

    def normalize(parameters, start, stop, thread):
        p = fields(parameters, APPLY)
        place, table = p.tables + thread * p.stride, p.length * item
        tables = view(place, (3, p.length), real)
        for image in range(start, stop):
            saved, skip = view(p.saved + 2 * image * p.groups * item, (2, p.groups), real), image * p.per_image * item
            _fill(tables, saved, view(p.gamma, p.channels, real), p.gamma != 0)
            for at in range(p.length):
                tables[2, at] = view(p.beta, p.channels, real)[at % p.channels] if p.beta != 0 else 0
            places = place, place + table, place + 2 * table
            _normalize(0, (p.x + skip,), places, p.out + skip, 0, p.per_image, p.length, (), real)

    return normalize


@worker(GRADIENT)
def gradient_worker(real):
    """The gradients of some samples of a lane; those of beta and gamma are added to its two totals.

    A group of a single element is its own mean, and its gradient is exactly 0, as in `batch_normalization_gradient`.
    """
    item = real.bitwidth // 8

    def gradient(parameters, start, stop, thread):
        p = fields(parameters, GRADIENT)
        place, table, address = p.tables + thread * p.stride, p.length * item, p.sums + thread * p.stride
        tables, sums = view(place, (4, p.length), real), view(address, (2, p.length), types.float64)
        lane = p.totals + start // p.lane * 16 * p.channels
        totals = view(lane, (2, p.channels), types.float64)
        if start % p.lane == 0:
            clear(lane, 16 * p.channels)
        size, count, gamma = p.channels // p.groups, p.per_image // p.groups, view(p.gamma, p.channels, real)
        for image in range(start, stop):
            skip, saved = image * p.per_image * item, view(p.saved + 2 * image * p.groups * item, (2, p.groups), real)
            _fill(tables, saved, gamma, p.gamma != 0)
            clear(address, 16 * p.length)
            both = p.x + skip, p.grad + skip
            _sum_products(0, both, (place,), address, 0, p.per_image, p.length, (), real)
            for group in range(p.groups):
                inverse, offset, slope = saved[1, group] * 1.0, 0.0, 0.0
                for channel in range(group * size, (group + 1) * size):
                    factor = gamma[channel] * 1.0 if p.gamma != 0 else 1.0
                    total = _of_channel(sums, 0, p.channels, channel)
                    apart = _of_channel(sums, 1, p.channels, channel)
                    totals[0, channel] += total
                    totals[1, channel] += apart * inverse
                    offset -= factor * total * inverse / count
                    slope -= factor * apart * inverse * inverse * inverse / count
                for channel in range(group * size, (group + 1) * size):
                    for at in range(channel, p.length, p.channels):
                        tables[2, at], tables[3, at] = slope, offset
                        if count == 1:
                            tables[1, at], tables[3, at] = 0, 0
            places = place, place + table, place + 2 * table, place + 3 * table
            _give_input(0, both, places, p.out + skip, 0, p.per_image, p.length, (), real)

    return gradient
