"""Mixing of several changed copies of each image, with random weights (AugMix, Hendrycks et al. 2020), in-place.

Each image gets weights of its own: of its copies, from a Dirichlet distribution, and of itself, from a Beta
distribution, both with parameters α. A thread has copies of a portion of the batch only. See draws.py.
"""

from collections.abc import Callable
from math import cos, exp, log, pi, prod, sqrt

from numba import njit, types

from cnncli.kernels.augment.draws import Range
from cnncli.kernels.batch.gather import copied
from cnncli.kernels.batch.random import fractions
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.relocation import Moved, mentions, placeholder_address
from cnncli.kernels.jit.runtime import Pass, Scratch, Step, Tensor, block, fields, images, view, worker

WEIGHTS = block("clock stream weights sum chains size alpha:f")
MIXED = block("x sum weights chain chains size least:f most:f")
PORTION = 1 << 13
"""Elements of the images that a thread copies at a time, which are one or more."""
ATTEMPTS = 16
"""To draw a number of a gamma distribution: each fails with a probability below 1/20."""
LEAST = -1e300
"""Logarithm of the smallest of these numbers: with a small α most are 0."""


def mix(
    x: Tensor,
    clock: Tensor,
    scratch: Scratch,
    stream: int,
    *,
    chains: int,
    changes: Callable[[Tensor, int, Scratch], list[Step]],
    alpha: float,
    limits: Range,
) -> list[Pass]:
    """x = w · x + (1 - w) · the weighted mean of `chains` changed copies of x, real (N, …), clipped to `limits`.

    `changes` returns the steps of a chain, by its number, on a copy of x: of the type of x, in the given scratch; their
    units are images. clock: int64 (3,), see draws.py, read at run time. `stream`: the random stream of the weights.
    """
    size = prod(x.shape[1:])
    rows = min(x.shape[0], max(1, PORTION // size))
    row_bytes = size * bytes_of(x.dtype), size * bytes_of(x.dtype), 8 * (chains + 1)
    buffers = [scratch.per_thread(rows * each) for each in row_bytes]
    copy, total, weights = (placeholder_address(number) for number in range(len(buffers)))
    work = images(x.shape[0], rows)
    drawn = {"weights": weights, "sum": total, "chains": chains, "size": size}
    steps = [weights_worker.step(x.dtype, work, clock=clock.address, stream=stream, alpha=alpha, **drawn)]
    after = Scratch(scratch.base + scratch.used, scratch.private + scratch.used_by_thread, scratch.stride)
    changed = x._replace(address=copy)
    for chain in range(chains):
        steps += copied(x, changed)
        steps += changes(changed, chain, after)
        steps.append(add_worker.step(x.dtype, work, x=copy, chain=chain, least=0.0, most=0.0, **drawn))
    limited = {"least": limits[0], "most": limits[1]}
    steps.append(blend_worker.step(x.dtype, work, x=x.address, chain=chains, **limited, **drawn))
    scratch.used += after.used
    scratch.used_by_thread += after.used_by_thread
    moved = [
        Moved(number, word, buffers[buffer][0] + offset, buffers[buffer][1], row_bytes[buffer])
        for number, step in enumerate(steps)
        for word, buffer, offset in mentions(step.parameters)
    ]
    return [Pass(steps, x.shape[0], rows, rows, moved)]


@njit
def log_gamma(seed, step, stream, place, alpha):
    """Draw the logarithm of a number of the gamma distribution with shape α > 0 and scale 1.

    It is one of shape α + 1 (Marsaglia and Tsang 2000) times the α-th root of a number in (0, 1).
    """
    shape = alpha + 2 / 3
    for attempt in range(ATTEMPTS):
        u, v, s, t = fractions(seed, step, stream, place * ATTEMPTS + attempt)
        normal = sqrt(-2 * log(u)) * cos(2 * pi * v)
        cube = (1 + normal / sqrt(9 * shape)) ** 3
        if cube > 0 and log(s) < normal * normal / 2 + shape * (1 - cube + log(cube)):
            return max(log(shape * cube) + log(t) / alpha, LEAST)
    return log(alpha)


@worker(WEIGHTS)
def weights_worker(real):
    """Draw the weights of some images, which are those of its chains and of itself; the sums begin at 0."""
    item = real.bitwidth // 8

    def weights(parameters, start, stop, thread):
        p = fields(parameters, WEIGHTS)
        clock, chains = view(p.clock, 3, types.int64), p.chains
        for i in range(start, stop):
            found = view(p.weights + i * (chains + 1) * 8, chains + 1, types.float64)
            first, most = (clock[2] + i) * (chains + 2), LEAST
            for chain in range(chains):
                found[chain] = log_gamma(clock[0], clock[1], p.stream, first + chain, p.alpha)
                most = max(most, found[chain])
            whole = 0.0
            for chain in range(chains):
                found[chain] = exp(found[chain] - most)
                whole += found[chain]
            for chain in range(chains):
                found[chain] /= whole
            own = log_gamma(clock[0], clock[1], p.stream, first + chains, p.alpha)
            other = log_gamma(clock[0], clock[1], p.stream, first + chains + 1, p.alpha)
            found[chains] = 1 / (1 + exp(other - own))
            total = view(p.sum + i * p.size * item, p.size, real)
            for k in range(p.size):
                total[k] = real(0)

    return weights


@worker(MIXED)
def add_worker(real):
    """Add the weighted copies of some images to their sums."""
    item = real.bitwidth // 8

    def add(parameters, start, stop, thread):
        p = fields(parameters, MIXED)
        size = p.size
        for i in range(start, stop):
            x, total = view(p.x + i * size * item, size, real), view(p.sum + i * size * item, size, real)
            weight = real(view(p.weights + i * (p.chains + 1) * 8, p.chains + 1, types.float64)[p.chain])
            for k in range(size):
                total[k] += weight * x[k]

    return add


@worker(MIXED)
def blend_worker(real):
    """Blend some images with their sums."""
    item = real.bitwidth // 8

    def blend(parameters, start, stop, thread):
        p = fields(parameters, MIXED)
        size, least, most = p.size, real(p.least), real(p.most)
        for i in range(start, stop):
            x, total = view(p.x + i * size * item, size, real), view(p.sum + i * size * item, size, real)
            weight = real(view(p.weights + i * (p.chains + 1) * 8, p.chains + 1, types.float64)[p.chain])
            rest = real(1) - weight
            for k in range(size):
                x[k] = min(max(weight * x[k] + rest * total[k], least), most)

    return blend
