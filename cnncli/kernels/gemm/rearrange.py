"""Preparation of the factors of a product: zero padding of an image, and transposition."""

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.gemm.emitter import WORD, Emitter

BORDER = ("out", "x", "height", "width", "step", "pixel", "first", "rows", "left", "columns")
TRANSPOSE = ("out", "out_row", "x", "x_row", "rows", "columns")


def border(emit: Emitter) -> None:
    """Copy a part of an image, with zeros outside the image.

    The image at x is (height, width) with a stride of `step` bytes between pixels, of which `pixel` are copied; the
    part begins at row `first` and column `left`, and is written to `out` contiguously.
    """
    builder, p = emit.function("border", BORDER)

    def larger(a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.select(builder.icmp_signed(">", a, b), a, b)

    def smaller(a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.select(builder.icmp_signed("<", a, b), a, b)

    def zeros(address: ir.Value, size: ir.Value) -> None:
        cgutils.memset(builder, builder.inttoptr(address, cgutils.voidptr_t), size, 0)

    def pixels(out: ir.Value, x: ir.Value, size: ir.Value) -> None:
        out, x = (builder.inttoptr(address, cgutils.voidptr_t) for address in (out, x))
        cgutils.raw_memcpy(builder, out, x, size, 1)

    start = smaller(larger(WORD(0), builder.neg(p["left"])), p["columns"])
    stop = larger(start, smaller(p["columns"], builder.sub(p["width"], p["left"])))
    count = builder.sub(stop, start)
    line, before, inside, after = (
        builder.mul(n, p["pixel"]) for n in (p["columns"], start, count, builder.sub(p["columns"], stop))
    )
    together = builder.icmp_signed("==", p["pixel"], p["step"])
    with cgutils.for_range(builder, p["rows"], intp=WORD) as down:
        out = builder.add(p["out"], builder.mul(down.index, line))
        y = builder.add(p["first"], down.index)
        with builder.if_else(builder.icmp_unsigned("<", y, p["height"])) as (then, otherwise):
            with then:
                target = builder.add(out, before)
                zeros(out, before)
                zeros(builder.add(target, inside), after)
                place = builder.add(builder.mul(y, p["width"]), builder.add(p["left"], start))
                source = builder.add(p["x"], builder.mul(place, p["step"]))
                with builder.if_else(together) as (whole_lines, apart):
                    with whole_lines:
                        pixels(target, source, inside)
                    with apart, cgutils.for_range(builder, count, intp=WORD) as across:
                        pixel = builder.add(target, builder.mul(across.index, p["pixel"]))
                        pixels(pixel, builder.add(source, builder.mul(across.index, p["step"])), p["pixel"])
            with otherwise:
                zeros(out, line)
    builder.ret_void()


def transpose(emit: Emitter) -> None:
    """out[r, c] = x[c, r] for r < rows and c < columns; `out_row` and `x_row` are row strides in bytes."""
    builder, p = emit.function("transpose", TRANSPOSE)
    lanes, item = WORD(emit.lanes), WORD(emit.item)
    row_blocks, column_blocks = builder.sdiv(p["rows"], lanes), builder.sdiv(p["columns"], lanes)
    whole_rows, whole_columns = builder.mul(row_blocks, lanes), builder.mul(column_blocks, lanes)

    def at(array: str, row: ir.Value, column: ir.Value) -> ir.Value:
        place = builder.add(p[array], builder.mul(row, p[f"{array}_row"]))
        return builder.add(place, builder.mul(column, item))

    with (
        cgutils.for_range(builder, row_blocks, intp=WORD) as down,
        cgutils.for_range(builder, column_blocks, intp=WORD) as across,
    ):
        r, c = builder.mul(down.index, lanes), builder.mul(across.index, lanes)
        square = [emit.load(builder, at("x", builder.add(c, WORD(i)), r), emit.vector) for i in range(emit.lanes)]
        for i, vector in enumerate(_transposed(emit, builder, square)):
            emit.store(builder, vector, at("out", builder.add(r, WORD(i)), c))
    for first_row, first_column, last_column in (
        (WORD(0), whole_columns, p["columns"]),
        (whole_rows, WORD(0), whole_columns),
    ):
        with (
            cgutils.for_range(builder, p["rows"], start=first_row, intp=WORD) as down,
            cgutils.for_range(builder, last_column, start=first_column, intp=WORD) as across,
        ):
            value = emit.load(builder, at("x", across.index, down.index), emit.scalar)
            emit.store(builder, value, at("out", down.index, across.index))
    builder.ret_void()


def _transposed(emit: Emitter, builder: ir.IRBuilder, square: list[ir.Value]) -> list[ir.Value]:
    """Transpose a square of vectors by swapping row and lane index bit by bit (Eklundh 1972)."""
    lanes, half = range(emit.lanes), 1
    while half < emit.lanes:
        upper = [lane if not lane & half else emit.lanes + lane - half for lane in lanes]
        lower = [lane + half if not lane & half else emit.lanes + lane for lane in lanes]
        kind = ir.VectorType(ir.IntType(32), emit.lanes)
        for i in lanes:
            if not i & half:
                pair = square[i], square[i + half]
                square[i] = builder.shuffle_vector(*pair, ir.Constant(kind, upper))
                square[i + half] = builder.shuffle_vector(*pair, ir.Constant(kind, lower))
        half *= 2
    return square
