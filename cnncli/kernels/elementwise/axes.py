"""Reduction over axes, and transposition of two. float32, float64 or bfloat16, one dtype per call."""

from math import prod
from typing import NamedTuple

from llvmlite import ir

from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, Work, block, computed, elements, fields, moved, view, worker
from cnncli.kernels.vector.channels import BLOCK
from cnncli.kernels.vector.emit import Code, Variable, emitted
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import elementwise, summing

REDUCE = block("x y out far middle near inner divisor:f")
SWAP = block("x out size rows columns")


class Lengths(NamedTuple):
    """Lengths of the axes after the first of an array that is reduced over two of them, `far` and `near`."""

    far: int
    middle: int
    near: int
    inner: int


def reduce(x: Tensor, out: Tensor, lengths: Lengths, divisor: float = 1.0, y: Tensor | None = None) -> list[Step]:
    """out (A, middle, inner) = Σ x (A, far, middle, near, inner) / divisor, each sum one chain in float64.

    With `y`, Σ x · y, whose products are rounded to the dtype. This is the derivative of a broadcast.
    """
    size = prod(lengths)
    work = Work(x.size // size, max(1, SPAN // size), x.shape[0])
    places = {"x": x.address, "y": (y or x).address, "out": out.address}
    return [reduce_worker.step(out.dtype, work, y is not None, **places, divisor=divisor, **lengths._asdict())]


def swap(x: Tensor, out: Tensor) -> list[Step]:
    """out (…, columns, rows) = x (…, rows, columns), the last two axes swapped. `out` must not be x."""
    rows, columns = x.shape[-2:]
    places = {"x": x.address, "out": out.address, "size": out.size}
    return [swap_worker.step(out.dtype, elements(out), **places, rows=rows, columns=columns)]


_filled = elementwise(lambda number: number)
_sums = summing(1, lambda x, _: ((), (x.double(),)), lambda x, y: ((), ((x * y).double(),)))


@emitted()
def _sum_columns(
    code: Code,
    products: int,
    x: Vector,
    y: Vector,
    out: Vector,
    far: Vector,
    step: Vector,
    near: Vector,
    inner: Vector,
    divisor: Vector,
) -> None:
    """out (inner) = Σ x (far, near, inner) / divisor, each element one chain in float64; `step`: stride of far.

    With `products`, Σ x · y.
    """

    def columns(first: Vector, mask: Vector | None, wide: int) -> None:
        places = [first + code.lanes * k for k in range(wide)]
        totals = [Variable(code.full(0.0, ir.DoubleType())) for _ in places]
        with code.loop(far) as block, code.loop(near) as row:
            start = block * step + row * inner
            for place, total in zip(places, totals, strict=True):
                term = code.load(x, start + place, mask)
                term = term * code.load(y, start + place, mask) if products else term
                total.set(total.get() + term.double())
        for place, total in zip(places, totals, strict=True):
            code.store((total.get() / code.full(divisor)).rounded(code.item), out, place, mask)

    wide = inner & -(BLOCK * code.lanes)
    with code.steps(code.word(0), wide, code.word(BLOCK * code.lanes)) as first:
        columns(first, None, BLOCK)
    code.sweep(wide, inner, lambda index, mask: columns(index, mask, 1))


@worker(REDUCE)
def reduce_worker(real, products):
    """Process some indices of the outer axis; the terms are products of x and y, or x."""
    item, number, kind = real.bitwidth // 8, computed(real), int(products)

    def reduce(parameters, start, stop, thread):
        p = fields(parameters, REDUCE)
        run = p.near * p.inner
        step = p.middle * run
        for place in range(start * p.middle, stop * p.middle):
            first = (place // p.middle * p.far * step + place % p.middle * run) * item
            x, y, out = p.x + first, p.y + first, p.out + place * p.inner * item
            if p.inner == 1:
                total = 0.0
                for block in range(p.far):
                    passed = block * step * item
                    (part,) = _sums(kind, (x + passed, y + passed), (), 0, run, (), real)
                    total += part
                _filled(0, (), (out,), 0, 1, (number(total / p.divisor),), real)
            else:
                _sum_columns(kind, x, y, out, p.far, step, p.near, p.inner, p.divisor, real)

    return reduce


@worker(SWAP)
def swap_worker(real):
    """Process some elements of the output."""
    element = moved(real)

    def swap(parameters, start, stop, thread):
        p = fields(parameters, SWAP)
        x, out = view(p.x, p.size, element), view(p.out, p.size, element)
        square = p.rows * p.columns
        for i in range(start, stop):
            rest = i % square
            out[i] = x[i - rest + rest % p.rows * p.columns + rest // p.rows]

    return swap
