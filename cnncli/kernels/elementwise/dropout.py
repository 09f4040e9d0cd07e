"""Dropout and noise whose random numbers are recomputed from counters and never stored.

What becomes of element i of the flat array (batch axis included) depends only on word i mod 4 of Philox block ⌊i/4⌋
with counter (⌊i/4⌋, stream, step) and the seed as key: see `cnncli.kernels.batch.random`. Every call takes x, out:
float32, float64 or bfloat16, one shape, may be one array; clock: int64 (3,), [seed, step, first row], read at run time;
`seed`: one instead of the clock's. The first row is that of the batch which x is a part of: a multiple of 4.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types

from cnncli.kernels.batch.random import CENTRE, MULTIPLY_0, MULTIPLY_1, TAIL, WEYL_0, WEYL_1
from cnncli.kernels.jit.runtime import Step, Tensor, block, computed, elements, fields, view, worker
from cnncli.kernels.vector.emit import Code, emitted
from cnncli.kernels.vector.lanes import WORD, Vector, smaller
from cnncli.kernels.vector.vectormath import log, polynomial

DROPOUT = block("x out clock row threshold stream own seed a:f b:f c:f")


def apply(x: Tensor, out: Tensor, clock: Tensor, rate: float, stream: int, seed: int | None = None) -> list[Step]:
    """out = x / (1 − rate) where kept, else 0; an element is kept when its 32 random bits are ≥ rate · 2³².

    The derivative is the same call on the gradient with the same clock. Raises ValueError for a rate outside [0, 1].
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"a dropout rate lies between 0 and 1; received {rate}")
    return noise("dropout", x, out, clock, stream, seed, rate, 1 - rate)


def noise(
    kind: str,
    x: Tensor,
    out: Tensor,
    clock: Tensor,
    stream: int,
    seed: int | None,
    rate: float = 0.0,
    a: float = 0.0,
    b: float = 0.0,
    c: float = 0.0,
) -> list[Step]:
    """out = the formula `kind` of FORMULAS of x, of which elements are kept, or normal numbers, and a, b, c."""
    return [
        dropout_worker.step(
            out.dtype,
            elements(out) if out.size // out.shape[0] % 4 == 0 else elements(out.size),
            kind,
            x=x.address,
            out=out.address,
            clock=clock.address,
            row=out.size // out.shape[0],
            threshold=int(np.ceil(rate * 2.0**32)),
            stream=stream & 0xFFFFFFFF,
            own=seed is not None,
            seed=((seed or 0) + 2**63) % 2**64 - 2**63,
            a=a,
            b=b,
            c=c,
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


def _normal(words: Vector) -> Vector:
    """Normal numbers, float64, from 32-bit words w: the quantiles of (w + ½) / 2³² (AS241, without its far tails)."""
    fraction = ((words | 0x4330000000000000).real() - (2.0**52 - 0.5)) * 2.0**-32  # the word is the mantissa of 2⁵²
    offset = fraction - 0.5
    edge = (-log(smaller(fraction, 1.0 - fraction))).sqrt() - 1.6
    square = 0.180625 - offset * offset
    centre = offset * (polynomial(square, CENTRE[0]) / polynomial(square, CENTRE[1]))
    tail = polynomial(edge, TAIL[0]) / polynomial(edge, TAIL[1])
    return centre.where(offset.magnitude() <= 0.425, (tail.magnitude().bits() | offset.sign()).real())


FORMULAS: dict[str, Callable[..., Vector]] = {
    "dropout": lambda x, words, least, a, b, c: (x / a).where(words >= least, 0.0),
    "affine of kept": lambda x, words, least, a, b, c: x.fma(a, b).where(words >= least, c),
    "kept": lambda x, words, least, a, b, c: b.where(words >= least, c),
    "plus normal": lambda x, words, least, a, b, c: (x.double() + _normal(words) * a.double()).rounded(x.item),
    "times normal": lambda x, words, least, a, b, c: (x.double() * _normal(words).fma(a.double(), 1.0)).rounded(x.item),
}
"""(x, 32 random bits, the least bits of what is kept, a, b, c) → out: x/a or 0; ax + b or c; b or c; x + an; …"""
KINDS = {kind: number for number, kind in enumerate(FORMULAS)}


@emitted()
def _change(
    code: Code, kind: int, x: Vector, out: Vector, part: list[Vector], numbers: list[Vector], constants: list[Vector]
) -> None:
    """Change elements `part[0]` … `part[1]` - 1 of the array at address x; the first is a multiple of 4.

    numbers: (seed, step, stream, threshold, number of the first block); constants: (a, b, c).
    """
    code, blocks = Code(code.builder, code.item, 4 * BLOCKS), Code(code.builder, code.item, BLOCKS)
    seeds, steps, streams = map(blocks.full, numbers[:3])
    key, after = [seeds & LOW, seeds.high(32)], [streams & LOW, steps & LOW, steps.high(32)]
    numbered = Vector(code.builder, ir.Constant(ir.VectorType(WORD, BLOCKS), list(range(BLOCKS))))
    base, given = blocks.full(numbers[4]), [code.full(numbers[3]), *map(code.full, constants)]
    formula = list(FORMULAS.values())[kind]

    def body(index: Vector, mask: Vector | None) -> None:
        first = blocks.full(index.high(2)) + base
        w0, w1, w2, w3 = _philox([(first + numbered) & LOW, *after], key)
        words = w0.beside(w1, 1).beside(w2.beside(w3, 1), 2)
        code.store(formula(code.load(x, index, mask), words, *given), out, index, mask)

    code.sweep(part[0], part[1], body)


@worker(DROPOUT)
def dropout_worker(real, kind):
    """Change some elements, the first of which is a multiple of 4."""
    formula, number = KINDS[kind], computed(real)

    def dropout(parameters, start, stop, thread):
        p = fields(parameters, DROPOUT)
        clock = view(p.clock, 3, types.int64)
        numbers = p.seed if p.own else clock[0], clock[1], p.stream, p.threshold, clock[2] * p.row // 4
        _change(formula, p.x, p.out, (start, stop), numbers, (number(p.a), number(p.b), number(p.c)), real)

    return dropout
