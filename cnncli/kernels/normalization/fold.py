"""Folding of batch normalization with given statistics into the preceding product (Jacob et al. 2018, section 3.2).

    kernel′ = kernel · scale,  bias′ = (bias − mean) · scale + beta,  scale = gamma / √(variance + epsilon)

The product with these weights equals the normalized product with the original kernel and bias.
"""

from math import sqrt
from typing import NamedTuple

from numba import types

from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.runtime import SPAN, Scratch, Step, Tensor, block, fields, view, worker
from cnncli.kernels.normalization.batch_normalization import Normalization, address_of

FACTORS = block("mean variance gamma beta bias scale offset filters epsilon:f")
SCALED = block("kernel scale out rows length filters part")


class Weights(NamedTuple):
    """A product's kernel, real (…, filters, inner), and its bias, real (filters,); None for zeros."""

    kernel: Tensor
    bias: Tensor | None


def fold(
    weights: Weights,
    normalization: Normalization,
    mean: Tensor,
    variance: Tensor,
    out: Weights,
    inner: int,
    scratch: Scratch,
) -> list[Step]:
    """out = the weights with the normalization folded in. mean, variance: real (filters,); `saved` is not used.

    Each run of `inner` consecutive kernel elements belongs to one filter. `out` has a bias.
    """
    kernel, filters = weights.kernel, mean.size
    scale = scratch.take(filters * bytes_of(kernel.dtype))
    length = filters if inner == 1 else inner
    rows, part = kernel.size // length, max(1, SPAN // length)
    factors = factors_worker.step(
        kernel.dtype,
        1,
        mean=mean.address,
        variance=variance.address,
        gamma=address_of(normalization.gamma),
        beta=address_of(normalization.beta),
        bias=address_of(weights.bias),
        scale=scale,
        offset=address_of(out.bias),
        filters=filters,
        epsilon=normalization.epsilon,
    )
    places = {"kernel": kernel.address, "scale": scale, "out": out.kernel.address}
    scaled = scaled_worker.step(
        kernel.dtype, -(-rows // part), inner == 1, **places, rows=rows, length=length, filters=filters, part=part
    )
    return [factors, scaled]


@worker(FACTORS)
def factors_worker(real):
    """Compute each filter's scale and new bias."""

    def factors(parameters, chunk, _, thread):
        p = fields(parameters, FACTORS)
        mean, variance = view(p.mean, p.filters, real), view(p.variance, p.filters, real)
        scale, offset = view(p.scale, p.filters, real), view(p.offset, p.filters, real)
        for f in range(p.filters):
            gamma = view(p.gamma, p.filters, real)[f] if p.gamma != 0 else real(1)
            beta = view(p.beta, p.filters, real)[f] if p.beta != 0 else real(0)
            bias = view(p.bias, p.filters, real)[f] if p.bias != 0 else real(0)
            scale[f] = gamma / sqrt(variance[f] + p.epsilon)
            offset[f] = (types.float64(bias) - mean[f]) * scale[f] + beta

    return factors


@worker(SCALED)
def scaled_worker(real, each):
    """Scale some rows of the kernel; `each`: elements of a row belong to consecutive filters, else rows do."""

    def scaled(parameters, chunk, _, thread):
        p = fields(parameters, SCALED)
        kernel, out = view(p.kernel, (p.rows, p.length), real), view(p.out, (p.rows, p.length), real)
        scale, length = view(p.scale, p.filters, real), p.length
        for r in range(chunk * p.part, min(p.rows, (chunk + 1) * p.part)):
            given, row, factor = kernel[r], out[r], scale[r % p.filters]
            for i in range(length):
                row[i] = given[i] * (scale[i] if each else factor)

    return scaled
