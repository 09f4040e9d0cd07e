"""Dropout whose mask is recomputed from counters and so never stored.

Whether element i of the flat array (batch axis included) is kept depends on word i mod 4 of Philox block ⌊i/4⌋ under
the counter (⌊i/4⌋, stream, step) and the key seed, and on nothing else: see `cnncli.kernels.random`.
"""

import numpy as np
from numba import types

from cnncli.kernels.random import HALF, WORD, philox
from cnncli.kernels.runtime import Step, Tensor, block, chunks, fields, span, view, worker

DROPOUT = block("x out clock size threshold stream keep:f")


def apply(x: Tensor, out: Tensor, clock: Tensor, rate: float, stream: int) -> list[Step]:
    """out = x / (1 − rate) where kept, else 0; an element is kept when its 32 random bits are ≥ rate · 2³².

    x, out: float32 or float64, one shape, may be one array. clock: int64 (2,), [seed, step], read at run time. The same
    call on the gradient, under the same clock, is the derivative. Raises ValueError for a rate outside [0, 1].
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"a dropout rate lies between 0 and 1; received {rate}")
    return [
        dropout_worker.step(
            out.dtype,
            chunks(out.size),
            x=x.address,
            out=out.address,
            clock=clock.address,
            size=out.size,
            threshold=int(np.ceil(rate * 2.0**32)),
            stream=stream & 0xFFFFFFFF,
            keep=1 - rate,
        )
    ]


@worker(DROPOUT)
def dropout_worker(real):  # type: ignore[no-untyped-def]
    """Drop elements of one span; a span's start is a multiple of 4."""

    def dropout(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, DROPOUT)
        start, stop = span(chunk, p.size)
        out, size = view(p.out, p.size, real)[start:stop], stop - start
        if p.x != p.out:
            # Copied first, so that the loop below sees one array: under two names LLVM would not vectorize it.
            x = view(p.x, p.size, real)[start:stop]
            for i in range(size):
                out[i] = x[i]
        clock = view(p.clock, 2, types.int64)
        seed, step = types.uint64(clock[0]), types.uint64(clock[1])
        stream, first, threshold = types.uint64(p.stream), start // 4, types.uint64(p.threshold)
        step_low, step_high, key_low, key_high = step & WORD, step >> HALF, seed & WORD, seed >> HALF
        zero, keep = real(0), real(p.keep)
        for b in range(size // 4):
            words = philox(types.uint64(first + b) & WORD, stream, step_low, step_high, key_low, key_high)
            i = 4 * b
            out[i] = out[i] / keep if words[0] >= threshold else zero
            out[i + 1] = out[i + 1] / keep if words[1] >= threshold else zero
            out[i + 2] = out[i + 2] / keep if words[2] >= threshold else zero
            out[i + 3] = out[i + 3] / keep if words[3] >= threshold else zero
        b = size // 4
        words = philox(types.uint64(first + b) & WORD, stream, step_low, step_high, key_low, key_high)
        for i in range(4 * b, size):
            out[i] = out[i] / keep if words[i % 4] >= threshold else zero

    return dropout
