"""Conversions for products of bfloat16: rounding to it, and making the pairs that products multiply."""

from collections.abc import Callable, Iterator

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.gemm.emitter import WORD, Emitter, splat
from cnncli.kernels.vector.lanes import Vector

NARROW = ("out", "out_row", "x", "x_row", "rows", "columns")
PAIRS = ("out", "out_row", "x", "x_row", "partner", "rows", "columns")
HALF, INT, FLOAT = ir.IntType(16), ir.IntType(32), ir.FloatType()


def narrow(emit: Emitter) -> None:
    """out[r, c] = x[r, c], rounded from float32 to bfloat16; strides in bytes."""
    builder, p = emit.function("narrow", NARROW)
    for lanes, out, x in _pieces(emit, builder, p, (2, 4)):
        _store(builder, _rounded(builder, x, lanes), out)
    builder.ret_void()


def pairs(emit: Emitter) -> None:
    """Emit `pairs`, of float32 numbers, which are rounded, and `interleave`, of bfloat16 numbers.

    out[r, c], 32 bits, is the pair of x[r, c] and the number `partner` bytes after it; x[r, c] and 0 if `partner` is 0.
    """
    _pairs(emit, "pairs", 4, _rounded)
    _pairs(emit, "interleave", 2, lambda at, x, lanes: _load(at, x, HALF, lanes))


def _pairs(emit: Emitter, name: str, item: int, number: Callable[[ir.IRBuilder, ir.Value, int], ir.Value]) -> None:
    """Emit the function `name`; `number` emits loading and rounding some lanes of x, elements of `item` bytes."""
    builder, p = emit.function(name, PAIRS)
    both = builder.sext(builder.icmp_signed("!=", p["partner"], WORD(0)), INT)
    for lanes, out, x in _pieces(emit, builder, p, (4, item)):
        kind = _kind(INT, lanes)
        first, second = (builder.zext(number(builder, at, lanes), kind) for at in (x, builder.add(x, p["partner"])))
        second = builder.and_(builder.shl(second, _constant(kind, 16)), splat(builder, both, lanes))
        _store(builder, builder.or_(first, second), out)
    builder.ret_void()


def _pieces(
    emit: Emitter, builder: ir.IRBuilder, p: dict[str, ir.Value], items: tuple[int, int]
) -> Iterator[tuple[int, ir.Value, ir.Value]]:
    """Emit loops over the pieces of each row; yield a piece's lanes, and its addresses in out and x, of such `items`.

    What remains of a row after whole vectors is taken in halves of vectors, their halves, and so on.
    """

    def at(row: ir.Value, column: ir.Value) -> list[ir.Value]:
        starts = (builder.add(p[name], builder.mul(row, p[f"{name}_row"])) for name in ("out", "x"))
        return [builder.add(start, builder.mul(column, WORD(item))) for start, item in zip(starts, items, strict=True)]

    whole = builder.sdiv(p["columns"], WORD(emit.lanes))
    with cgutils.for_range(builder, p["rows"], intp=WORD) as down:
        with cgutils.for_range(builder, whole, intp=WORD) as across:
            out, x = at(down.index, builder.mul(across.index, WORD(emit.lanes)))
            yield emit.lanes, out, x
        lanes = emit.lanes // 2
        while lanes:
            there = builder.icmp_signed("!=", builder.and_(p["columns"], WORD(lanes)), WORD(0))
            with builder.if_then(there):
                out, x = at(down.index, builder.and_(p["columns"], WORD(-2 * lanes)))
                yield lanes, out, x
            lanes //= 2


def _rounded(builder: ir.IRBuilder, address: ir.Value, lanes: int) -> ir.Value:
    """Load float32 numbers and round them."""
    return Vector(builder, _load(builder, address, FLOAT, lanes)).bfloat16().value


def _kind(scalar: ir.Type, lanes: int) -> ir.Type:
    return scalar if lanes == 1 else ir.VectorType(scalar, lanes)


def _constant(kind: ir.Type, number: int) -> ir.Constant:
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


def _load(builder: ir.IRBuilder, address: ir.Value, scalar: ir.Type, lanes: int) -> ir.Value:
    place = builder.inttoptr(address, _kind(scalar, lanes).as_pointer())
    return builder.load(place, align=2 if scalar == HALF else 4)


def _store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=2)
