"""Addition, concatenation and slicing of arrays. All arrays of a call: float32, float64 or bfloat16, one dtype."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numba import types

from cnncli.kernels.jit.runtime import Step, Tensor, block, elements, fields, view, worker
from cnncli.kernels.vector.emit import Code, Variable, emitted
from cnncli.kernels.vector.lanes import WORD, Vector
from cnncli.kernels.vector.sweeps import elementwise

ADD = block("out count")
MANY = 4
"""Number of inputs from which on `add` loops over them."""
ADD_SIZE = 16
"""Bytes of an ADD block: the inputs' addresses follow it."""
COPY = block("x out run x_stride x_offset out_stride out_offset")


def add(inputs: Sequence[Tensor], out: Tensor) -> list[Step]:
    """out = ((inputs[0] + inputs[1]) + inputs[2]) + …; one shape; `out` may be any of the inputs.

    Raises ValueError without inputs.
    """
    if not inputs:
        raise ValueError("add takes at least one input; received none")
    step = add_worker.step(out.dtype, elements(out), min(len(inputs), MANY), out=out.address, count=len(inputs))
    addresses = np.array([x.address for x in inputs], np.int64)
    # The block of a step may be longer than its record: the inputs' addresses follow it.
    return [step._replace(parameters=np.concatenate([step.parameters.view(np.int64), addresses]))]


def concatenate(inputs: Sequence[Tensor], out: Tensor, axis: int) -> list[Step]:
    """out = the inputs concatenated along `axis` (the batch axis is 0; negative counts from the end)."""
    axis %= len(out.shape)
    inner = prod(out.shape[axis + 1 :])
    steps, start = [], 0
    for x in inputs:
        run = x.shape[axis] * inner
        steps.append(_copy(x, out, run, (run, 0), (out.shape[axis] * inner, start)))
        start += run
    return steps


def slice_axis(x: Tensor, out: Tensor, axis: int, start: int) -> list[Step]:
    """out = x[start : start + out.shape[axis]] along `axis`: the inverse of `concatenate`, and its derivative.

    Raises ValueError if the slice is not within x.
    """
    axis %= len(x.shape)
    inner, length = prod(x.shape[axis + 1 :]), out.shape[axis]
    if not 0 <= start <= x.shape[axis] - length:
        raise ValueError(f"a slice of {length} must lie within axis {axis} of {x.shape}; received start={start}")
    return [_copy(x, out, length * inner, (x.shape[axis] * inner, start * inner), (length * inner, 0))]


def _copy(x: Tensor, out: Tensor, run: int, source: tuple[int, int], target: tuple[int, int]) -> Step:
    """Copy runs of `run` elements from x to out; `source` and `target`: (stride of the runs, position of the first)."""
    return copy_worker.step(
        out.dtype,
        elements(min(x, out, key=lambda array: array.size)),
        x=x.address,
        out=out.address,
        run=run,
        x_stride=source[0],
        x_offset=source[1],
        out_stride=target[0],
        out_offset=target[1],
    )


_sums = elementwise(lambda a: a, lambda a, b: a + b, lambda a, b, c: (a + b) + c)
_copies = elementwise(lambda x: x)


@emitted()
def _sum_many(code: Code, inputs: Vector, count: Vector, out: Vector, start: Vector, stop: Vector) -> None:
    """Sum some elements of `count` arrays, whose addresses begin at `inputs`; `out` may be one of the arrays."""

    def body(index: Vector, mask: Vector | None) -> None:
        total = Variable(code.load(code.number(inputs, 0, WORD), index, mask))
        with code.steps(code.word(1), count, code.word(1)) as k:
            total.set(total.get() + code.load(code.number(inputs, k, WORD), index, mask))
        code.store(total.get(), out, index, mask)

    code.sweep(start, stop, body)


@worker(ADD)
def add_worker(real, number):
    """Sum some elements of `number` inputs, or of `MANY` and more."""

    def add(parameters, start, stop, thread):
        p = fields(parameters, ADD)
        x = view(parameters + ADD_SIZE, p.count, types.int64)
        if number == 1:
            _sums(0, (x[0],), (p.out,), start, stop, (), real)
        elif number == 2:
            _sums(1, (x[0], x[1]), (p.out,), start, stop, (), real)
        elif number == 3:
            _sums(2, (x[0], x[1], x[2]), (p.out,), start, stop, (), real)
        else:
            _sum_many(parameters + ADD_SIZE, p.count, p.out, start, stop, real)

    return add


@worker(COPY)
def copy_worker(real):
    """Copy some elements, run by run."""
    item = real.bitwidth // 8

    def copy(parameters, start, stop, thread):
        p = fields(parameters, COPY)
        while start < stop:
            number, place = start // p.run, start % p.run
            size = min(stop - start, p.run - place)
            x = p.x + (p.x_offset + number * p.x_stride + place) * item
            out = p.out + (p.out_offset + number * p.out_stride + place) * item
            _copies(0, (x,), (out,), 0, size, (), real)
            start += size

    return copy
