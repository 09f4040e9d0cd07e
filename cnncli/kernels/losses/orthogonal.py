"""Keras' penalty on the angles between the rows, or the columns, of a matrix. `x`: float32 or float64 (rows, columns).

With U, x with rows (or columns) of norm 1, the penalty is factor · the mean of |U Uᵀ| (or |Uᵀ U|) beside the diagonal.
"""

from math import sqrt

from numba import types

from cnncli.kernels.gemm import dense
from cnncli.kernels.gemm.epilogue import PLAIN
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.runtime import SPAN, Scratch, Step, Tensor, Work, block, fields, view, worker

LARGEST = 1e7
"""The largest 1/‖row‖, as in Keras."""
UNIT = block("x slope out inverses groups length step stride")
PAIRS = block("products partials count size scale:f")
SUM = block("partials count out")


def value(x: Tensor, out: Tensor, factor: float, rows: bool, scratch: Scratch) -> list[Step]:
    """out = the penalty, one element; sums are chains in float64."""
    steps, _, products, _ = _products(x, rows, scratch)
    size = products.shape[0]
    partials = scratch.take(8 * size)
    scale = factor / max(1, size * (size - 1))
    pairs = {"products": products.address, "partials": partials, "count": size, "size": size}
    return [
        *steps,
        total_worker.step(x.dtype, Work(size, max(1, SPAN // size)), **pairs, scale=scale),
        sum_worker.step(x.dtype, 1, partials=partials, count=size, out=out.address),
    ]


def gradient(x: Tensor, out: Tensor, factor: float, rows: bool, scratch: Scratch) -> list[Step]:
    """out = the derivative of the penalty, of the shape of x."""
    steps, unit, products, places = _products(x, rows, scratch)
    size = products.shape[0]
    slope = Tensor(scratch.take(x.size * bytes_of(x.dtype)), x.shape, x.dtype)
    scale = 2 * factor / max(1, size * (size - 1))
    pairs = {"products": products.address, "partials": 0, "count": size, "size": size}
    left, right = (products, unit) if rows else (unit, products)
    return [
        *steps,
        sign_worker.step(x.dtype, Work(size, max(1, SPAN // size)), **pairs, scale=scale),
        *dense.forward(left, right, PLAIN, slope, scratch),
        through_worker.step(x.dtype, _groups(places), **places | {"slope": slope.address, "out": out.address}),
    ]


def _products(x: Tensor, rows: bool, scratch: Scratch) -> tuple[list[Step], Tensor, Tensor, dict[str, int]]:
    """Return the steps of U and of its products, both, and the fields of UNIT with U as x."""
    height, width = x.shape
    size = height if rows else width
    unit = Tensor(scratch.take(x.size * bytes_of(x.dtype)), x.shape, x.dtype)
    products = Tensor(scratch.take(size * size * bytes_of(x.dtype)), (size, size), x.dtype)
    places = {
        "x": x.address,
        "slope": 0,
        "out": unit.address,
        "inverses": scratch.take(8 * size),
        "groups": size,
        "length": width if rows else height,
        "step": width if rows else 1,
        "stride": 1 if rows else width,
    }
    product = dense.grad_input if rows else dense.grad_weight
    steps = [unit_worker.step(x.dtype, _groups(places), **places), *product(unit, unit, products, scratch)]
    return steps, unit, products, places | {"x": unit.address}


def _groups(places: dict[str, int]) -> Work:
    return Work(places["groups"], max(1, SPAN // places["length"]))


@worker(UNIT)
def unit_worker(real):
    """out = some groups of x divided by their norm; a group is a row or a column. Also fills `inverses`."""
    item = real.bitwidth // 8

    def unit(parameters, start, stop, thread):
        p = fields(parameters, UNIT)
        inverses = view(p.inverses, p.groups, types.float64)
        for group in range(start, stop):
            reach = (p.length - 1) * p.stride + 1
            x, out = view(p.x + group * p.step * item, reach, real), view(p.out + group * p.step * item, reach, real)
            total = 0.0
            for i in range(p.length):
                element = types.float64(x[i * p.stride])
                total += element * element
            inverse = LARGEST if total * LARGEST * LARGEST <= 1.0 else 1.0 / sqrt(total)
            inverses[group] = inverse
            for i in range(p.length):
                out[i * p.stride] = x[i * p.stride] * inverse

    return unit


@worker(UNIT)
def through_worker(real):
    """out = the derivative with respect to some groups, from that with respect to U, `slope`; x is U."""
    item = real.bitwidth // 8

    def through(parameters, start, stop, thread):
        p = fields(parameters, UNIT)
        inverses = view(p.inverses, p.groups, types.float64)
        for group in range(start, stop):
            reach, skip = (p.length - 1) * p.stride + 1, group * p.step * item
            unit, slope, out = (
                view(p.x + skip, reach, real),
                view(p.slope + skip, reach, real),
                view(p.out + skip, reach, real),
            )
            dot = 0.0
            if inverses[group] < LARGEST:  # else U is x times a constant
                for i in range(p.length):
                    dot += types.float64(unit[i * p.stride]) * slope[i * p.stride]
            for i in range(p.length):
                out[i * p.stride] = (slope[i * p.stride] - unit[i * p.stride] * dot) * inverses[group]

    return through


@worker(PAIRS)
def total_worker(real):
    """partials = scale · the sums of |products| of some rows, without the diagonal."""
    item = real.bitwidth // 8

    def total(parameters, start, stop, thread):
        p = fields(parameters, PAIRS)
        partials = view(p.partials, p.count, types.float64)
        for row in range(start, stop):
            products = view(p.products + row * p.size * item, p.size, real)
            sum_of_row = 0.0
            for i in range(p.size):
                sum_of_row += 0.0 if i == row else abs(types.float64(products[i]))
            partials[row] = p.scale * sum_of_row

    return total


@worker(PAIRS)
def sign_worker(real):
    """products = scale · their signs, 0 on the diagonal, for some rows."""
    item = real.bitwidth // 8

    def sign(parameters, start, stop, thread):
        p = fields(parameters, PAIRS)
        for row in range(start, stop):
            products = view(p.products + row * p.size * item, p.size, real)
            for i in range(p.size):
                product = products[i]
                products[i] = 0.0 if i == row or product == 0 else (p.scale if product > 0 else -p.scale)

    return sign


@worker(SUM)
def sum_worker(real):
    """out = the sum of the partials, in order."""

    def add(parameters, chunk, _, thread):
        p = fields(parameters, SUM)
        partials, total = view(p.partials, p.count, types.float64), 0.0
        for k in range(p.count):
            total += partials[k]
        view(p.out, 1, real)[0] = total

    return add
