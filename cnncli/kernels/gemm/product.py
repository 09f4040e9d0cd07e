"""Register-blocked matrix product: a variant for each number of rows and vectors, and the loops that tile with them.

The number of sums per variant depends on the number of registers and does not affect results.
"""

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.gemm.emitter import WORD, Emitter, phi
from cnncli.kernels.jit.target import Machine

LEFT, RIGHT = ("a", "a_row", "a_step", "a_batch"), ("b", "b_row", "b_panel", "b_batch")
PRODUCT = ("c", "c_row", "init", "init_row", "rows", "columns", *LEFT, *RIGHT, "k", "batch")
VARIANT = ("c", "c_row", "init", "init_row", "width", *LEFT, "b", "b_row", "b_batch", "k", "batch")


def most_rows(target: Machine, vectors: int) -> int:
    """Return the maximum rows of a variant: sums, `vectors` of b and one element of a must fit in registers."""
    if target.registers == 32:
        return 14
    return 12 // vectors


def variants(emit: Emitter) -> list[ir.Function]:
    """Emit `variant` for 1 … `most_rows` rows of one vector, then of two."""
    return [
        variant(emit, vectors, rows) for vectors in (1, 2) for rows in range(1, most_rows(emit.target, vectors) + 1)
    ]


def variant(emit: Emitter, vectors: int, rows: int) -> ir.Function:
    """Emit `product` for exactly `rows` rows and at most `vectors` vectors of columns, with sums in registers.

    All lanes of b are read; only `width` columns of init and c are accessed. k and batch are at least 1.
    """
    builder, p = emit.function(f"product_{vectors}_{rows}", VARIANT)
    tiles = [(r, v) for r in range(rows) for v in range(vectors)]

    def at(start: str, tile: tuple[int, int]) -> ir.Value:
        offset = builder.mul(p[f"{start}_row"], WORD(tile[0]))
        return builder.add(builder.add(p[start], offset), WORD(tile[1] * emit.lanes * emit.item))

    whole = builder.icmp_signed(">=", p["width"], WORD(vectors * emit.lanes))
    with builder.if_else(whole) as (then, otherwise):
        with then:
            full = [emit.load(builder, at("init", tile), emit.vector) for tile in tiles]
            full_end = builder.block
        with otherwise:
            masks = emit.masks(builder, p["width"], vectors)
            part = [emit.masked(builder, masks[tile[1]], at("init", tile), None) for tile in tiles]
            part_end = builder.block
    totals = [phi(builder, emit.vector, (a, full_end), (b, part_end)) for a, b in zip(full, part, strict=True)]

    entry, batches, steps, done, end = builder.block, *(builder.append_basic_block() for _ in range(4))
    builder.branch(batches)
    builder.position_at_end(batches)
    batch, a_batch, b_batch = (phi(builder, WORD, (v, entry)) for v in (WORD(0), p["a"], p["b"]))
    outer = [phi(builder, emit.vector, (total, entry)) for total in totals]
    builder.branch(steps)
    builder.position_at_end(steps)
    k, a, b = (phi(builder, WORD, (v, batches)) for v in (WORD(0), a_batch, b_batch))
    inner = [phi(builder, emit.vector, (total, batches)) for total in outer]
    sums: list[ir.Value] = list(inner)
    for term in emit.terms:
        columns = [
            emit.factors(builder, builder.add(b, WORD(v * emit.lanes * emit.item)), term) for v in range(vectors)
        ]
        for r in range(rows):
            value = emit.factor(builder, builder.add(a, builder.mul(p["a_row"], WORD(r))), term)
            for v in range(vectors):
                sums[r * vectors + v] = emit.fma(builder, value, columns[v], sums[r * vectors + v])
    for node, value in (
        (k, builder.add(k, WORD(1))),
        (a, builder.add(a, p["a_step"])),
        (b, builder.add(b, p["b_row"])),
        *zip(inner, sums, strict=True),
    ):
        node.add_incoming(value, steps)
    builder.cbranch(builder.icmp_signed("<", k.incomings[1][0], p["k"]), steps, done)
    builder.position_at_end(done)
    for node, value in (
        (batch, builder.add(batch, WORD(1))),
        (a_batch, builder.add(a_batch, p["a_batch"])),
        (b_batch, builder.add(b_batch, p["b_batch"])),
        *zip(outer, sums, strict=True),
    ):
        node.add_incoming(value, done)
    builder.cbranch(builder.icmp_signed("<", batch.incomings[1][0], p["batch"]), batches, end)

    builder.position_at_end(end)
    with builder.if_else(whole) as (then, otherwise):
        with then:
            for tile, total in zip(tiles, sums, strict=True):
                emit.store(builder, total, at("c", tile))
        with otherwise:
            masks = emit.masks(builder, p["width"], vectors)
            for tile, total in zip(tiles, sums, strict=True):
                emit.masked(builder, masks[tile[1]], at("c", tile), total)
    builder.ret_void()
    return builder.function


def product(emit: Emitter, name: str = "product") -> ir.Function:
    """Emit the function `name`: c = init + Σ_batch a·b for any numbers of rows and columns, at least 1 each.

    a[batch, r, k] lies at a + batch · a_batch + r · a_row + k · a_step, and b[batch, k, f] in panels of two
    vectors at b + batch · b_batch + panel · b_panel + k · b_row; whole vectors of b are read. An init address of 0
    means zeros.
    """
    each = variants(emit)
    builder, p = emit.function(name, PRODUCT)
    table = ir.GlobalVariable(emit.module, ir.ArrayType(each[0].type, len(each)), "variants")
    table.global_constant, table.linkage = True, "internal"
    table.initializer = ir.Constant(table.value_type, each)
    zeros = ir.GlobalVariable(emit.module, ir.ArrayType(emit.scalar, 2 * emit.lanes), "zeros")
    zeros.global_constant, zeros.linkage, zeros.align = True, "internal", 64
    zeros.initializer = ir.Constant(zeros.value_type, None)

    one, two = (WORD(most_rows(emit.target, vectors)) for vectors in (1, 2))
    empty = builder.icmp_signed("==", p["init"], WORD(0))
    init = builder.select(empty, builder.ptrtoint(zeros, WORD), p["init"])
    init_row = builder.select(empty, WORD(0), p["init_row"])
    panel = WORD(2 * emit.lanes)
    panels = builder.sdiv(builder.add(p["columns"], WORD(2 * emit.lanes - 1)), panel)
    with cgutils.for_range(builder, panels, intp=WORD) as across:
        left = builder.mul(across.index, panel)
        skip = builder.mul(left, WORD(emit.item))
        rest = builder.sub(p["columns"], left)
        width = builder.select(builder.icmp_signed("<", rest, panel), rest, panel)
        narrow = builder.icmp_signed("<=", width, WORD(emit.lanes))
        most, first_variant = (
            builder.select(narrow, one, two),
            builder.select(narrow, WORD(-1), WORD(one.constant - 1)),
        )
        groups = builder.sdiv(builder.sub(builder.add(p["rows"], most), WORD(1)), most)
        share, extra = builder.sdiv(p["rows"], groups), builder.srem(p["rows"], groups)
        init_panel = builder.add(init, builder.select(empty, WORD(0), skip))
        c_panel = builder.add(p["c"], skip)
        b_panel = builder.add(p["b"], builder.mul(across.index, p["b_panel"]))
        with cgutils.for_range(builder, groups, intp=WORD) as down:
            before = builder.icmp_signed("<", down.index, extra)
            rows = builder.add(share, builder.zext(before, WORD))
            first = builder.add(builder.mul(down.index, share), builder.select(before, down.index, extra))
            place = builder.gep(table, [WORD(0), builder.add(first_variant, rows)])
            arguments = {
                **p,
                "c": builder.add(c_panel, builder.mul(first, p["c_row"])),
                "init": builder.add(init_panel, builder.mul(first, init_row)),
                "init_row": init_row,
                "width": width,
                "a": builder.add(p["a"], builder.mul(first, p["a_row"])),
                "b": b_panel,
            }
            builder.call(builder.load(place), [arguments[name] for name in VARIANT])
    builder.ret_void()
    return builder.function
