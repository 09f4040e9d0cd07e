"""Keras' weight constraints, in place on one weight array of float32 or float64. Norms are chains in float64."""

from itertools import groupby
from math import inf, sqrt

from numba import types

from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, block, elements, fields, view, worker

EPSILON = 1e-7
NORM = block(
    "w groups per_chunk kept_inner kept_stride kept_inner_stride norm_outer norm_stride norm_inner norm_inner_stride "
    "least:f most:f rate:f"
)
NON_NEG = block("w size")


def max_norm(w: Tensor, max_value: float, axes: tuple[int, ...]) -> list[Step]:
    """w · min(‖w‖, max_value) / (1e-7 + ‖w‖), the norm taken over `axes`. w: rank ≤ 4."""
    return _norm(w, axes, most=max_value)


def min_max_norm(w: Tensor, min_value: float, max_value: float, rate: float, axes: tuple[int, ...]) -> list[Step]:
    """w · n / (1e-7 + ‖w‖) with n = rate · (‖w‖ clipped to [min_value, max_value]) + (1 − rate) · ‖w‖. w: rank ≤ 4."""
    return _norm(w, axes, min_value, max_value, rate)


def unit_norm(w: Tensor, axes: tuple[int, ...]) -> list[Step]:
    """w / (1e-7 + ‖w‖), the norm taken over `axes`. w: rank ≤ 4."""
    return _norm(w, axes, 1.0, 1.0)


def non_neg(w: Tensor) -> list[Step]:
    """w where w ≥ 0, else 0; NaN stays."""
    return [non_neg_worker.step(w.dtype, elements(w.size), w=w.address, size=w.size)]


def _norm(w: Tensor, axes: tuple[int, ...], least: float = 0.0, most: float = inf, rate: float = 1.0) -> list[Step]:
    """Raises ValueError for an axis that w does not have, or a rank above 4."""
    rank = len(w.shape)
    if rank > 4 or not all(-rank <= axis < rank for axis in axes):
        raise ValueError(f"a norm is taken over axes of at most 4; received axes={axes} for shape {w.shape}")
    # Merge adjacent axes of the same kind; of four axes, at most two of each kind remain.
    reduced = {axis % rank for axis in axes}
    sorts: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    stride = w.size
    for sort, run in groupby(range(rank), key=reduced.__contains__):
        length = 1
        for axis in run:
            length *= w.shape[axis]
        stride //= length
        sorts[sort].append((length, stride))
    (kept_outer, kept_stride), (kept_inner, kept_inner_stride) = ([(1, 0), (1, 0)] + sorts[False])[-2:]
    (norm_outer, norm_stride), (norm_inner, norm_inner_stride) = ([(1, 0), (1, 0)] + sorts[True])[-2:]
    groups = kept_outer * kept_inner
    per_chunk = max(1, SPAN // (norm_outer * norm_inner))
    return [
        norm_worker.step(
            w.dtype,
            max(1, -(-groups // per_chunk)),
            w=w.address,
            groups=groups,
            per_chunk=per_chunk,
            kept_inner=kept_inner,
            kept_stride=kept_stride,
            kept_inner_stride=kept_inner_stride,
            norm_outer=norm_outer,
            norm_stride=norm_stride,
            norm_inner=norm_inner,
            norm_inner_stride=norm_inner_stride,
            least=least,
            most=most,
            rate=rate,
        )
    ]


@worker(NORM)
def norm_worker(real):
    """Scale the groups of one chunk; a group is the elements that share a norm."""
    width = real.bitwidth // 8

    def norm(parameters, chunk, _, thread):
        p = fields(parameters, NORM)
        stride, inner_stride, inner = p.norm_stride, p.norm_inner_stride, p.norm_inner
        reach = (p.norm_outer - 1) * stride + (inner - 1) * inner_stride + 1
        for group in range(chunk * p.per_chunk, min(p.groups, (chunk + 1) * p.per_chunk)):
            place = group // p.kept_inner * p.kept_stride + group % p.kept_inner * p.kept_inner_stride
            w = view(p.w + place * width, reach, real)
            total = types.float64(0)
            for i in range(p.norm_outer):
                for j in range(inner):
                    element = types.float64(w[i * stride + j * inner_stride])
                    total += element * element
            length = sqrt(total)
            wanted = max(min(length, p.most), p.least)
            if p.rate != 1.0:
                wanted = p.rate * wanted + (1.0 - p.rate) * length
            factor = wanted / (EPSILON + length)
            for i in range(p.norm_outer):
                for j in range(inner):
                    w[i * stride + j * inner_stride] *= factor

    return norm


@worker(NON_NEG)
def non_neg_worker(real):
    """Clip some elements at 0."""

    def non_neg(parameters, start, stop, thread):
        p = fields(parameters, NON_NEG)
        w, zero = view(p.w, p.size, real)[start:stop], real(0)
        for i in range(stop - start):
            w[i] = zero if w[i] < 0 else w[i]

    return non_neg
