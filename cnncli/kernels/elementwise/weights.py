"""Arithmetic of a batch with a weight, or constants, broadcast over it. float32 or float64, one dtype per call."""

from collections.abc import Callable, Sequence

import numpy as np

from cnncli.kernels.elementwise import broadcast
from cnncli.kernels.jit.dtypes import bytes_of, dtype_of_sums
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, elements, fields, worker
from cnncli.kernels.vector import channels
from cnncli.kernels.vector.lanes import Vector

APPLY = block("x table out length")
AFFINE = block("x out length")
AFFINE_SIZE = 24
"""Bytes of an AFFINE block: the tables of scales and offsets follow it."""


def apply(name: str, x: Tensor, weight: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
    """out (…, size) = the formula `name` of x (…, size) and of the weight's `size` elements; `out` may be x."""
    size, length = weight.size, channels.period(weight.size)
    table, steps = weight.address, []
    if length > size:  # repeated to whole vectors
        table = scratch.take(length * bytes_of(weight.dtype))
        rows = Tensor(table, (length // size, size), weight.dtype)
        (copies,) = broadcast.apply("copy", [Tensor(weight.address, (1, size), weight.dtype)], rows)
        steps = [copies._replace(work=copies.work._replace(rows=0))]  # they are no rows of the batch
    work = elements(x)._replace(grain=channels.rows_of(size))
    places = {"x": x.address, "table": table, "out": out.address}
    return [*steps, apply_worker.step(x.dtype, work, name, **places, length=length)]


def affine(x: Tensor, out: Tensor, scales: Sequence[float], offsets: Sequence[float]) -> list[Step]:
    """out = scale · x + offset (…, C), for C scales and offsets; `out` may be x."""
    size, length = len(scales), channels.period(len(scales))
    work = elements(x)._replace(grain=channels.rows_of(size))
    step = affine_worker.step(x.dtype, work, x=x.address, out=out.address, length=length)
    tables = np.tile(np.array([scales, offsets], dtype_of_sums(x.dtype)), length // size).ravel().view(np.int64)
    return [step._replace(parameters=np.concatenate([step.parameters.view(np.int64), tables]))]


FORMULAS: dict[str, Callable[..., Vector]] = {
    "multiply": lambda x, weight: x * weight,
    "add": lambda x, weight: x + weight,
}
NUMBERS = {name: number for number, name in enumerate(FORMULAS)}
_formulas = channels.channelwise(*FORMULAS.values())
_affine = channels.channelwise(lambda x, scale, offset: x.fma(scale, offset))


@worker(APPLY)
def apply_worker(real, name):
    """Compute some elements, starting at the weight's first element."""
    number = NUMBERS[name]

    def with_weight(parameters, start, stop, thread):
        p = fields(parameters, APPLY)
        _formulas(number, (p.x,), (p.table,), p.out, start, stop, p.length, (), real)

    return with_weight


@worker(AFFINE)
def affine_worker(real):
    """Compute some elements, starting at the first channel."""
    item = computed(real).bitwidth // 8

    def affine(parameters, start, stop, thread):
        p = fields(parameters, AFFINE)
        tables = parameters + AFFINE_SIZE, parameters + AFFINE_SIZE + p.length * item
        _affine(0, (p.x,), tables, p.out, start, stop, p.length, (), real)

    return affine
