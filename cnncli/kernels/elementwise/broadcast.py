"""Elementwise arithmetic on arrays of which some are broadcast: float32 or float64, one dtype per call.

Neighboring axes that an input has all or none of are merged. Along the last axis that remains, the *line*, an input is
either contiguous or one number.
"""

from collections.abc import Sequence
from itertools import groupby
from math import prod
from operator import itemgetter

import numpy as np
from numba import types

from cnncli.kernels.elementwise import arithmetic
from cnncli.kernels.jit.runtime import SPAN, Step, Tensor, Work, block, fields, view, worker
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import Vector

APPLY = block("a b c out length lines a_step b_step c_step outer")
APPLY_SIZE = 80
"""Bytes of an APPLY block: the `outer` axes follow it."""
FORMULAS = list(arithmetic.FORMULAS.values())
Axis = tuple[int, int, int, int]
"""The length of an axis, and the steps of three inputs along it: 0 where an input is broadcast."""


def apply(name: str, inputs: Sequence[Tensor], out: Tensor) -> list[Step]:
    """out = the formula `name` of `arithmetic` of one to three inputs, each broadcast along its axes of length 1.

    All have the rank of `out`, which may be any of the inputs of its own shape.
    """
    if all(x.shape == out.shape for x in inputs):
        return arithmetic.apply(name, inputs, out)
    a, b, c = (*inputs, inputs[-1], inputs[-1])[:3]  # unused inputs are not read
    (length, *contiguous), (lines, *steps), *outer = _axes([a.shape, b.shape, c.shape], out.shape)
    numbers = sum(1 << k for k, step in enumerate(contiguous) if not step)
    step = apply_worker.step(
        out.dtype,
        Work(out.size // length, max(1, SPAN // length), out.shape[0]),
        *(name, numbers),
        **{"a": a.address, "b": b.address, "c": c.address, "out": out.address, "length": length, "lines": lines},
        **dict(zip(("a_step", "b_step", "c_step"), steps, strict=True)),
        outer=len(outer),
    )
    # The block of a step may be longer than its record: the outer axes follow it.
    further = np.array(outer, np.int64).ravel()
    return [step._replace(parameters=np.concatenate([step.parameters.view(np.int64), further]))]


def _axes(inputs: Sequence[tuple[int, ...]], shape: tuple[int, ...]) -> list[Axis]:
    """Return the merged axes of an output of `shape`, from the last to the first, at least two."""
    long = [(tuple(x[axis] > 1 for x in inputs), length) for axis, length in enumerate(shape) if length > 1]
    merged = [(here, prod(length for _, length in run)) for here, run in groupby(reversed(long), itemgetter(0))]
    axes: list[Axis] = []
    sizes = [1, 1, 1]
    for here, length in merged:
        first, second, third = (size if one else 0 for size, one in zip(sizes, here, strict=True))
        axes.append((length, first, second, third))
        sizes = [size * length if one else size for size, one in zip(sizes, here, strict=True)]
    return [*axes, (1, 0, 0, 0)] if len(axes) == 1 else axes


@emitted()
def _lines(
    code: Code,
    formula: int,
    numbers: int,
    inputs: Sequence[Vector],
    steps: Sequence[Vector],
    out: Vector,
    count: Vector,
    length: Vector,
) -> None:
    """`count` lines of the output; the inputs whose bit is set in `numbers` are one number on each line."""
    with code.loop(count) as line:
        places = [x + line * step * code.item for x, step in zip(inputs, steps, strict=True)]
        given = {k: code.full(code.number(place)) for k, place in enumerate(places) if numbers >> k & 1}
        target = out + line * length * code.item

        def body(index: Vector, mask: Vector | None) -> None:
            vectors = (given[k] if k in given else code.load(place, index, mask) for k, place in enumerate(places))
            code.store(FORMULAS[formula](*vectors), target, index, mask)

        code.sweep(code.word(0), length, body)


@worker(APPLY)
def apply_worker(real, name, numbers):
    """Compute some lines."""
    formula, item = arithmetic.NUMBERS[name], real.bitwidth // 8

    def broadcast(parameters, start, stop, thread):
        p = fields(parameters, APPLY)
        outer = view(parameters + APPLY_SIZE, (p.outer, 4), types.int64)
        while start < stop:
            rest, line = start // p.lines, start % p.lines
            count = min(stop - start, p.lines - line)
            a, b, c = line * p.a_step, line * p.b_step, line * p.c_step
            for axis in range(p.outer):
                length = outer[axis, 0]
                place = rest % length
                a, b, c = a + place * outer[axis, 1], b + place * outer[axis, 2], c + place * outer[axis, 3]
                rest //= length
            places = p.a + a * item, p.b + b * item, p.c + c * item
            steps, out = (p.a_step, p.b_step, p.c_step), p.out + start * p.length * item
            _lines(formula, numbers, places, steps, out, count, p.length, real)
            start += count

    return broadcast
