"""Normalization of rows, each by its own mean and variance (Ba, Kiros, Hinton 2016), and its gradients.

    y = (x − mean) · inverse · gamma + beta,  inverse = 1 / √(variance + epsilon)

A row is a sample's elements along its last axes. Without `centered` the mean is 0, and the variance the mean square
(Zhang, Sennrich 2019). Sums are in float64, those of a row in the lanes of a vector.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types

from cnncli.kernels.batch.reduce import in_lanes
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import clear
from cnncli.kernels.jit.runtime import SPAN, Scratch, Step, Tensor, Work, block, elements, fields, view, worker
from cnncli.kernels.normalization.batch_normalization import address_of
from cnncli.kernels.vector.emit import Code, Variable, emitted
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import LANES, add_up, of_number, write

NEUTRAL = block("gamma beta length")
FORWARD = block("x gamma beta saved out length count:f epsilon:f")
AGAIN = block("x gamma beta saved out length")
GRADIENT = block("x grad gamma saved out sums rows length padded lane count:f")
WEIGHTS = block("sums grad_gamma grad_beta partials length padded")


class Normalization(NamedTuple):
    """Parameters besides x: `gamma`, `beta` (None for 1 and 0), `saved` and the constants.

    saved: real (N, …, 2), each row's mean and inverse.
    """

    gamma: Tensor | None
    beta: Tensor | None
    saved: Tensor
    epsilon: float
    centered: bool = True

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.saved.size // 2


def forward(x: Tensor, normalization: Normalization, out: Tensor, scratch: Scratch) -> list[Step]:
    """out = x normalized; fills `saved`. x, out: real (N, …), gamma, beta: (L,) or several axes of together L."""
    length, neutral, places = _places(x, normalization, scratch)
    numbers = {"count": length, "epsilon": normalization.epsilon}
    work, centered = _work(x, normalization), int(normalization.centered)
    return [*neutral, forward_worker.step(x.dtype, work, centered, **places, **numbers, out=out.address)]


def again(x: Tensor, normalization: Normalization, out: Tensor, scratch: Scratch) -> list[Step]:
    """Recompute the `out` of `forward` from `saved`."""
    _, neutral, places = _places(x, normalization, scratch)
    return [*neutral, again_worker.step(x.dtype, _work(x, normalization), **places, out=out.address)]


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
    length, neutral, places = _places(x, normalization, scratch)
    padded = -(-length // LANES) * LANES
    lanes = in_lanes(x.shape[0], 2 * length)
    sums = scratch.take(lanes.most * 2 * padded * 8)
    del places["beta"]
    step = gradient_worker.step(
        x.dtype,
        lanes.work(),
        int(normalization.centered),
        **places,
        grad=grad.address,
        out=out.address,
        sums=sums,
        rows=normalization.rows // x.shape[0],
        padded=padded,
        lane=lanes.images,
        count=length,
    )
    return [*neutral, step, weights(sums, x.dtype, (lanes.number, length, padded), grad_gamma, grad_beta)]


def weights(
    sums: int, dtype: str, sizes: tuple[int, int, int], grad_gamma: Tensor | None, grad_beta: Tensor | None
) -> Step:
    """Return the step that adds sums of lanes, float64 (number of lanes, 2, padded length), of beta and of gamma.

    sizes: the number of lanes, the length, and the padded length.
    """
    partials, length, padded = sizes
    return weights_worker.step(
        dtype,
        elements(length),
        sums=sums,
        grad_gamma=address_of(grad_gamma),
        grad_beta=address_of(grad_beta),
        partials=partials,
        length=length,
        padded=padded,
    )


def _work(x: Tensor, normalization: Normalization) -> Work:
    rows = normalization.rows
    return Work(rows, max(1, SPAN * rows // x.size), x.shape[0])


def _places(x: Tensor, normalization: Normalization, scratch: Scratch) -> tuple[int, list[Step], dict[str, int]]:
    """Return the length of a row, a step that fills what stands for missing weights, and the common fields."""
    length = x.size // normalization.rows
    size = length * bytes_of(x.dtype)
    gamma, beta = (
        given.address if given else scratch.take(size) for given in (normalization.gamma, normalization.beta)
    )
    neutral = {"gamma": 0 if normalization.gamma else gamma, "beta": 0 if normalization.beta else beta}
    steps = [neutral_worker.step(x.dtype, elements(length), **neutral, length=length)] if any(neutral.values()) else []
    places = {"x": x.address, "gamma": gamma, "beta": beta, "saved": normalization.saved.address, "length": length}
    return length, steps, places


@worker(NEUTRAL)
def neutral_worker(real):
    """Fill some of a gamma with 1, of a beta with 0, unless their address is 0."""

    def neutral(parameters, start, stop, thread):
        p = fields(parameters, NEUTRAL)
        for place in range(start, stop):
            if p.gamma != 0:
                view(p.gamma, p.length, real)[place] = 1
            if p.beta != 0:
                view(p.beta, p.length, real)[place] = 0

    return neutral


@emitted()
def _normalize(
    code: Code, places: list[Vector], rows: list[Vector], length: Vector, numbers: list[Vector], centered: int
) -> None:
    """Normalize rows, after two passes for their mean and variance."""
    (x, gamma, beta, saved, out), (count, epsilon) = places, numbers

    def squared(x: Vector, mean: Vector) -> tuple[tuple[()], tuple[Vector]]:
        apart = (x - mean).double()
        return (), (apart * apart,)

    with code.steps(rows[0], rows[1], code.word(1)) as row:
        place, mean = x + row * length * code.item, Vector(code.builder, code.scalar(0.0))
        if centered:
            (total,) = add_up(code, 1, lambda x: ((), (x.double(),)), (place,), (), code.word(0), length, ())
            mean = _rounded(code, total / count)
        (squares,) = add_up(code, 1, squared, (place,), (), code.word(0), length, (mean,))
        inverse = of_number(lambda variance: (1.0 / variance.sqrt()).rounded(code.item), squares / count + epsilon)
        code.store(mean, saved, row * 2)
        code.store(inverse, saved, row * 2 + 1)
        _apply(code, (x, gamma, beta, out), row, length, (mean, inverse))


@emitted()
def _normalize_again(code: Code, places: list[Vector], rows: list[Vector], length: Vector) -> None:
    """Normalize rows by the mean and the inverse of `saved`."""
    x, gamma, beta, saved, out = places
    with code.steps(rows[0], rows[1], code.word(1)) as row:
        _apply(code, (x, gamma, beta, out), row, length, _known(code, saved, row))


@emitted()
def _give_gradient(
    code: Code, places: list[Vector], rows: list[Vector], lengths: list[Vector], count: Vector, centered: int
) -> None:
    """Gradients of rows; those of beta and gamma are added to the two sums of a lane."""
    (x, grad, gamma, saved, out, sums), (length, padded) = places, lengths
    with code.steps(rows[0], rows[1], code.word(1)) as row:
        skip, known = row * length * code.item, _known(code, saved, row)
        sources = x + skip, grad + skip, gamma
        mean, inverse = (code.full(number) for number in known)
        zero = code.full(0.0, ir.DoubleType())
        totals = [Variable(zero), Variable(zero)]

        def add(index: Vector, mask: Vector | None) -> None:
            x, grad, gamma = (code.load(source, index, mask) for source in sources)
            normal, scaled, each = ((x - mean) * inverse).double(), (grad * gamma).double(), grad.double()
            if mask is not None:
                normal = normal.where(mask, zero)
            totals[0].set(totals[0].get() + scaled)
            totals[1].set(scaled.fma(normal, totals[1].get()))
            for place, factor in ((index, 1.0), (index + padded, normal)):
                code.store(each.fma(factor, code.load(sums, place, scalar=ir.DoubleType())), sums, place)

        def formula(*operands: Vector) -> Vector:
            x, grad, gamma, mean, inverse, offset, slope = operands
            return ((x - mean) * inverse).fma(-slope, grad * gamma - offset) * inverse

        code.sweep(code.word(0), length, add)
        offset, slope = (_rounded(code, Vector(code.builder, total.get().sum()) / count) for total in totals)
        if not centered:
            offset = Vector(code.builder, code.scalar(0.0))
        write(code, formula, sources, (out + skip,), code.word(0), length, (*known, offset, slope))


def _rounded(code: Code, x: Vector) -> Vector:
    return of_number(lambda x: x.rounded(code.item), x)


def _known(code: Code, saved: Vector, row: Vector) -> tuple[Vector, Vector]:
    """The mean and the inverse of a row."""
    return code.number(saved, row * 2), code.number(saved, row * 2 + 1)


def _apply(code: Code, arrays: tuple[Vector, ...], row: Vector, length: Vector, known: tuple[Vector, Vector]) -> None:
    x, gamma, beta, out = arrays
    skip = row * length * code.item

    def formula(x: Vector, gamma: Vector, beta: Vector, mean: Vector, inverse: Vector) -> Vector:
        return ((x - mean) * inverse).fma(gamma, beta)

    write(code, formula, (x + skip, gamma, beta), (out + skip,), code.word(0), length, known)


@worker(FORWARD)
def forward_worker(real, centered):
    """Normalize some rows."""

    def normalize(parameters, start, stop, thread):
        p = fields(parameters, FORWARD)
        places = p.x, p.gamma, p.beta, p.saved, p.out
        _normalize(places, (start, stop), p.length, (p.count, p.epsilon), centered, real)

    return normalize


@worker(AGAIN)
def again_worker(real):
    """Normalize some rows again."""

    def normalize(parameters, start, stop, thread):
        p = fields(parameters, AGAIN)
        _normalize_again((p.x, p.gamma, p.beta, p.saved, p.out), (start, stop), p.length, real)

    return normalize


@worker(GRADIENT)
def gradient_worker(real, centered):
    """The gradients of the rows of some images of a lane."""

    def gradient(parameters, start, stop, thread):
        p = fields(parameters, GRADIENT)
        sums = p.sums + start // p.lane * 2 * p.padded * 8
        if start % p.lane == 0:
            clear(sums, 2 * p.padded * 8)
        places, rows = (p.x, p.grad, p.gamma, p.saved, p.out, sums), (start * p.rows, stop * p.rows)
        _give_gradient(places, rows, (p.length, p.padded), p.count, centered, real)

    return gradient


@worker(WEIGHTS)
def weights_worker(real):
    """Some of the gradients of gamma and beta: the sums of the lanes, added in order."""

    def weights(parameters, start, stop, thread):
        p = fields(parameters, WEIGHTS)
        sums = view(p.sums, (p.partials, 2, p.padded), types.float64)
        for term, address in enumerate((p.grad_beta, p.grad_gamma)):
            if address != 0:
                for place in range(start, stop):
                    total = 0.0
                    for part in range(p.partials):
                        total += sums[part, term, place]
                    view(address, p.length, real)[place] = total

    return weights
