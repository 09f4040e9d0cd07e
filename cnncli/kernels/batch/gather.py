"""Gathering of batches: rows of an array, selected by index and converted to real numbers.

A unit is a whole row, so that operations on a row can access all of it.
"""

from math import prod

from numba import types

from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import clear, copy
from cnncli.kernels.jit.runtime import Step, Tensor, Work, block, fields, view, worker

SCALED = block("x rows out size item factor:f divisor:f")
ONE_HOT = block("classes rows out places size item void")
WEIGHTS = block("target table out places size classes")
COPIED = block("x out size")
NORMALIZED = block("x factors means deviations size period")
BYTES = 1
"""Bytes of an element of the source array: uint8, or a wider dtype."""
NO_CLASS = -1 << 63
"""Stands for no `void`."""
PORTION = 1 << 17
"""Elements per chunk: about 20 µs of work, twice the time needed to wake another thread."""


def scaled(x: Tensor, rows: Tensor, out: Tensor, factor: float, divisor: float) -> list[Step]:
    """out[i] = x[rows[i]] · factor / divisor, computed in float32.

    x: uint8 or float32 (N, …). rows: int64 (n,), read at run time, each within x. out: real (n, …), with rows of the
    same size as those of x, in any shape. Raises ValueError for an x of another dtype.
    """
    _check(x, "uint8", "float32")
    places = {"x": x.address, "rows": rows.address, "out": out.address, "item": bytes_of(x.dtype)}
    sizes = {"size": prod(out.shape[1:]), "factor": factor, "divisor": divisor}
    return [scaled_worker.step(out.dtype, _work(out), **places, **sizes)]


def one_hot(classes: Tensor, rows: Tensor, out: Tensor, void: int | None = None) -> list[Step]:
    """out[i, …] = 1 at classes[rows[i], …], 0 elsewhere.

    classes: int64 (N,) or uint8 (N, H, W), each of 0 … K - 1, or `void`, whose row has only zeros. rows: int64 (n,),
    read at run time, each within classes. out: real (n, K) or (n, H, W, K). Raises ValueError for classes of another
    dtype.
    """
    _check(classes, "uint8", "int64")
    places = {"classes": classes.address, "rows": rows.address, "out": out.address}
    sizes = {"places": prod(out.shape[1:-1]), "size": out.shape[-1], "item": bytes_of(classes.dtype)}
    sizes["void"] = NO_CLASS if void is None or abs(void) > -NO_CLASS - 1 else void
    return [one_hot_worker.step(out.dtype, _work(out), **places, **sizes)]


def copied(x: Tensor, out: Tensor) -> list[Step]:
    """out = x. Both real (n, …) of one dtype and size."""
    size = prod(out.shape[1:]) * bytes_of(out.dtype)
    return [copied_worker.step(out.dtype, _work(out), x=x.address, out=out.address, size=size)]


def normalized(x: Tensor, factors: Tensor, means: Tensor, deviations: Tensor) -> list[Step]:
    """x = (x · factors − means) / deviations, computed in float32, in place.

    x: real (n, …). The others: float32 (period,), repeated over the elements of a row, of which there are a multiple.
    """
    tables = {"factors": factors.address, "means": means.address, "deviations": deviations.address}
    sizes = {"size": prod(x.shape[1:]), "period": factors.size}
    return [normalized_worker.step(x.dtype, _work(x), x=x.address, **tables, **sizes)]


def weights_of_classes(target: Tensor, table: Tensor, out: Tensor) -> list[Step]:
    """The weight of each position's class, the first with the greatest score, or of one score whether it is above 0.5.

    target: real (n, …, K). table: float32, a weight for each class. out: real (n, …).
    """
    places = {"target": target.address, "table": table.address, "out": out.address}
    sizes = {"places": prod(out.shape[1:]), "size": target.shape[-1], "classes": table.size}
    return [weights_worker.step(out.dtype, _work(target), **places, **sizes)]


def _check(x: Tensor, *dtypes: str) -> None:
    if x.dtype not in dtypes:
        raise ValueError(f"rows are taken from {' or '.join(dtypes)}; received {x.dtype}")


def _work(out: Tensor) -> Work:
    return Work(out.shape[0], max(1, PORTION * out.shape[0] // out.size), out.shape[0])


@worker(WEIGHTS)
def weights_worker(real):
    """Weigh the positions of some rows."""
    width = real.bitwidth // 8

    def weights(parameters, start, stop, thread):
        p = fields(parameters, WEIGHTS)
        table, out = view(p.table, p.classes, types.float32), view(p.out, stop * p.places, real)
        for place in range(start * p.places, stop * p.places):
            scores, best = view(p.target + place * p.size * width, p.size, real), 0
            for k in range(1, p.size):
                if scores[k] > scores[best]:
                    best = k
            if p.size == 1 and scores[0] > 0.5:
                best = 1
            out[place] = table[best]

    return weights


@worker(SCALED)
def scaled_worker(real):
    """Scale some rows."""
    width = real.bitwidth // 8

    def scaled(parameters, start, stop, thread):
        p = fields(parameters, SCALED)
        rows, size = view(p.rows, stop, types.int64), p.size
        factor, divisor = types.float32(p.factor), types.float32(p.divisor)
        for i in range(start, stop):
            source, out = p.x + rows[i] * size * p.item, view(p.out + i * size * width, size, real)
            if p.item == BYTES:
                levels = view(source, size, types.uint8)
                for j in range(size):
                    out[j] = types.float32(levels[j]) * factor / divisor
            else:
                numbers = view(source, size, types.float32)
                for j in range(size):
                    out[j] = numbers[j] * factor / divisor

    return scaled


@worker(ONE_HOT)
def one_hot_worker(real):
    """Write some rows."""
    width = real.bitwidth // 8

    def one_hot(parameters, start, stop, thread):
        p = fields(parameters, ONE_HOT)
        rows, size = view(p.rows, stop, types.int64), p.places * p.size
        for i in range(start, stop):
            place, out = p.classes + rows[i] * p.places * p.item, p.out + i * size * width
            clear(out, size * width)
            scores = view(out, size, real)
            if p.item == BYTES:
                levels = view(place, p.places, types.uint8)
                for j in range(p.places):
                    if levels[j] != p.void:
                        scores[j * p.size + levels[j]] = 1
            else:
                numbers = view(place, p.places, types.int64)
                for j in range(p.places):
                    if numbers[j] != p.void:
                        scores[j * p.size + numbers[j]] = 1

    return one_hot


@worker(NORMALIZED)
def normalized_worker(real):
    """Change some rows."""
    width = real.bitwidth // 8

    def normalized(parameters, start, stop, thread):
        p = fields(parameters, NORMALIZED)
        period = p.period
        factors, means = view(p.factors, period, types.float32), view(p.means, period, types.float32)
        deviations = view(p.deviations, period, types.float32)
        for i in range(start * p.size, stop * p.size, period):
            row = view(p.x + i * width, period, real)
            for j in range(period):
                row[j] = (types.float32(row[j]) * factors[j] - means[j]) / deviations[j]

    return normalized


@worker(COPIED)
def copied_worker(real):
    """Copy some rows, of `size` bytes."""

    def copied(parameters, start, stop, thread):
        p = fields(parameters, COPIED)
        copy(p.out + start * p.size, p.x + start * p.size, (stop - start) * p.size)

    return copied
