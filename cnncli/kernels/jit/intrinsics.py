"""Intrinsics for workers: indirect calls, memory copies and fills."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WORD = ir.IntType(64)
LINE = 64
"""Bytes in a cache line."""


@intrinsic
def call(typing_context, address, arguments):
    """Call a micro-kernel at `address` with a tuple of arguments, in the order of PRODUCT or its counterparts."""
    count = len(arguments)

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(ir.VoidType(), [WORD] * count)
        words = [
            context.cast(builder, builder.extract_value(values[1], i), arguments[i], types.intp) for i in range(count)
        ]
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), words)
        return context.get_dummy_value()

    return types.void(types.intp, arguments), generate


@intrinsic
def put(typing_context, address, word):
    """Write the integer `word` to `address`."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], WORD.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


@intrinsic
def copy(typing_context, out, x, size):
    """Copy `size` bytes from address `x` to address `out`."""

    def generate(context, builder, signature, arguments):
        out, x = (builder.inttoptr(address, ir.IntType(8).as_pointer()) for address in arguments[:2])
        cgutils.raw_memcpy(builder, out, x, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 3), generate


@intrinsic
def clear(typing_context, out, size):
    """Fill `size` bytes at address `out` with zeros."""

    def generate(context, builder, signature, arguments):
        cgutils.memset(builder, builder.inttoptr(arguments[0], ir.IntType(8).as_pointer()), arguments[1], 0)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 2), generate


@intrinsic(prefer_literal=True)
def fetch(typing_context, address, size, to_write):
    """Fetch `size` bytes at `address` into the L2 cache while other instructions run; `to_write`: 1 or 0, a constant.

    The memory need not exist.
    """

    def generate(context, builder, signature, arguments):
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        how = number(to_write.literal_value), number(2), number(1)  # 2: into L2, 1: data
        with cgutils.for_range_slice(builder, WORD(0), arguments[1], WORD(LINE), WORD) as (place, _):
            builder.call(prefetch, [builder.inttoptr(builder.add(arguments[0], place), pointer), *how])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, to_write), generate


@intrinsic
def stream(typing_context, address, size):
    """Read `size` bytes at `address` into the caches, in order: the hardware then fetches ahead.

    For memory that is read in steps of many bytes afterwards, which it does not follow. `fetch` is no substitute: a
    processor drops most of its instructions if they are many.
    """

    def generate(context, builder, signature, arguments):
        pointer = ir.IntType(8).as_pointer()
        with cgutils.for_range_slice(builder, WORD(0), arguments[1], WORD(LINE), WORD) as (place, _):
            # Atomic, because LLVM removes other loads that nobody uses; the instruction is an ordinary one.
            builder.load_atomic(builder.inttoptr(builder.add(arguments[0], place), pointer), "monotonic", 1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate
