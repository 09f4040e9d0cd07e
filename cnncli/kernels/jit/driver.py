"""The parallel driver: threads execute a table of passes.

A pass is one step, or several steps that are all run on each portion of the batch while it is in cache.

Numba's alias analysis in a parallel body does not cover memory accessed through addresses; the driver therefore passes
integers only.
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
from cnncli.kernels.jit.intrinsics import LINE, call, clear, put

if numba.config.DISABLE_JIT:
    raise UsageError("NUMBA_DISABLE_JIT is set, and without Numba's compiler nothing can be computed: unset it")

# A spinning thread takes CPU time from the thread it waits for if other processes are running: training was measured
# ten times slower next to one busy process. libgomp reads this when the first program runs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Except for about 10 µs: the next program often follows at once, and waking a thread takes longer than a small one.
os.environ.setdefault("GOMP_SPINCOUNT", "400")
# omp enters a parallel region within a few microseconds, workqueue needs about a hundred.
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

SHARES = 8
"""Maximum number of shares that the chunks of a pass are divided into, one for each thread or for several."""
COUNTERS = (1 + SHARES) * LINE
"""Bytes of a pass's counters, one cache line each: chunks done, chunks taken of each share."""
SPINS = 300
"""Spins of a waiting thread before it yields its core: about 15 µs."""


@intrinsic
def _add(typing_context, address, number):
    """Add `number` to the integer at `address` atomically; return what it was: no two threads get the same.

    Writes of this thread before the call are visible to threads that observe the new number with `_await`.
    """

    def generate(context, builder, signature, arguments):
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", place, arguments[1], "acq_rel")

    return types.intp(types.intp, types.intp), generate


@intrinsic
def _await(typing_context, address, count):
    """Wait until the integer at `address` is `count`: spin briefly, then yield the core repeatedly."""

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


@intrinsic
def _threads(typing_context):
    """The number of threads that Numba has for this one, by the function that its parallel regions call.

    `numba.get_num_threads` takes two microseconds in Python, and code that calls it cannot be cached.
    """

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.IntType(types.intp.bitwidth), [])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "get_num_threads"), [])

    return types.intp(), generate


def _pause(builder: ir.IRBuilder) -> None:
    """Emit the processor's spin-wait hint."""
    if platform.machine() in ("x86_64", "AMD64"):
        name, operands = "llvm.x86.sse2.pause", []
    else:
        name, operands = "llvm.aarch64.hint", [ir.IntType(32)(1)]  # yield
    kind = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)


@njit
def _do(steps, passes, moves, number, chunk, thread):
    """Run one chunk of a pass."""
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
def _walk(steps, passes, moves, counters, shares, thread):
    """Take chunks of each pass until none are left, then wait at a barrier until all chunks are done.

    A thread begins with its share of the chunks, which often read what its share of the previous pass has written.
    Taking what is left of the others' gives less work to a core shared with other processes, and a thread that starts
    late, or never, delays no other. The assignment of chunks does not affect results.
    """
    for number in range(passes.shape[0]):
        count = passes[number, 5]
        done, own = counters + (1 + shares) * LINE * number, 0
        for turn in range(shares):
            share = (thread + turn) % shares
            first, last = share * count // shares, (share + 1) * count // shares
            taken, chunk = done + (1 + share) * LINE, first
            while chunk < last:
                chunk = first + _add(taken, 1)
                if chunk < last:
                    _do(steps, passes, moves, number, chunk, thread)
                    own += 1
        if own > 0:
            _add(done, own)
        _await(done, count)


TABLE = types.Array(types.int64, 2, "C")
DRIVER = [types.void(TABLE, TABLE, TABLE, types.intp, types.intp)]


def _run(steps, passes, moves, counters, threads):
    """Run the passes in order, in one parallel region; without a parallel region on one thread.

    `threads`: the maximum number, of those that Numba has for the calling thread (asking in Python takes longer).

    steps: int64 (count, 7): worker address, parameters address, units per strand, units per chunk, strands, units per
    row of the batch, and stride in bytes between the threads' parameters (0: shared).
    passes: int64 (count, 8): first step, last step + 1, rows, rows per lane (0: a pass of one step with its own
    chunks), rows per portion, chunks, first move, last move + 1. moves: int64 (count, 5): address of a word of thread
    0's parameters, stride in bytes between threads, value of the word for row 0, increment per thread, and decrement
    per row. counters: address of COUNTERS bytes per pass.
    """
    threads = min(threads, _threads())
    if threads == 1:
        for number in range(passes.shape[0]):
            for chunk in range(passes[number, 5]):
                _do(steps, passes, moves, number, chunk, 0)
    else:
        shares = min(threads, SHARES)
        clear(counters, (1 + shares) * LINE * passes.shape[0])
        for thread in prange(threads):
            _walk(steps, passes, moves, counters, shares, thread)


_start = perf_counter()
NAME = "driver.run"
drive = cache.compiled(__name__, NAME, lambda kept: njit(DRIVER, parallel=True, cache=kept)(_run))
tell(Compilation(NAME, "", perf_counter() - _start, bool(drive.stats.cache_hits)))
