"""The instructions of tiles in software, to run products on tiles on any processor.

Sums have the bits that Intel's manual gives `tdpbf16ps` (Software Developer's Manual, volume 2): the products of the
low numbers of all pairs are summed from zero, in order, those of the high numbers apart from them, each with one
rounding; then both sums together are added to the tile's. Denormal numbers count as zero, also those between.
"""

from contextlib import contextmanager

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.gemm.emitter import WORD
from cnncli.kernels.gemm.tiles import SIZE, Tiles
from cnncli.kernels.jit.target import multiply_add

INT, FLOAT = ir.IntType(32), ir.FloatType()


class Emulated(Tiles):
    """Eight tiles in memory, as full of numbers as they were left; `left` of them have fewer rows."""

    def __init__(self, emit):
        super().__init__(emit)
        self.tiles = ir.GlobalVariable(emit.module, ir.ArrayType(ir.ArrayType(INT, SIZE * SIZE), 8), "tiles")
        self.tiles.initializer, self.tiles.linkage = ir.Constant(self.tiles.value_type, None), "internal"
        self.rows = ir.GlobalVariable(emit.module, WORD, "tile_rows")
        self.rows.initializer, self.rows.linkage = WORD(0), "internal"

    @contextmanager
    def configured(self, builder, rows):
        builder.store(rows, self.rows)
        yield
        builder.store(WORD(0), self.rows)

    def _cell(self, builder, tile, row, column, kind=INT):
        place = builder.add(builder.mul(row, WORD(SIZE)), column)
        return builder.bitcast(builder.gep(self.tiles, [WORD(0), WORD(tile), place]), kind.as_pointer())

    @contextmanager
    def _cells(self, builder, rows):
        with (
            cgutils.for_range(builder, rows, intp=WORD) as down,
            cgutils.for_range(builder, WORD(SIZE), intp=WORD) as across,
        ):
            yield down.index, across.index

    def _rows(self, builder, tile):
        return WORD(SIZE) if tile > 5 else builder.load(self.rows)

    def _moved(self, builder, tile, address, row):
        """Yield pointers to each number in memory and in the tile."""
        with self._cells(builder, self._rows(builder, tile)) as (r, c):
            place = builder.add(builder.add(address, builder.mul(r, row)), builder.mul(c, WORD(4)))
            yield builder.inttoptr(place, INT.as_pointer()), self._cell(builder, tile, r, c)

    def load(self, builder, tile, address, row):
        for outside, inside in self._moved(builder, tile, address, row):
            builder.store(builder.load(outside, align=4), inside)

    def store(self, builder, tile, address, row):
        for outside, inside in self._moved(builder, tile, address, row):
            builder.store(builder.load(inside), outside, align=4)

    def multiply(self, builder, sums, left, right):
        with self._cells(builder, builder.load(self.rows)) as (r, c):
            place = self._cell(builder, sums, r, c, FLOAT)
            halves = [cgutils.alloca_once(builder, FLOAT) for _ in (0, 1)]
            for half in halves:
                builder.store(FLOAT(0), half)
            with cgutils.for_range(builder, WORD(SIZE), intp=WORD) as pair:
                a = builder.load(self._cell(builder, left, r, pair.index))
                b = builder.load(self._cell(builder, right, pair.index, c))
                for half, term in zip(halves, (_low, _high), strict=True):
                    x, y = (_flushed(builder, builder.bitcast(term(builder, pair), FLOAT)) for pair in (a, b))
                    builder.store(_flushed(builder, multiply_add(builder, x, y, builder.load(half))), half)
            total = _flushed(builder, builder.fadd(*map(builder.load, halves)))
            total = builder.fadd(_flushed(builder, builder.load(place)), total)
            builder.store(_flushed(builder, total), place)


def _low(builder, pair):
    return builder.shl(pair, INT(16))


def _high(builder, pair):
    return builder.and_(pair, INT(0xFFFF0000))


def _flushed(builder, x):
    """The number, or zero of the same sign if it is denormal."""
    bits = builder.bitcast(x, INT)
    denormal = builder.icmp_unsigned("==", builder.and_(bits, INT(0x7F800000)), INT(0))
    return builder.bitcast(builder.select(denormal, builder.and_(bits, INT(0x80000000)), bits), FLOAT)
