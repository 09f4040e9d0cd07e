"""The instructions of tiles in software, to run products on tiles on any processor."""

from contextlib import contextmanager

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.gemm.emitter import WORD
from cnncli.kernels.gemm.tiles import SIZE, Tiles

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
        with (
            self._cells(builder, builder.load(self.rows)) as (r, c),
            cgutils.for_range(builder, WORD(SIZE), intp=WORD) as pair,
        ):
            a = builder.load(self._cell(builder, left, r, pair.index))
            b = builder.load(self._cell(builder, right, pair.index, c))
            place = self._cell(builder, sums, r, c, FLOAT)
            total = builder.load(place)
            for term in (lambda x: builder.shl(x, INT(16)), lambda x: builder.and_(x, INT(0xFFFF0000))):
                product = builder.fmul(builder.bitcast(term(a), FLOAT), builder.bitcast(term(b), FLOAT))
                total = builder.fadd(total, product)
            builder.store(total, place)
