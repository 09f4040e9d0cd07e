"""Micro-kernels: register-blocked batch-reduce matrix products in LLVM vector IR, compiled once and called by address.

`product` is the one building block of convolutions and dense layers (LIBXSMM's and oneDNN's BRGEMM):

    c[r, f] = init[r, f] + Σ_batch Σ_k a[batch, r, k] · b[batch, k, f]

Every element is one chain of fused multiply-adds in the order (batch, k), whatever the blocking: bits depend neither on
the vector width nor on how rows and columns are divided. Where the processor has no FMA, it multiplies and adds.

A family is one object file for a dtype, kept beside Numba's cache: a variant for each number of rows in one or two
vectors of columns; `product`, which covers any matrix with them; and what prepares its factors, `border`, which puts
zeros around an image, and `transpose`.
Callers take addresses from their parameter block, so nothing of this is compiled into them.
"""

import hashlib
import os
import tempfile
from functools import cache as once
from pathlib import Path
from typing import NamedTuple

import numba
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnncli.kernels import cache

WORD = ir.IntType(64)
LEFT, RIGHT = ("a", "a_row", "a_step", "a_batch"), ("b", "b_row", "b_panel", "b_batch")
PRODUCT = ("c", "c_row", "init", "init_row", "rows", "columns", *LEFT, *RIGHT, "k", "batch")
BORDER = ("out", "x", "height", "width", "step", "pixel", "first", "rows", "left", "columns")
TRANSPOSE = ("out", "out_row", "x", "x_row", "rows", "columns")
VARIANT = ("c", "c_row", "init", "init_row", "width", *LEFT, "b", "b_row", "b_batch", "k", "batch")


class Machine(NamedTuple):
    """What code is made for: `width` bytes in a vector register, the number of registers, fused multiply-add or not."""

    cpu: str
    features: str
    width: int
    registers: int
    fused: bool

    def rows(self, vectors: int) -> int:
        """The most rows of a variant: as many sums as leave registers for `vectors` of b and one element of a."""
        if self.registers == 32:
            return 14
        return 12 // vectors


class Family(NamedTuple):
    """The loaded micro-kernels of one dtype: elements in a vector, columns in a panel of b, addresses."""

    lanes: int
    panel: int
    product: int
    border: int
    transpose: int


def machine() -> Machine:
    """The processor that Numba compiles for (NUMBA_CPU_NAME and NUMBA_CPU_FEATURES narrow it)."""
    cpu = numba.config.CPU_NAME or binding.get_host_cpu_name()
    features = numba.config.CPU_FEATURES
    if features is None:
        features = binding.get_host_cpu_features().flatten()
    has = set(features.split(","))
    if not binding.get_default_triple().startswith(("x86_64", "i686", "amd64")):
        return Machine(cpu, features, 16, 32, True)
    width = 64 if "+avx512f" in has else 32 if "+avx" in has else 16
    return Machine(cpu, features, width, 32 if width == 64 else 16, "+fma" in has or width == 64)


@once
def family(dtype: str) -> Family:
    """The micro-kernels for `dtype`, float32 or float64: from the cache folder, or compiled and put there."""
    target, item = machine(), {"float32": 4, "float64": 8}[dtype]
    lanes = target.width // item
    address = _load(_object(f"microkernel-{dtype}.o", target, item), target).get_function_address
    return Family(lanes, 2 * lanes, address("product"), address("border"), address("transpose"))


_engines: list[binding.ExecutionEngine] = []
"""They own the machine code."""


def _load(code: bytes, target: Machine) -> binding.ExecutionEngine:
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _target_machine(target))
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return engine


def _object(name: str, target: Machine, item: int) -> bytes:
    """The object file `name` of the cache folder; made anew where it is missing, or differs from its SHA-256."""
    place = Path(numba.config.CACHE_DIR) / name if cache.ENABLED else None
    try:
        kept = place.read_bytes() if place else b""
    except OSError:
        kept = b""
    digest, code = kept[:32], kept[32:]
    if code and hashlib.sha256(code).digest() == digest:
        return code
    code = compile_family(target, item)
    if place:
        _write(place, hashlib.sha256(code).digest() + code)
    return code


def _write(place: Path, content: bytes) -> None:
    """All or nothing; a full disk costs only the cache."""
    try:
        handle, temporary = tempfile.mkstemp(dir=place.parent)
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(place)
    except OSError:
        Path(temporary).unlink(missing_ok=True)


def _target_machine(target: Machine) -> binding.TargetMachine:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, codemodel="jitdefault", jit=True
    )


def compile_family(target: Machine, item: int) -> bytes:
    """The object file of a family for reals of `item` bytes."""
    module = ir.Module()
    module.triple = binding.get_process_triple()
    build = Build(module, target, item)
    variants = [build.variant(vectors, rows) for vectors in (1, 2) for rows in range(1, target.rows(vectors) + 1)]
    build.product(variants)
    build.border()
    build.transpose()
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    # No optimization passes: they took half of the time and changed nothing, for the sums are in registers as written.
    code: bytes = _target_machine(target).emit_object(parsed)
    return code


class Build:
    """Writes the functions of a family into a module. All addresses, strides (in bytes) and sizes are 64-bit words."""

    def __init__(self, module: ir.Module, target: Machine, item: int) -> None:
        self.module, self.target, self.item = module, target, item
        self.lanes = target.width // item
        self.scalar: ir.Type = ir.FloatType() if item == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)

    def function(self, name: str, names: tuple[str, ...]) -> tuple[ir.IRBuilder, dict[str, ir.Value]]:
        """A function of words and a builder at its start, its arguments by name."""
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [WORD] * len(names)), name)
        return ir.IRBuilder(function.append_basic_block("entry")), dict(zip(names, function.args, strict=True))

    def fma(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a·b + c."""
        if not self.target.fused:
            return builder.fadd(builder.fmul(a, b), c)
        prefix = f"v{a.type.count}" if isinstance(a.type, ir.VectorType) else ""
        name = f"llvm.fma.{prefix}f{self.item * 8}"
        kind = ir.FunctionType(a.type, [a.type] * 3)
        return builder.call(cgutils.get_or_insert_function(self.module, kind, name), [a, b, c])

    def load(self, builder: ir.IRBuilder, address: ir.Value, kind: ir.Type) -> ir.Value:
        """A value of `kind` from memory aligned to elements."""
        return builder.load(builder.inttoptr(address, kind.as_pointer()), align=self.item)

    def store(self, builder: ir.IRBuilder, value: ir.Value, address: ir.Value) -> None:
        """The opposite of `load`."""
        builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=self.item)

    def masks(self, builder: ir.IRBuilder, width: ir.Value, vectors: int) -> list[ir.Value]:
        """For each vector, which of its lanes lie in the first `width` columns."""
        kind = ir.VectorType(ir.IntType(32), self.lanes)
        limit = splat(builder, builder.trunc(width, ir.IntType(32)), self.lanes)
        columns = [ir.Constant(kind, [v * self.lanes + lane for lane in range(self.lanes)]) for v in range(vectors)]
        return [builder.icmp_signed("<", column, limit) for column in columns]

    def masked(self, builder: ir.IRBuilder, mask: ir.Value, address: ir.Value, value: ir.Value | None) -> ir.Value:
        """Store the lanes of `value` that `mask` has, or load them (zeros elsewhere) if there is no value."""
        pointer = builder.inttoptr(address, self.vector.as_pointer())
        kind, align = f"v{self.lanes}f{self.item * 8}.p0", ir.Constant(ir.IntType(32), self.item)
        types = [self.vector, pointer.type, align.type, mask.type]
        if value is None:
            signature = ir.FunctionType(self.vector, [*types[1:], self.vector])
            load = cgutils.get_or_insert_function(self.module, signature, f"llvm.masked.load.{kind}")
            return builder.call(load, [pointer, align, mask, ir.Constant(self.vector, None)])
        store = cgutils.get_or_insert_function(
            self.module, ir.FunctionType(ir.VoidType(), types), f"llvm.masked.store.{kind}"
        )
        return builder.call(store, [value, pointer, align, mask])

    def variant(self, vectors: int, rows: int) -> ir.Function:
        """`product` for exactly `rows` rows and at most `vectors` vectors of columns, the sums in registers.

        All of b's lanes are read; of init and c only `width` columns are touched. k and batch are at least 1.
        """
        builder, p = self.function(f"product_{vectors}_{rows}", VARIANT)
        tiles = [(r, v) for r in range(rows) for v in range(vectors)]

        def at(start: str, tile: tuple[int, int]) -> ir.Value:
            offset = builder.mul(p[f"{start}_row"], WORD(tile[0]))
            return builder.add(builder.add(p[start], offset), WORD(tile[1] * self.lanes * self.item))

        whole = builder.icmp_signed(">=", p["width"], WORD(vectors * self.lanes))
        with builder.if_else(whole) as (then, otherwise):
            with then:
                full = [self.load(builder, at("init", tile), self.vector) for tile in tiles]
                full_end = builder.block
            with otherwise:
                masks = self.masks(builder, p["width"], vectors)
                part = [self.masked(builder, masks[tile[1]], at("init", tile), None) for tile in tiles]
                part_end = builder.block
        totals = [_phi(builder, self.vector, (a, full_end), (b, part_end)) for a, b in zip(full, part, strict=True)]

        entry, batches, steps, done, end = builder.block, *(builder.append_basic_block() for _ in range(4))
        builder.branch(batches)
        builder.position_at_end(batches)
        batch, a_batch, b_batch = (_phi(builder, WORD, (v, entry)) for v in (WORD(0), p["a"], p["b"]))
        outer = [_phi(builder, self.vector, (total, entry)) for total in totals]
        builder.branch(steps)
        builder.position_at_end(steps)
        k, a, b = (_phi(builder, WORD, (v, batches)) for v in (WORD(0), a_batch, b_batch))
        inner = [_phi(builder, self.vector, (total, batches)) for total in outer]
        columns = [
            self.load(builder, builder.add(b, WORD(v * self.lanes * self.item)), self.vector) for v in range(vectors)
        ]
        sums = []
        for r in range(rows):
            value = self.load(builder, builder.add(a, builder.mul(p["a_row"], WORD(r))), self.scalar)
            value = splat(builder, value, self.lanes)
            sums += [self.fma(builder, value, columns[v], inner[r * vectors + v]) for v in range(vectors)]
        for phi, value in (
            (k, builder.add(k, WORD(1))),
            (a, builder.add(a, p["a_step"])),
            (b, builder.add(b, p["b_row"])),
            *zip(inner, sums, strict=True),
        ):
            phi.add_incoming(value, steps)
        builder.cbranch(builder.icmp_signed("<", k.incomings[1][0], p["k"]), steps, done)
        builder.position_at_end(done)
        for phi, value in (
            (batch, builder.add(batch, WORD(1))),
            (a_batch, builder.add(a_batch, p["a_batch"])),
            (b_batch, builder.add(b_batch, p["b_batch"])),
            *zip(outer, sums, strict=True),
        ):
            phi.add_incoming(value, done)
        builder.cbranch(builder.icmp_signed("<", batch.incomings[1][0], p["batch"]), batches, end)

        builder.position_at_end(end)
        with builder.if_else(whole) as (then, otherwise):
            with then:
                for tile, total in zip(tiles, sums, strict=True):
                    self.store(builder, total, at("c", tile))
            with otherwise:
                masks = self.masks(builder, p["width"], vectors)
                for tile, total in zip(tiles, sums, strict=True):
                    self.masked(builder, masks[tile[1]], at("c", tile), total)
        builder.ret_void()
        return builder.function

    def product(self, variants: list[ir.Function]) -> None:
        """c = init + Σ_batch a·b for any numbers of rows and columns, at least 1 each.

        a[batch, r, k] lies at a + batch · a_batch + r · a_row + k · a_step, and b[batch, k, f] in panels of two
        vectors at b + batch · b_batch + panel · b_panel + k · b_row; whole vectors of b are read. An init of 0 stands
        for zeros.
        """
        builder, p = self.function("product", PRODUCT)
        table = ir.GlobalVariable(self.module, ir.ArrayType(variants[0].type, len(variants)), "variants")
        table.global_constant, table.linkage = True, "internal"
        table.initializer = ir.Constant(table.value_type, variants)
        zeros = ir.GlobalVariable(self.module, ir.ArrayType(self.scalar, 2 * self.lanes), "zeros")
        zeros.global_constant, zeros.linkage, zeros.align = True, "internal", 64
        zeros.initializer = ir.Constant(zeros.value_type, None)

        one, two = (WORD(self.target.rows(vectors)) for vectors in (1, 2))
        empty = builder.icmp_signed("==", p["init"], WORD(0))
        init = builder.select(empty, builder.ptrtoint(zeros, WORD), p["init"])
        init_row = builder.select(empty, WORD(0), p["init_row"])
        panel = WORD(2 * self.lanes)
        panels = builder.sdiv(builder.add(p["columns"], WORD(2 * self.lanes - 1)), panel)
        with cgutils.for_range(builder, panels, intp=WORD) as across:
            left = builder.mul(across.index, panel)
            skip = builder.mul(left, WORD(self.item))
            rest = builder.sub(p["columns"], left)
            width = builder.select(builder.icmp_signed("<", rest, panel), rest, panel)
            narrow = builder.icmp_signed("<=", width, WORD(self.lanes))
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

    def border(self) -> None:
        """Copy a part of an image, with zeros for what lies outside.

        The image is (height, width) with `step` bytes from pixel to pixel, of which `pixel` are copied, from x on; the
        part begins at row `first` and column `left`, and is written to `out` without gaps.
        """
        builder, p = self.function("border", BORDER)

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

    def transpose(self) -> None:
        """out[r, c] = x[c, r] for r < rows and c < columns; `out_row` and `x_row` are bytes from row to row."""
        builder, p = self.function("transpose", TRANSPOSE)
        lanes, item = WORD(self.lanes), WORD(self.item)
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
            square = [self.load(builder, at("x", builder.add(c, WORD(i)), r), self.vector) for i in range(self.lanes)]
            for i, vector in enumerate(self._transposed(builder, square)):
                self.store(builder, vector, at("out", builder.add(r, WORD(i)), c))
        for first_row, first_column, last_column in (
            (WORD(0), whole_columns, p["columns"]),
            (whole_rows, WORD(0), whole_columns),
        ):
            with (
                cgutils.for_range(builder, p["rows"], start=first_row, intp=WORD) as down,
                cgutils.for_range(builder, last_column, start=first_column, intp=WORD) as across,
            ):
                value = self.load(builder, at("x", across.index, down.index), self.scalar)
                self.store(builder, value, at("out", down.index, across.index))
        builder.ret_void()

    def _transposed(self, builder: ir.IRBuilder, square: list[ir.Value]) -> list[ir.Value]:
        """A square of vectors transposed: bit by bit, row index and lane index change places (Eklundh 1972)."""
        lanes, half = range(self.lanes), 1
        while half < self.lanes:
            upper = [lane if not lane & half else self.lanes + lane - half for lane in lanes]
            lower = [lane + half if not lane & half else self.lanes + lane for lane in lanes]
            kind = ir.VectorType(ir.IntType(32), self.lanes)
            for i in lanes:
                if not i & half:
                    pair = square[i], square[i + half]
                    square[i] = builder.shuffle_vector(*pair, ir.Constant(kind, upper))
                    square[i + half] = builder.shuffle_vector(*pair, ir.Constant(kind, lower))
            half *= 2
        return square


def splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """A vector of `lanes` equal values; the value itself for one lane."""
    if lanes == 1:
        return value
    kind = ir.VectorType(value.type, lanes)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), everywhere)


def _phi(builder: ir.IRBuilder, kind: ir.Type, *incoming: tuple[ir.Value, ir.Block]) -> ir.Value:
    phi = builder.phi(kind)
    for value, block in incoming:
        phi.add_incoming(value, block)
    return phi


@intrinsic
def call(typing_context, address, arguments):
    """Call a family's function at `address` with the tuple of its arguments, in the order of PRODUCT and its like."""
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
