"""Dropout whose mask is recomputed from counters and never stored.

Whether element i of the flat array (batch axis included) is kept depends only on word i mod 4 of Philox block ⌊i/4⌋
with counter (⌊i/4⌋, stream, step) and the seed as key: see `cnncli.kernels.batch.random`.
"""

import numpy as np
from llvmlite import ir
from numba import types

from cnncli.kernels.batch.random import MULTIPLY_0, MULTIPLY_1, WEYL_0, WEYL_1
from cnncli.kernels.jit.runtime import Step, Tensor, block, elements, fields, view, worker
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import WORD, Vector

DROPOUT = block("x out clock threshold stream keep:f")


def apply(x: Tensor, out: Tensor, clock: Tensor, rate: float, stream: int) -> list[Step]:
    """out = x / (1 − rate) where kept, else 0; an element is kept when its 32 random bits are ≥ rate · 2³².

    x, out: float32 or float64, one shape, may be one array. clock: int64 (2,), [seed, step], read at run time. The
    derivative is the same call on the gradient with the same clock. Raises ValueError for a rate outside [0, 1].
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"a dropout rate lies between 0 and 1; received {rate}")
    return [
        dropout_worker.step(
            out.dtype,
            elements(out) if out.size // out.shape[0] % 4 == 0 else elements(out.size),
            x=x.address,
            out=out.address,
            clock=clock.address,
            threshold=int(np.ceil(rate * 2.0**32)),
            stream=stream & 0xFFFFFFFF,
            keep=1 - rate,
        )
    ]


BLOCKS = 8
"""Philox blocks computed in parallel, for 32 elements."""
LOW = 0xFFFFFFFF


def _philox(counter: list[Vector], key: list[Vector]) -> list[Vector]:
    """The four output words: `random.philox` on vectors. All are 32-bit values in 64 bits."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        product_0, product_1 = c0 * int(MULTIPLY_0), c2 * int(MULTIPLY_1)
        c0, c2 = product_1.high(32) ^ c1 ^ k0, product_0.high(32) ^ c3 ^ k1
        c1, c3 = product_1 & LOW, product_0 & LOW
        k0, k1 = (k0 + int(WEYL_0)) & LOW, (k1 + int(WEYL_1)) & LOW
    return [c0, c1, c2, c3]


@emitted()
def _drop(code: Code, x: Vector, out: Vector, part: list[Vector], numbers: list[Vector], keep: Vector) -> None:
    """Drop elements `part[0]` … `part[1]` - 1 of the array at address x; the first is a multiple of 4.

    numbers: (seed, step, stream, threshold).
    """
    code, blocks = Code(code.builder, code.item, 4 * BLOCKS), Code(code.builder, code.item, BLOCKS)
    seeds, steps, streams = map(blocks.full, numbers[:3])
    key, after = [seeds & LOW, seeds.high(32)], [streams & LOW, steps & LOW, steps.high(32)]
    numbered = Vector(code.builder, ir.Constant(ir.VectorType(WORD, BLOCKS), list(range(BLOCKS))))
    least, kept_share = code.full(numbers[3]), code.full(keep)

    def body(index: Vector, mask: Vector | None) -> None:
        first = blocks.full(index.high(2))
        w0, w1, w2, w3 = _philox([(first + numbered) & LOW, *after], key)
        words = w0.beside(w1, 1).beside(w2.beside(w3, 1), 2)
        values = code.load(x, index, mask) / kept_share
        code.store(values.where(words >= least, 0.0), out, index, mask)

    code.sweep(part[0], part[1], body)


@worker(DROPOUT)
def dropout_worker(real):
    """Drop some elements, the first of which is a multiple of 4."""

    def dropout(parameters, start, stop, thread):
        p = fields(parameters, DROPOUT)
        clock = view(p.clock, 2, types.int64)
        numbers = clock[0], clock[1], p.stream, p.threshold
        _drop(p.x, p.out, (start, stop), numbers, real(p.keep), real)

    return dropout
