"""The gradients of `batch_normalization`.

They read x and grad twice and no other array: the input of the activation is recomputed. Of each image, a few rows at a
time are summed in float32: conversions to float64 took most of the time. (Moments are not: where the mean is far from
zero, that would cost digits of the variance.)
"""

from collections.abc import Callable

from cnncli.kernels.elementwise.activation_formulas import FORMULAS
from cnncli.kernels.elementwise.activation_names import OF_EITHER, OF_INPUT
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, fields, view, worker
from cnncli.kernels.normalization.batch_normalization import (
    KINDS,
    PARTS,
    Normalization,
    address_of,
    begin_sums,
    chosen,
    elements_of,
    everyone,
    folded,
    make_tables,
    parts_of,
)
from cnncli.kernels.vector import channels
from cnncli.kernels.vector.lanes import Vector

SUMS = block(f"grad tables {PARTS}")
COEFFICIENTS = block("sums saved gamma grad_gamma grad_beta tables count channels length partials")
TOGETHER = 16
"""Rows whose gradients are summed in float32 before the sum continues in float64."""
INPUT = block("x grad tables out length")


def training(
    x: Tensor,
    grad: Tensor,
    normalization: Normalization,
    out: Tensor,
    grad_gamma: Tensor | None,
    grad_beta: Tensor | None,
    scratch: Scratch,
) -> list[Step]:
    """The gradients of `batch_normalization.training` in x (`out`), gamma, beta. x, grad, out: real (N, …, C)."""
    depth = x.shape[-1]
    divided, parts = parts_of(x, scratch)
    table, tables = make_tables(normalization, x, scratch, extra=2)
    places = {"grad": grad.address, "tables": tables}
    summed = sums_worker.step(x.dtype, divided.work(), normalization.activation, **places, **parts)

    def coefficients(gamma: Tensor | None, beta: Tensor | None) -> Step:
        return coefficients_worker.step(
            normalization.saved.dtype,
            1,
            sums=parts["sums"],
            saved=normalization.saved.address,
            gamma=address_of(normalization.gamma),
            grad_gamma=address_of(gamma),
            grad_beta=address_of(beta),
            tables=tables,
            count=x.size // depth,
            channels=depth,
            length=parts["length"],
            partials=divided.number,
        )

    steps, last = [table, summed, coefficients(grad_gamma, grad_beta)], coefficients(None, None)
    if after := everyone(normalization, parts, divided, last, weighted=True):
        steps += [*after, last]  # gradients of gamma and beta are summed over processes later, with all others
    return [*steps, _input(x, grad, tables, out, normalization.activation)]


def inference(
    x: Tensor,
    grad: Tensor,
    normalization: Normalization,
    mean: Tensor,
    variance: Tensor,
    out: Tensor,
    scratch: Scratch,
) -> list[Step]:
    """The gradient of `batch_normalization.inference` in x: grad · f′ · scale. All real (N, …, C)."""
    table, tables = make_tables(normalization, x, scratch, mean, variance, extra=2)
    return [table, _input(x, grad, tables, out, normalization.activation)]


def _input(x: Tensor, grad: Tensor, tables: int, out: Tensor, activation: str) -> Step:
    places = {"x": x.address, "grad": grad.address, "tables": tables, "out": out.address}
    length = channels.period(x.shape[-1])
    return input_worker.step(x.dtype, elements_of(x), activation, **places, length=length)


def _before(
    kind: str, x: Vector, grad: Vector, mean: Vector, scale: Vector, beta: Vector, *constants: Vector
) -> tuple[Vector, Vector]:
    """x − mean, and the gradient before the activation."""
    apart = x - mean
    if kind == "linear":
        return apart, grad
    function, gradient = FORMULAS[kind]
    z = apart.fma(scale, beta)
    return apart, gradient(z if kind in OF_INPUT | OF_EITHER else function(z, *constants), grad, *constants)


def _gradient_sums(kind: str) -> Callable[..., tuple[channels.Term, ...]]:
    def sums(*operands: Vector) -> tuple[channels.Term, ...]:
        apart, grad = _before(kind, *operands)
        return grad, (grad, apart)

    return sums


def _input_gradient(kind: str) -> Callable[..., Vector]:
    def input_gradient(*operands: Vector) -> Vector:
        x, grad, mean, scale, beta, slope, offset, *constants = operands
        apart, grad = _before(kind, x, grad, mean, scale, beta, *constants)
        return grad.fma(scale, apart.fma(slope, offset))

    return input_gradient


_sum_gradients = channels.summed(2, *map(_gradient_sums, KINDS), together=TOGETHER)
_give_input = channels.channelwise(*map(_input_gradient, KINDS))


@worker(SUMS)
def sums_worker(real, kind):
    """Accumulate Σg and Σg·(x − mean) of some images of a lane; g is the gradient before the activation."""
    (number, constants), item, wide = chosen(kind, real), real.bitwidth // 8, computed(real).bitwidth // 8

    def gradient_sums(parameters, start, stop, thread):
        p = fields(parameters, SUMS)
        (sums, _), table = begin_sums(p, start, stop), p.length * wide
        tables = (p.tables, p.tables + table, p.tables + 2 * table)
        for image in range(start, stop):
            skip = image * p.per_image * item
            _sum_gradients(number, (p.x + skip, p.grad + skip), tables, sums, 0, p.per_image, p.length, constants, real)

    return gradient_sums


@worker(COEFFICIENTS)
def coefficients_worker(real):
    """Compute the gradients of gamma and beta, and the tables of slope and offset for the input gradient.

    If a channel has a single element, that is its mean, the output is constant, and its gradient is 0. It must be
    exactly 0, because an optimizer may divide by the magnitude of a rounding error; scale is therefore set to 0.
    """

    def coefficients(parameters, chunk, _, thread):
        p = fields(parameters, COEFFICIENTS)
        saved, tables = view(p.saved, (2, p.channels), real), view(p.tables, (5, p.length), real)
        for c in range(p.channels):
            total = folded(p.sums, p.partials, 2, p.length, p.channels, 0, c)
            apart = folded(p.sums, p.partials, 2, p.length, p.channels, 1, c)
            inverse = saved[1, c] * 1.0
            scale = inverse * view(p.gamma, p.channels, real)[c] if p.gamma != 0 else inverse
            if p.grad_gamma != 0:
                view(p.grad_gamma, p.channels, real)[c] = inverse * apart
            if p.grad_beta != 0:
                view(p.grad_beta, p.channels, real)[c] = total
            if p.count == 1:
                scale = 0.0
            for place in range(c, p.length, p.channels):
                if p.count == 1:
                    tables[1, place] = 0
                tables[3, place] = -scale * inverse * inverse * apart / p.count
                tables[4, place] = -scale * total / p.count

    return coefficients


@worker(INPUT)
def input_worker(real, kind):
    """Compute scale · g + (x − mean) · slope + offset for some elements that start at the first channel."""
    (number, constants), item = chosen(kind, real), computed(real).bitwidth // 8

    def input_gradient(parameters, start, stop, thread):
        p = fields(parameters, INPUT)
        table = p.length * item
        tables = (p.tables, p.tables + table, p.tables + 2 * table, p.tables + 3 * table, p.tables + 4 * table)
        _give_input(number, (p.x, p.grad), tables, p.out, start, stop, p.length, constants, real)

    return input_gradient
