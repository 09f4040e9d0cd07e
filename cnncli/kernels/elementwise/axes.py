"""Repeating along an axis, summing over one, and swapping two. float32 or float64, one dtype in a call."""

from llvmlite import ir

from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, Work, block, elements, fields, view, worker
from cnncli.kernels.vector.emit import Code, Variable, emitted
from cnncli.kernels.vector.lanes import Vector
from cnncli.kernels.vector.sweeps import elementwise, summing

REPEAT = block("x out times inner")
SUM = block("x out count inner")
SWAP = block("x out size rows columns")


def repeat(x: Tensor, out: Tensor, times: int, inner: int) -> list[Step]:
    """out (A, times, inner) = x (A, inner), `times` times."""
    places = {"x": x.address, "out": out.address}
    return [repeat_worker.step(out.dtype, elements(out), **places, times=times, inner=inner)]


def sum_axis(x: Tensor, out: Tensor, count: int, inner: int) -> list[Step]:
    """out (A, inner) = Σ x (A, count, inner) over the middle axis, in float64: the derivative of `repeat`."""
    outer = out.size // inner
    part = max(1, SPAN // (count * inner))
    places = {"x": x.address, "out": out.address, "count": count, "inner": inner}
    return [sum_worker.step(out.dtype, Work(outer, part, x.shape[0]), **places)]


def swap(x: Tensor, out: Tensor) -> list[Step]:
    """out (…, columns, rows) = x (…, rows, columns), the last two axes in the other order. `out` must not be x."""
    rows, columns = x.shape[-2:]
    places = {"x": x.address, "out": out.address, "size": out.size}
    return [swap_worker.step(out.dtype, elements(out), **places, rows=rows, columns=columns)]


_copies = elementwise(lambda x: x)
_fills = elementwise(lambda number: number)
_sums = summing(1, lambda x: ((), (x.double(),)))


@emitted()
def _sum_rows(code: Code, x: Vector, out: Vector, count: Vector, inner: Vector) -> None:
    """out (inner) = Σ x (count, inner), each element one chain in float64."""

    def column(index: Vector, mask: Vector | None) -> None:
        total = Variable(code.full(0.0, ir.DoubleType()))
        with code.loop(count) as row:
            total.set(total.get() + code.load(x, row * inner + index, mask).double())
        code.store(total.get().rounded(code.item), out, index, mask)

    code.sweep(code.word(0), inner, column)


@worker(REPEAT)
def repeat_worker(real):
    """Some elements of the output, run by run."""
    item = real.bitwidth // 8

    def repeat(parameters, start, stop, thread):
        p = fields(parameters, REPEAT)
        run = p.times if p.inner == 1 else p.inner
        while start < stop:
            number, place = start // run, start % run
            size, out = min(stop - start, run - place), p.out + start * item
            if p.inner == 1:
                _fills(0, (), (out,), 0, size, (view(p.x + number * item, 1, real)[0],), real)
            else:
                _copies(0, (p.x + (number // p.times * run + place) * item,), (out,), 0, size, (), real)
            start += size

    return repeat


@worker(SUM)
def sum_worker(real):
    """Some of the outer places."""
    item = real.bitwidth // 8

    def sum_axis(parameters, start, stop, thread):
        p = fields(parameters, SUM)
        for place in range(start, stop):
            x, out = p.x + place * p.count * p.inner * item, p.out + place * p.inner * item
            if p.inner == 1:
                (total,) = _sums(0, (x,), (), 0, p.count, (), real)
                view(out, 1, real)[0] = total
            else:
                _sum_rows(x, out, p.count, p.inner, real)

    return sum_axis


@worker(SWAP)
def swap_worker(real):
    """Some elements of the output."""

    def swap(parameters, start, stop, thread):
        p = fields(parameters, SWAP)
        x, out = view(p.x, p.size, real), view(p.out, p.size, real)
        square = p.rows * p.columns
        for i in range(start, stop):
            rest = i % square
            out[i] = x[i - rest + rest % p.rows * p.columns + rest // p.rows]

    return swap
