"""Products of bfloat16 on AMX tiles: blocks of up to 32 rows and 32 columns, 16 pairs a step.

Tiles take all rows, the last ones in lower tiles, and of columns and pairs what divides by 16. The rest, and left
factors whose pairs are not adjacent (those of weight gradients), are products of vectors. So the instructions that sum
an element depend on its column and the number of pairs alone, and its bits do not on how threads share rows. Tiles,
too, take denormal factors and give denormal sums as zero.

A thread configures its tiles whenever it begins a product, and releases them at the end. Linux must have permitted the
process to use tiles before (`permitted`).
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache as once

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.gemm.emitter import WORD, Emitter
from cnncli.kernels.gemm.product import PRODUCT

SIZE = 16
"""Rows of a tile, and 32-bit numbers in each of them."""
ROW = 4 * SIZE
HEAD = bytes([1, *[0] * 15, *[ROW, 0] * 8, *[0] * 16])
"""A tile configuration: palette 1 and the bytes in a row of eight tiles, 16 bits each; the rows of each follow."""
SUMS, LEFT, RIGHT = (0, 1, 2, 3), (4, 5), (6, 7)
"""The tiles of a block's sums, row by row, and of its factors."""
BLOCK = ("c", "c_row", "init", "init_row", "a", "a_row", "a_batch", "b", "b_row", "b_batch", "steps", "batch")


@once
def permitted() -> bool:
    """Ask Linux to permit this process to use tiles (arch_prctl, ARCH_REQ_XCOMP_PERM); return whether it did."""
    if not sys.platform.startswith("linux"):
        return False
    prctl, request, tile_data = 158, 0x1023, 18
    return int(ctypes.CDLL(None).syscall(prctl, request, tile_data)) == 0


class Tiles:
    """Emits the instructions of tiles, whose numbers are part of them. Addresses and strides are words, in bytes."""

    def __init__(self, emit: Emitter) -> None:
        self.emit = emit

    @contextmanager
    def configured(self, builder: ir.IRBuilder, rows: ir.Value) -> Iterator[None]:
        """Emit configuring sums and left factors of `rows` rows before the code in this context, a release after it."""
        place = cgutils.alloca_once(builder, ir.ArrayType(ir.IntType(8), 64))
        place.align = 64
        content = [ir.Constant(ir.IntType(8), byte) for byte in HEAD]
        content += [builder.trunc(rows, ir.IntType(8))] * (len(SUMS) + len(LEFT)) + [_number(SIZE)] * len(RIGHT)
        content += [_number(0)] * (64 - len(content))
        for position, byte in enumerate(content):
            builder.store(byte, builder.gep(place, [WORD(0), WORD(position)]))
        self._call(builder, "ldtilecfg", builder.bitcast(place, cgutils.voidptr_t))
        yield
        self._call(builder, "tilerelease")

    def load(self, builder: ir.IRBuilder, tile: int, address: ir.Value, row: ir.Value) -> None:
        """Load a tile from rows `row` bytes apart, possibly 0."""
        self._call(builder, "tileloadd64", _number(tile), builder.inttoptr(address, cgutils.voidptr_t), row)

    def store(self, builder: ir.IRBuilder, tile: int, address: ir.Value, row: ir.Value) -> None:
        """Store a tile in rows `row` bytes apart."""
        self._call(builder, "tilestored64", _number(tile), builder.inttoptr(address, cgutils.voidptr_t), row)

    def multiply(self, builder: ir.IRBuilder, sums: int, left: int, right: int) -> None:
        """Add the products of the pairs in a row of `left` and in a column of `right` to `sums`, 32 terms each.

        Those of the pairs' first numbers, and those of their second ones, are summed from zero and then added.
        """
        self._call(builder, "tdpbf16ps", *map(_number, (sums, left, right)))

    def _call(self, builder: ir.IRBuilder, name: str, *arguments: ir.Value) -> None:
        signature = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(cgutils.get_or_insert_function(self.emit.module, signature, f"llvm.x86.{name}"), arguments)


def _number(number: int) -> ir.Constant:
    return ir.Constant(ir.IntType(8), number)


def product(emit: Emitter, tiles: Tiles, vectors: ir.Function) -> None:
    """Emit `product` on tiles, with the function `vectors`, a product of vectors, for what tiles do not take."""
    blocks = {(down, across): block(emit, tiles, down, across) for down in (1, 2) for across in (1, 2)}
    builder, p = emit.function("product", PRODUCT)
    zeros = ir.GlobalVariable(emit.module, ir.ArrayType(WORD, 2 * ROW // 8), "zeros_of_tiles")
    zeros.global_constant, zeros.linkage, zeros.align = True, "internal", 64
    zeros.initializer = ir.Constant(zeros.value_type, None)
    tall, wide, deep = (builder.and_(p[name], WORD(-SIZE)) for name in ("rows", "columns", "k"))
    strips = (WORD(0), tall, WORD(SIZE)), (tall, *[builder.sub(p["rows"], tall)] * 2)

    def shifted(name: str, *ways: tuple[ir.Value, int | ir.Value]) -> ir.Value:
        place = p[name]
        for count, step in ways:
            place = builder.add(place, builder.mul(count, WORD(step) if isinstance(step, int) else step))
        return place

    def rest(**changed: ir.Value) -> None:
        builder.call(vectors, [{**p, **changed}[name] for name in PRODUCT])

    fits = builder.icmp_signed("==", p["a_step"], WORD(4))
    for size in (wide, deep):
        fits = builder.and_(fits, builder.icmp_signed(">", size, WORD(0)))
    with builder.if_else(fits) as (then, otherwise):
        with otherwise:
            rest()
        with then:
            begun = builder.icmp_signed("!=", p["init"], WORD(0))
            start = builder.select(begun, p["init"], builder.ptrtoint(zeros, WORD))
            start_row = builder.select(begun, p["init_row"], WORD(0))
            for first, size, rows in strips:
                with (
                    builder.if_then(builder.icmp_signed(">", size, WORD(0))),
                    tiles.configured(builder, rows),
                    _twos(builder, wide) as (left, across),
                    _twos(builder, size) as (below, down),
                ):
                    top, skip = builder.add(first, below), builder.mul(left, WORD(4))
                    arguments = {
                        **p,
                        "c": builder.add(shifted("c", (top, p["c_row"])), skip),
                        "init": builder.add(
                            builder.add(start, builder.select(begun, skip, WORD(0))), builder.mul(top, start_row)
                        ),
                        "init_row": start_row,
                        "a": shifted("a", (top, p["a_row"])),
                        "b": shifted("b", (builder.sdiv(left, WORD(2 * SIZE)), p["b_panel"])),
                        "steps": builder.sdiv(deep, WORD(SIZE)),
                    }
                    for (high, broad), function in blocks.items():
                        same = builder.and_(
                            builder.icmp_signed("==", down, WORD(high)), builder.icmp_signed("==", across, WORD(broad))
                        )
                        with builder.if_then(same):
                            builder.call(function, [arguments[name] for name in BLOCK])
            with builder.if_then(builder.icmp_signed("<", deep, p["k"])):
                rest(
                    init=p["c"],
                    init_row=p["c_row"],
                    columns=wide,
                    a=shifted("a", (deep, 4)),
                    b=shifted("b", (deep, p["b_row"])),
                    k=builder.sub(p["k"], deep),
                )
            with builder.if_then(builder.icmp_signed("<", wide, p["columns"])):
                panel, inside = builder.sdiv(wide, WORD(2 * SIZE)), builder.srem(wide, WORD(2 * SIZE))
                rest(
                    c=shifted("c", (wide, 4)),
                    init=builder.select(begun, shifted("init", (wide, 4)), WORD(0)),
                    columns=builder.sub(p["columns"], wide),
                    b=shifted("b", (panel, p["b_panel"]), (inside, 4)),
                )
    builder.ret_void()


@contextmanager
def _twos(builder: ir.IRBuilder, size: ir.Value) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Emit a loop over pairs of tiles within `size`; yields where one begins, and its tiles: the last may be one."""
    pairs = builder.sdiv(builder.add(size, WORD(2 * SIZE - 1)), WORD(2 * SIZE))
    with cgutils.for_range(builder, pairs, intp=WORD) as loop:
        start = builder.mul(loop.index, WORD(2 * SIZE))
        two = builder.icmp_signed(">=", builder.sub(size, start), WORD(2 * SIZE))
        yield start, builder.select(two, WORD(2), WORD(1))


def block(emit: Emitter, tiles: Tiles, down: int, across: int) -> ir.Function:
    """Emit the product of `down` by `across` tiles, with sums in tiles."""
    builder, p = emit.function(f"block_{down}_{across}", BLOCK)
    cells = [(r, v) for r in range(down) for v in range(across)]

    def at(start: str, r: int, v: int) -> ir.Value:
        return builder.add(builder.add(p[start], builder.mul(p[f"{start}_row"], WORD(SIZE * r))), WORD(ROW * v))

    def at_sums(start: str, r: int, v: int) -> tuple[int, ir.Value, ir.Value]:
        return SUMS[2 * r + v], at(start, r, v), p[f"{start}_row"]

    for cell in cells:
        tiles.load(builder, *at_sums("init", *cell))
    with (
        cgutils.for_range(builder, p["batch"], intp=WORD) as batch,
        cgutils.for_range(builder, p["steps"], intp=WORD) as step,
    ):
        a = builder.add(builder.mul(batch.index, p["a_batch"]), builder.mul(step.index, WORD(ROW)))
        b = builder.mul(step.index, builder.mul(p["b_row"], WORD(SIZE)))
        b = builder.add(b, builder.mul(batch.index, p["b_batch"]))
        for v in range(across):
            tiles.load(builder, RIGHT[v], builder.add(at("b", 0, v), b), p["b_row"])
        for r in range(down):
            tiles.load(builder, LEFT[r], builder.add(at("a", r, 0), a), p["a_row"])
            for v in range(across):
                tiles.multiply(builder, SUMS[2 * r + v], LEFT[r], RIGHT[v])
    for cell in cells:
        tiles.store(builder, *at_sums("c", *cell))
    builder.ret_void()
    return builder.function
