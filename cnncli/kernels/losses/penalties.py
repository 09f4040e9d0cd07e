"""L1 and L2 penalties of one array. `x`: float32 or float64, any shape."""

from numba import types

from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, elements, fields, view, worker
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import elementwise, summing

PARTS = 8
VALUE = block("x size part partials l1:f l2:f")
FINISH = block("partials count out scale:f")
GRADIENT = block("x out size l1:f l2:f")


def value(x: Tensor, out: Tensor, l1: float, l2: float, scale: float, scratch: Scratch) -> list[Step]:
    """out = scale · (l1 Σ|x| + l2 Σx²). out: one element.

    Summed in float64: at most 8 parts of x, 16 lanes in each, parts added in order.
    """
    count = min(PARTS, max(1, elements(x.size).chunks))
    part = -(-x.size // count)
    partials = scratch.take(8 * PARTS)
    return [
        value_worker.step(x.dtype, count, x=x.address, size=x.size, part=part, partials=partials, l1=l1, l2=l2),
        finish_worker.step(out.dtype, 1, partials=partials, count=count, out=out.address, scale=scale),
    ]


def gradient(x: Tensor, out: Tensor, l1: float, l2: float, scale: float) -> list[Step]:
    """out = scale · (l1 sign(x) + 2 l2 x), with sign(0) = 0. out: shape of x, may be x."""
    return [
        gradient_worker.step(
            out.dtype,
            elements(out.size),
            x=x.address,
            out=out.address,
            size=out.size,
            l1=scale * l1,
            l2=scale * l2,
        )
    ]


def _penalty(x: Vector, l1: Vector, l2: Vector) -> tuple[tuple[()], tuple[Vector]]:
    size = x.double().magnitude()
    return (), (l1 * size + l2 * (size * size),)


def _slope(x: Vector, l1: Vector, twice_l2: Vector) -> Vector:
    sign = l1.where(x > 0.0, (0.0 - l1).where(x < 0.0, 0.0))
    return sign + twice_l2 * x


_penalties, _slopes = summing(1, _penalty), elementwise(_slope)


@worker(VALUE)
def value_worker(real):
    """Sum l1|x| + l2x² over one part."""

    def penalty(parameters, chunk, _, thread):
        p = fields(parameters, VALUE)
        start, stop = chunk * p.part, min(p.size, (chunk + 1) * p.part)
        (total,) = _penalties(0, (p.x,), (), min(start, stop), stop, (p.l1, p.l2), real)
        view(p.partials, PARTS, types.float64)[chunk] = total

    return penalty


@worker(FINISH)
def finish_worker(real):
    """Add the parts in order."""

    def finish(parameters, chunk, _, thread):
        p = fields(parameters, FINISH)
        partials = view(p.partials, p.count, types.float64)
        total = types.float64(0)
        for k in range(p.count):
            total += partials[k]
        view(p.out, 1, real)[0] = p.scale * total

    return finish


@worker(GRADIENT)
def gradient_worker(real):
    """Compute the gradient of some elements."""

    def penalty_gradient(parameters, start, stop, thread):
        p = fields(parameters, GRADIENT)
        _slopes(0, (p.x,), (p.out,), start, stop, (real(p.l1), real(2 * p.l2)), real)

    return penalty_gradient
