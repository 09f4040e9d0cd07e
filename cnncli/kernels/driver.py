"""The one parallel driver: threads that walk a table of steps together.

Memory reached through an address is invisible to Numba's alias analysis in a parallel body, which is why the driver
hands on integers only.
"""

import os
import platform
from time import perf_counter

import numba
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from cnncli.kernels import cache
from cnncli.kernels.compilations import Compilation, tell
from cnncli.kernels.intrinsics import call, clear

# A thread that waits by spinning takes the core from the one it waits for, wherever another process runs, too: training
# has been seen to be ten times slower beside one busy process. Read by libgomp when the first program runs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# omp enters a parallel region in microseconds, workqueue in a hundred of them.
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

LINE = 64
"""Bytes of a cache line: what two threads write at one time lies apart by so much."""
COUNTERS = 2 * LINE
"""Bytes of a step's counters, a cache line each: chunks taken, chunks done."""
SPINS = 300
"""Looks before a thread that waits lets others have its core: some 15 µs."""


@intrinsic
def _take(typing_context, address):
    """The integer at `address`, which becomes one more: atomic, so that no two threads get the same.

    What a thread wrote before it is seen by whoever finds the new number with `_await`.
    """

    def generate(context, builder, signature, arguments):
        word = ir.IntType(64)
        return builder.atomic_rmw("add", builder.inttoptr(arguments[0], word.as_pointer()), word(1), "acq_rel")

    return types.intp(types.intp), generate


@intrinsic
def _await(typing_context, address, count):
    """Wait until the integer at `address` is `count`: spinning for a moment, then letting others have the core."""

    def generate(context, builder, signature, arguments):
        word = ir.IntType(64)
        place = builder.inttoptr(arguments[0], word.as_pointer())
        spins = cgutils.alloca_once_value(builder, word(0))
        look, wait, spin, rest, end = (
            builder.append_basic_block(name) for name in ("look", "wait", "spin", "rest", "end")
        )
        builder.branch(look)
        builder.position_at_end(look)
        found = builder.load_atomic(place, "acquire", 8)
        builder.cbranch(builder.icmp_signed("<", found, arguments[1]), wait, end)
        builder.position_at_end(wait)
        spun = builder.add(builder.load(spins), word(1))
        builder.store(spun, spins)
        builder.cbranch(builder.icmp_signed("<", spun, word(SPINS)), spin, rest)
        builder.position_at_end(spin)
        _pause(builder)
        builder.branch(look)
        builder.position_at_end(rest)
        give_way = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, give_way, "sched_yield"), [])
        builder.branch(look)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


def _pause(builder: ir.IRBuilder) -> None:
    """Tell the core that this is a loop that waits."""
    if platform.machine() in ("x86_64", "AMD64"):
        name, operands = "llvm.x86.sse2.pause", []
    else:
        name, operands = "llvm.aarch64.hint", [ir.IntType(32)(1)]  # yield
    kind = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)


@njit
def _walk(steps, counters, thread):
    """Take chunks of each step as long as there are any, and wait until those of the others are done, too.

    So a core that somebody else uses as well does less of the work, and a thread that comes late, or never, holds up
    nobody. Who does what changes no bit. A step has two counters, a cache line each: chunks taken, chunks done.
    """
    for s in range(steps.shape[0]):
        address, parameters, count = steps[s, 0], steps[s, 1], steps[s, 2]
        taken = counters + COUNTERS * s
        done = taken + LINE
        chunk = _take(taken)
        while chunk < count:
            call(address, (parameters, chunk, thread))
            _take(done)
            chunk = _take(taken)
        _await(done, count)


DRIVER = [types.void(types.Array(types.int64, 2, "C"), types.intp, types.intp)]


def _run(steps, counters, threads):
    """Run each step in order, on all threads in one parallel region; on one thread, without.

    steps: int64 (count, 3), each a worker's address, that of its parameters, and chunks; counters: the address of
    COUNTERS bytes for each step.
    """
    if threads == 1:
        for s in range(steps.shape[0]):
            for chunk in range(steps[s, 2]):
                call(steps[s, 0], (steps[s, 1], chunk, 0))
    else:
        clear(counters, COUNTERS * steps.shape[0])
        for thread in prange(threads):
            _walk(steps, counters, thread)


_start = perf_counter()
drive = cache.compiled(lambda kept: njit(DRIVER, parallel=True, cache=kept)(_run))
tell(Compilation("driver.run", "", perf_counter() - _start, bool(drive.stats.cache_hits)))
