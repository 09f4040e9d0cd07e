"""Peak multiply-add throughput of this machine, the reference for kernel performance.

The loop consists of register-only multiply-adds (fused if supported) in twelve independent chains: more than latency
times number of units of current cores.
"""

from time import perf_counter

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnncli.kernels.jit import runtime
from cnncli.kernels.jit.runtime import block, fields, worker
from cnncli.kernels.jit.target import multiply_add

CHAINS = 12
LANES = (16, 8, 4)
"""Vector widths of AVX-512, AVX2, NEON and SSE. Vectors wider than the machine's spill and are slower."""
TURNS = 150_000
"""Loop iterations per chunk: about half a millisecond."""
CHUNKS = 16
"""Chunks per thread; a delayed thread takes fewer."""

LOOP = block("start out turns lanes")


def peak(threads: int, rounds: int = 8) -> float:
    """Return float32 FLOP/s of multiply-adds (two each) on `threads` threads: maximum over `rounds` and widths."""
    start = np.ones((CHAINS + 2, max(LANES)), np.float32)
    start[:CHAINS] += np.arange(CHAINS, dtype=np.float32)[:, None]
    start[CHAINS] = 0.5  # acc = acc·0.5 + 1 stays bounded
    out = np.zeros((threads, max(LANES)), np.float32)
    best = 0.0
    for lanes in LANES:
        step = loop_worker.step(
            "float32",
            CHUNKS * threads,
            start=start.ctypes.data,
            out=out.ctypes.data,
            turns=TURNS,
            lanes=lanes,
        )
        program = runtime.Program([step], threads)
        flops = 2 * CHAINS * lanes * TURNS * CHUNKS * threads
        for _ in range(rounds):
            began = perf_counter()
            program.run()
            best = max(best, flops / (perf_counter() - began))
    return best


@worker(LOOP)
def loop_worker(real):
    """Run `turns` times CHAINS multiply-adds of `lanes` lanes; store their sum in the thread's row of `out`."""

    def loop(parameters, chunk, _, thread):
        p = fields(parameters, LOOP)
        _multiply_add(p.start, p.out + thread * 64, p.turns, p.lanes)

    return loop


@intrinsic
def _multiply_add(typing_context, start, out, turns, lanes):
    """Run the loop for `lanes` lanes. start, out: addresses of rows of 64 bytes."""
    word = ir.IntType(64)

    def loop(builder: ir.IRBuilder, width: int, start: ir.Value, out: ir.Value, turns: ir.Value) -> None:
        kind = ir.VectorType(ir.FloatType(), width)

        def row(number: int) -> ir.Value:
            return builder.load(builder.inttoptr(builder.add(start, word(64 * number)), kind.as_pointer()), align=4)

        chains = [cgutils.alloca_once_value(builder, row(number)) for number in range(CHAINS)]
        factor, term = row(CHAINS), row(CHAINS + 1)
        with cgutils.for_range(builder, turns, intp=word):
            for chain in chains:
                builder.store(multiply_add(builder, builder.load(chain), factor, term), chain)
        total = builder.load(chains[0])
        for chain in chains[1:]:
            total = builder.fadd(total, builder.load(chain))
        builder.store(total, builder.inttoptr(out, kind.as_pointer()), align=4)

    def generate(context, builder, signature, arguments):
        start, out, turns, lanes = arguments
        for width in LANES:
            with builder.if_then(builder.icmp_signed("==", lanes, word(width))):
                loop(builder, width, start, out, turns)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate
