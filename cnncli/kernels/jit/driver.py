"""The one parallel driver: threads that walk a table of passes together.

A pass is one step, or several that take each portion of the batch through all of them while it is in the cache.

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

from cnncli.errors import UsageError
from cnncli.kernels.jit import cache
from cnncli.kernels.jit.compilations import Compilation, tell
from cnncli.kernels.jit.intrinsics import call, clear, put

if numba.config.DISABLE_JIT:
    raise UsageError("NUMBA_DISABLE_JIT is set, and without Numba's compiler nothing can be computed: unset it")

# A thread that waits by spinning takes the core from the one it waits for, wherever another process runs, too: training
# has been seen to be ten times slower beside one busy process. Read by libgomp when the first program runs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# omp enters a parallel region in microseconds, workqueue in a hundred of them.
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

LINE = 64
"""Bytes of a cache line: what two threads write at one time lies apart by so much."""
COUNTERS = 2 * LINE
"""Bytes of a pass's counters, a cache line each: chunks taken, chunks done."""
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
def _do(steps, passes, moves, number, chunk, thread):
    """One chunk of a pass."""
    first, last, rows = passes[number, 0], passes[number, 1], passes[number, 2]
    lane, portion = passes[number, 3], passes[number, 4]
    first_move, last_move = passes[number, 6], passes[number, 7]
    if lane == 0:
        worker, parameters, units = steps[first, 0], steps[first, 1], steps[first, 2]
        grain, strands = steps[first, 3], steps[first, 4]
        start, skip = chunk // strands * grain, chunk % strands * units
        call(worker, (parameters, skip + start, skip + min(units, start + grain), thread))
        return
    stop = min(rows, (chunk + 1) * lane)
    for row in range(chunk * lane, stop, portion):
        end = min(stop, row + portion)
        for m in range(first_move, last_move):
            word, start = moves[m, 0] + thread * moves[m, 1], moves[m, 2] + thread * moves[m, 3]
            put(word, start - row * moves[m, 4])
        for s in range(first, last):
            worker, parameters, units = steps[s, 0], steps[s, 1] + thread * steps[s, 6], steps[s, 2]
            strands, units_of_row = steps[s, 4], steps[s, 5]
            for strand in range(strands):
                skip = strand * units
                call(worker, (parameters, skip + row * units_of_row, skip + end * units_of_row, thread))


@njit
def _walk(steps, passes, moves, counters, thread):
    """Take chunks of each pass as long as there are any, and wait until those of the others are done, too.

    So a core that somebody else uses as well does less of the work, and a thread that comes late, or never, holds up
    nobody. Who does what changes no bit. A pass has two counters, a cache line each: chunks taken, chunks done.
    """
    for number in range(passes.shape[0]):
        count = passes[number, 5]
        taken = counters + COUNTERS * number
        done = taken + LINE
        chunk = _take(taken)
        while chunk < count:
            _do(steps, passes, moves, number, chunk, thread)
            _take(done)
            chunk = _take(taken)
        _await(done, count)


TABLE = types.Array(types.int64, 2, "C")
DRIVER = [types.void(TABLE, TABLE, TABLE, types.intp, types.intp)]


def _run(steps, passes, moves, counters, threads):
    """Run each pass in order, on all threads in one parallel region; on one thread, without.

    steps: int64 (count, 7), each a worker's address, that of its parameters, units of a strand, units of a chunk,
    strands, units of a row of the batch, and bytes from one thread's parameters to the next one's (0: they share them).
    passes: int64 (count, 8), each the first step, the last + 1, rows, rows of a lane (0: a pass of one step, in chunks
    of its own), rows of a portion, chunks, the first move, and the last + 1. moves: int64 (count, 5), each the address
    of a word of the first thread's parameters, bytes to the next thread's, what the word is for rows from 0 on, how
    much more for the next thread, and how much less for each row. counters: the address of COUNTERS bytes a pass.
    """
    if threads == 1:
        for number in range(passes.shape[0]):
            for chunk in range(passes[number, 5]):
                _do(steps, passes, moves, number, chunk, 0)
    else:
        clear(counters, COUNTERS * passes.shape[0])
        for thread in prange(threads):
            _walk(steps, passes, moves, counters, thread)


_start = perf_counter()
NAME = "driver.run"
drive = cache.compiled(__name__, NAME, lambda kept: njit(DRIVER, parallel=True, cache=kept)(_run))
tell(Compilation(NAME, "", perf_counter() - _start, bool(drive.stats.cache_hits)))
