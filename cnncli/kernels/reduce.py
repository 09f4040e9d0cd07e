"""Sums in a fixed order: the chain that convolution and dense layers are made of, and sums over a batch.

A sum over the batch is split into at most 8 partial sums, a pure function of the shape and the batch size, which are
then added in order: the bits do not depend on the number of threads.
"""

from math import prod

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnncli.kernels.runtime import Scratch, Step, Tensor, block, chunks, fields, span, view, worker

PARTIALS = 8
ITEM = {"float32": 4, "float64": 8}
TILE = 64
"""Channels in a chunk of `sum_rows`: whole cache lines."""

STRIPS = ((16, 4), (16, 2), (16, 1), (4, 1), (1, 1))
"""Columns whose sums stay in registers: (lanes, vectors), the widest first."""

PARTIAL_SUMS = block("partials out count size")
ROWS = block("x out images rows channels partials tiles")


def sum_rows(x: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
    """out[c] = Σ x[..., c], the gradient of a bias. x: real (N, ..., C); out: (C,)."""
    batch, channels = x.shape[0], x.shape[-1]
    partials, tiles = min(PARTIALS, batch), -(-channels // TILE)
    target, after = partial_sums(out, partials, scratch)
    step = rows_worker.step(
        x.dtype,
        partials * tiles,
        x=x.address,
        out=target,
        images=batch,
        rows=prod(x.shape[1:-1]),
        channels=channels,
        partials=partials,
        tiles=tiles,
    )
    return [step, *after]


def partial_sums(out: Tensor, partials: int, scratch: Scratch) -> tuple[int, list[Step]]:
    """Where `partials` chunks put their sums, one array like `out` after the other, and the steps that add them up.

    A single partial sum is `out` itself and needs no step.
    """
    if partials == 1:
        return out.address, []
    place = scratch.take(partials * out.size * ITEM[out.dtype])
    step = partial_sums_worker.step(
        out.dtype, chunks(out.size), partials=place, out=out.address, count=partials, size=out.size
    )
    return place, [step]


@worker(PARTIAL_SUMS)
def partial_sums_worker(real):  # type: ignore[no-untyped-def]
    """out = ((p0 + p1) + p2) + …, elementwise."""

    def add(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, PARTIAL_SUMS)
        partials, out = view(p.partials, (p.count, p.size), real), view(p.out, p.size, real)
        start, stop = span(chunk, p.size)
        for i in range(start, stop):
            out[i] = partials[0, i]
        for k in range(1, p.count):
            for i in range(start, stop):
                out[i] += partials[k, i]

    return add


@worker(ROWS)
def rows_worker(real):  # type: ignore[no-untyped-def]
    """One partial sum of one tile of channels."""

    def rows(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, ROWS)
        part, first = chunk // p.tiles, chunk % p.tiles * TILE
        last = min(p.channels, first + TILE)
        x = view(p.x, (p.images * p.rows, p.channels), real)
        out = view(p.out, (p.partials, p.channels), real)[part]
        for c in range(first, last):
            out[c] = 0
        for r in range(part * p.images // p.partials * p.rows, (part + 1) * p.images // p.partials * p.rows):
            for c in range(first, last):
                out[c] += x[r, c]

    return rows


@intrinsic
def accumulate(typing_context, out, width, x, x_step, rows, rows_step, length, real):  # type: ignore[no-untyped-def]
    """out[f] = fma(x[k], rows[k, f], out[f]) for k = 0 … length-1 in this order and every f < width.

    out, x, rows: addresses; x[k] lies `x_step` bytes after x[k-1], row k `rows_step` bytes after row k-1. Vectors lie
    along f, so an element's chain is the same in whatever strip it lies. Written as LLVM vectors because they keep the
    sums in registers, and because Numba would check for each short run whether the arrays overlap.
    """
    item, word = real.instance_type.bitwidth // 8, ir.IntType(64)
    scalar = ir.FloatType() if item == 4 else ir.DoubleType()

    def strip(builder: ir.IRBuilder, lanes: int, vectors: int, places: tuple[ir.Value, ...], length: ir.Value) -> None:
        out, x, x_step, rows, rows_step = places
        kind = scalar if lanes == 1 else ir.VectorType(scalar, lanes)
        name = f"llvm.fma.{'' if lanes == 1 else f'v{lanes}'}f{item * 8}"
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        offsets = [word(v * lanes * item) for v in range(vectors)]

        def at(address: ir.Value, offset: ir.Value, kind: ir.Type = kind) -> ir.Value:
            return builder.inttoptr(builder.add(address, offset), kind.as_pointer())

        totals = [cgutils.alloca_once_value(builder, builder.load(at(out, offset), align=item)) for offset in offsets]
        with cgutils.for_range(builder, length, intp=word) as loop:
            factor = builder.load(at(x, builder.mul(loop.index, x_step), scalar), align=item)
            if lanes > 1:
                one = builder.insert_element(ir.Constant(kind, ir.Undefined), factor, ir.IntType(32)(0))
                everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
                factor = builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), everywhere)
            row = builder.add(rows, builder.mul(loop.index, rows_step))
            for total, offset in zip(totals, offsets, strict=True):
                values = builder.load(at(row, offset), align=item)
                builder.store(builder.call(fma, [factor, values, builder.load(total)]), total)
        for total, offset in zip(totals, offsets, strict=True):
            builder.store(builder.load(total), at(out, offset), align=item)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        out, width, x, x_step, rows, rows_step, length, _ = arguments
        for lanes, vectors in STRIPS:
            size = lanes * vectors
            count = builder.sdiv(width, word(size))
            with cgutils.for_range(builder, count, intp=word) as loop:
                skip = builder.mul(loop.index, word(size * item))
                places = builder.add(out, skip), x, x_step, builder.add(rows, skip), rows_step
                strip(builder, lanes, vectors, places, length)
            done = builder.mul(count, word(size))
            skip = builder.mul(done, word(item))
            out, rows, width = builder.add(out, skip), builder.add(rows, skip), builder.sub(width, done)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 7, real), generate


@intrinsic
def start(typing_context, out, count, size, bias):  # type: ignore[no-untyped-def]
    """Fill `count` rows of `size` bytes at address `out` with the row at address `bias`, or with zeros if that is 0."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        out, count, size, bias = arguments
        byte = ir.IntType(8).as_pointer()
        with builder.if_else(cgutils.is_not_null(builder, bias)) as (given, zero):
            with given, cgutils.for_range(builder, count) as loop:
                place = builder.add(out, builder.mul(loop.index, size))
                cgutils.raw_memcpy(builder, builder.inttoptr(place, byte), builder.inttoptr(bias, byte), size, 1)
            with zero:
                cgutils.memset(builder, builder.inttoptr(out, byte), builder.mul(count, size), 0)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate
