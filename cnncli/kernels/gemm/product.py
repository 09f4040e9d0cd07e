"""Register-blocked matrix product: a variant for each number of rows and vectors, and the loops that tile with them.

The number of sums per variant depends on the number of registers and does not affect results.
"""

from collections.abc import Callable, Sequence
from math import inf

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.gemm.emitter import WORD, Emitter, merged, phi, splat
from cnncli.kernels.jit.target import Machine

LEFT, RIGHT = ("a", "a_row", "a_step", "a_batch"), ("b", "b_row", "b_panel", "b_batch")
PRODUCT = ("c", "c_row", "init", "init_row", "rows", "columns", *LEFT, *RIGHT, "k", "batch")
LIMITED = (*PRODUCT, "limits")
VARIANT = ("c", "c_row", "init", "init_row", "width", *LEFT, "b", "b_row", "b_batch", "k", "batch", "limits")

SHORT = 32
"""Terms up to which tiles of one vector are faster than of two, in a single batch: fewer sums are stored at a time."""


def most_rows(target: Machine, vectors: int) -> int:
    """Return the maximum rows of a variant: sums, `vectors` of b and one element of a must fit in registers."""
    if target.registers == 32:
        return 14
    return 12 // vectors


def shapes(emit: Emitter) -> list[tuple[int, ...]]:
    """Return the lanes of the vectors of a variant: one, two and, where it is faster than two, one and a half."""
    lanes = emit.lanes
    return [(lanes,), (lanes, lanes), *([(lanes, lanes // 2)] if emit.halves else [])]


def variants(emit: Emitter) -> list[ir.Function]:
    """Emit `variant` for 1 … `most_rows` rows of each shape."""
    return [
        variant(emit, shape, rows)
        for shape in shapes(emit)
        for rows in range(1, most_rows(emit.target, len(shape)) + 1)
    ]


def variant(emit: Emitter, shape: tuple[int, ...], rows: int) -> ir.Function:
    """Emit `product` for exactly `rows` rows and at most as many columns as `shape` has lanes, with sums in registers.

    Whole vectors of b are read; only `width` columns of init and c are accessed. k and batch are at least 1. `limits`:
    the address of the least and the greatest element of c, or 0. A row is stored as soon as its last terms are added:
    if all were at the end, the next product would have to wait for them. It would also have to wait for lines of c that
    are not in the cache, so those of the next product are fetched meanwhile.
    """
    builder, p = emit.function(f"product_{sum(shape)}_{rows}", VARIANT)
    tiles = [(r, v) for r in range(rows) for v in range(len(shape))]
    kinds = [ir.VectorType(emit.scalar, shape[v]) for _, v in tiles]

    def at(start: str, tile: tuple[int, int]) -> ir.Value:
        offset = builder.mul(p[f"{start}_row"], WORD(tile[0]))
        return builder.add(builder.add(p[start], offset), WORD(tile[1] * emit.lanes * emit.item))

    below = builder.mul(p["c_row"], WORD(rows))
    for tile in tiles:
        emit.fetch(builder, builder.add(at("c", tile), below))

    def part(vector: ir.Value, lanes: int) -> ir.Value:
        return vector if lanes == emit.lanes else lowest(builder, vector, lanes)

    def masks() -> list[ir.Value]:
        each = emit.masks(builder, p["width"], len(shape))
        return [part(mask, lanes) for mask, lanes in zip(each, shape, strict=True)]

    def add(a: ir.Value, b: ir.Value, sums: Sequence[ir.Value], after: Callable[[int, list[ir.Value]], None]) -> None:
        """Add the terms of a step to the sums of each row in turn, with which `after` is called."""
        totals = list(sums)
        for term in emit.terms:
            places = [builder.add(b, WORD(v * emit.lanes * emit.item)) for v in range(len(shape))]
            columns = [
                part(emit.factors(builder, place, term), lanes) for place, lanes in zip(places, shape, strict=True)
            ]
            for r in range(rows):
                value = emit.factor(builder, builder.add(a, builder.mul(p["a_row"], WORD(r))), term)
                if shape[-1] < emit.lanes:  # or LLVM would broadcast it once more, for half a vector
                    kind = ir.FunctionType(value.type, [value.type])
                    value = builder.asm(kind, "", "=v,0", [value], side_effect=False)
                for place, (column, lanes) in enumerate(zip(columns, shape, strict=True), r * len(shape)):
                    totals[place] = emit.fma(builder, part(value, lanes), column, totals[place])
                if term == emit.terms[-1]:
                    after(r, totals[r * len(shape) : (r + 1) * len(shape)])

    whole = builder.icmp_signed(">=", p["width"], WORD(sum(shape)))
    with builder.if_else(whole) as (then, otherwise):
        with then:
            full = [emit.load(builder, at("init", tile), kind) for tile, kind in zip(tiles, kinds, strict=True)]
            full_end = builder.block
        with otherwise:
            first = masks()
            some = [emit.masked(builder, first[v], at("init", (r, v)), None) for r, v in tiles]
            some_end = builder.block
    totals = [merged(builder, (a, full_end), (b, some_end)) for a, b in zip(full, some, strict=True)]

    # All steps but the last one of the last batch, which the end adds.
    entry, batches, steps, done, end = builder.block, *(builder.append_basic_block() for _ in range(4))
    builder.branch(batches)
    builder.position_at_end(batches)
    batch, a_batch, b_batch = (phi(builder, WORD, (v, entry)) for v in (WORD(0), p["a"], p["b"]))
    outer = [phi(builder, total.type, (total, entry)) for total in totals]
    next_batch = builder.add(batch, WORD(1))
    last = builder.icmp_signed("==", next_batch, p["batch"])
    count = builder.sub(p["k"], builder.zext(last, WORD))
    builder.cbranch(builder.icmp_signed(">", count, WORD(0)), steps, done)
    builder.position_at_end(steps)
    k, a, b = (phi(builder, WORD, (v, batches)) for v in (WORD(0), a_batch, b_batch))
    inner = [phi(builder, total.type, (total, batches)) for total in outer]
    sums: list[ir.Value] = []
    add(a, b, inner, lambda r, row: sums.extend(row))
    next_k, next_a, next_b = builder.add(k, WORD(1)), builder.add(a, p["a_step"]), builder.add(b, p["b_row"])
    for node, value in zip((k, a, b, *inner), (next_k, next_a, next_b, *sums), strict=True):
        node.add_incoming(value, steps)
    builder.cbranch(builder.icmp_signed("<", next_k, count), steps, done)
    builder.position_at_end(done)
    a, b, *totals = (
        merged(builder, (before, batches), (after, steps))
        for before, after in zip((a_batch, b_batch, *outer), (next_a, next_b, *sums), strict=True)
    )
    further = next_batch, builder.add(a_batch, p["a_batch"]), builder.add(b_batch, p["b_batch"]), *totals
    for node, value in zip((batch, a_batch, b_batch, *outer), further, strict=True):
        node.add_incoming(value, done)
    builder.cbranch(last, end, batches)

    builder.position_at_end(end)
    unlimited = builder.icmp_signed("==", p["limits"], WORD(0))
    none = constant(emit, builder, "unlimited", [-inf, inf])

    def finish(limits: ir.Value | None, masks: Sequence[ir.Value] | None) -> None:
        """Add the last step and store each row, within limits and masks if there are any."""
        low, high = bounds(emit, builder, limits) if limits is not None else (None, None)

        def store(r: int, row: Sequence[ir.Value]) -> None:
            for v, total in enumerate(row):
                value = total if low is None else within(builder, total, low, high)
                if masks is None:
                    emit.store(builder, value, at("c", (r, v)))
                else:
                    emit.masked(builder, masks[v], at("c", (r, v)), value)

        add(a, b, totals, store)

    with builder.if_else(builder.and_(whole, unlimited)) as (then, otherwise):
        with then:
            finish(None, None)
        with otherwise:
            limits = builder.select(unlimited, none, p["limits"])
            if emit.target.width == 64:  # masked stores are as fast as others
                finish(limits, masks())
            else:
                with builder.if_else(whole) as (inside, part_of):
                    with inside:
                        finish(limits, None)
                    with part_of:
                        finish(limits, masks())
    builder.ret_void()
    return builder.function


def lowest(builder: ir.IRBuilder, vector: ir.Value, lanes: int) -> ir.Value:
    """Return the first `lanes` lanes of a vector."""
    order = ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(lanes)))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), order)


def bounds(emit: Emitter, builder: ir.IRBuilder, address: ir.Value) -> list[ir.Value]:
    """Load the least and the greatest element, each for all lanes."""
    places = address, builder.add(address, WORD(emit.item))
    return [splat(builder, emit.load(builder, place, emit.scalar), emit.lanes) for place in places]


def within(builder: ir.IRBuilder, total: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
    """Limit a sum; NaN stays NaN."""
    if total.type != low.type:
        low, high = (lowest(builder, bound, total.type.count) for bound in (low, high))
    least = builder.select(builder.fcmp_ordered(">", low, total), low, total)
    most = builder.select(builder.fcmp_ordered("<", high, least), high, least)
    return builder.fadd(most, ir.Constant(total.type, [0.0] * total.type.count))


def constant(emit: Emitter, builder: ir.IRBuilder, name: str, numbers: Sequence[float]) -> ir.Value:
    """Return the address of an array of constants."""
    if name not in emit.module.globals:
        array = ir.GlobalVariable(emit.module, ir.ArrayType(emit.scalar, len(numbers)), name)
        array.global_constant, array.linkage, array.align = True, "internal", 64
        array.initializer = ir.Constant(array.value_type, list(numbers))
    return builder.ptrtoint(emit.module.globals[name], WORD)


def product(emit: Emitter, name: str = "product") -> ir.Function:
    """Emit the function `name`: c = init + Σ_batch a·b for any numbers of rows and columns, at least 1 each.

    a[batch, r, k] lies at a + batch · a_batch + r · a_row + k · a_step, and b[batch, k, f] in panels of two
    vectors at b + batch · b_batch + panel · b_panel + k · b_row; whole vectors of b are read. An init address of 0
    means zeros. Emit `limited`, too: the same, then the least and the greatest element of c, at the address `limits`.
    """
    each = variants(emit)
    _tiled(emit, "limited", LIMITED, each)
    return _tiled(emit, name, PRODUCT, each)


def _tiled(emit: Emitter, name: str, names: tuple[str, ...], each: list[ir.Function]) -> ir.Function:
    """Emit the loops of `product` over its variants."""
    builder, p = emit.function(name, names)
    p = {"limits": WORD(0), **p}
    table = ir.GlobalVariable(emit.module, ir.ArrayType(each[0].type, len(each)), f"variants_of_{name}")
    table.global_constant, table.linkage = True, "internal"
    table.initializer = ir.Constant(table.value_type, each)
    zeros = constant(emit, builder, "zeros", [0.0] * 2 * emit.lanes)

    one, two = (WORD(most_rows(emit.target, vectors)) for vectors in (1, 2))
    empty = builder.icmp_signed("==", p["init"], WORD(0))
    init = builder.select(empty, zeros, p["init"])
    init_row = builder.select(empty, WORD(0), p["init_row"])
    panel = tile = WORD(2 * emit.lanes)
    if emit.halves:
        once = builder.icmp_signed("==", p["batch"], WORD(1))
        short = builder.and_(once, builder.icmp_signed("<=", p["k"], WORD(SHORT)))
        tile = builder.select(short, WORD(emit.lanes), panel)
    tiles = builder.sdiv(builder.sub(builder.add(p["columns"], tile), WORD(1)), tile)
    with cgutils.for_range(builder, tiles, intp=WORD) as across:
        left = builder.mul(across.index, tile)
        skip = builder.mul(left, WORD(emit.item))
        rest = builder.sub(p["columns"], left)
        width = builder.select(builder.icmp_signed("<", rest, tile), rest, tile)
        narrow = builder.icmp_signed("<=", width, WORD(emit.lanes))
        first_variant = WORD(one.constant - 1)
        if emit.halves:
            half = builder.icmp_signed("<=", width, WORD(emit.lanes * 3 // 2))
            first_variant = builder.select(half, WORD(one.constant + two.constant - 1), first_variant)
        most, first_variant = builder.select(narrow, one, two), builder.select(narrow, WORD(-1), first_variant)
        groups = builder.sdiv(builder.sub(builder.add(p["rows"], most), WORD(1)), most)
        share, extra = builder.sdiv(p["rows"], groups), builder.srem(p["rows"], groups)
        init_panel = builder.add(init, builder.select(empty, WORD(0), skip))
        c_panel = builder.add(p["c"], skip)
        whole, part = builder.sdiv(left, panel), builder.srem(left, panel)
        b_tile = builder.add(builder.mul(whole, p["b_panel"]), builder.mul(part, WORD(emit.item)))
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
                "b": builder.add(p["b"], b_tile),
            }
            builder.call(builder.load(place), [arguments[name] for name in VARIANT])
    builder.ret_void()
    return builder.function
