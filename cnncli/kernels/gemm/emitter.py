"""Emission of micro-kernel functions as LLVM IR over vectors of one dtype."""

from typing import ClassVar

from llvmlite import binding, ir
from numba.core import cgutils

from cnncli.kernels.jit.target import Machine, multiply_add

WORD = ir.IntType(64)


class Emitter:
    """Emits functions into a module. All addresses, strides (in bytes) and sizes are 64-bit words."""

    terms: ClassVar[tuple[int, ...]] = (0,)
    """The terms of a step of a product, each with factors of its own."""

    def __init__(self, target: Machine, item: int) -> None:
        self.module, self.target, self.item = ir.Module(), target, item
        self.module.triple = binding.get_process_triple()
        self.lanes = target.width // item
        self.scalar: ir.Type = ir.FloatType() if item == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)

    @property
    def halves(self) -> bool:
        """Whether products have variants with half a vector, and short ones tiles of one."""
        return self.target.halves

    def compiled(self) -> bytes:
        """Compile the module to an object file."""
        parsed = binding.parse_assembly(str(self.module))
        parsed.verify()
        # No optimization passes: they took half of the time and changed nothing, because the emitted code already
        # keeps the sums in registers.
        code: bytes = self.target.generator().emit_object(parsed)
        return code

    def function(self, name: str, names: tuple[str, ...]) -> tuple[ir.IRBuilder, dict[str, ir.Value]]:
        """Declare a function of words; return a builder at its entry, and its arguments by name."""
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [WORD] * len(names)), name)
        return ir.IRBuilder(function.append_basic_block("entry")), dict(zip(names, function.args, strict=True))

    def factors(self, builder: ir.IRBuilder, address: ir.Value, term: int) -> ir.Value:
        """Load a vector of right factors of a product, one for each column."""
        return self.load(builder, address, self.vector)

    def factor(self, builder: ir.IRBuilder, address: ir.Value, term: int) -> ir.Value:
        """Load a left factor of a product for all columns."""
        return splat(builder, self.load(builder, address, self.scalar), self.lanes)

    def fma(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a·b + c."""
        return multiply_add(builder, a, b, c, self.target)

    def load(self, builder: ir.IRBuilder, address: ir.Value, kind: ir.Type) -> ir.Value:
        """Load a value of `kind` from memory aligned to elements."""
        return builder.load(builder.inttoptr(address, kind.as_pointer()), align=self.item)

    def store(self, builder: ir.IRBuilder, value: ir.Value, address: ir.Value) -> None:
        """Store a value to memory aligned to elements."""
        builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=self.item)

    def fetch(self, builder: ir.IRBuilder, address: ir.Value) -> None:
        """Begin to load the cache line at `address` for stores to it; the address need not be valid."""
        pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        signature = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
        prefetch = cgutils.get_or_insert_function(self.module, signature, "llvm.prefetch.p0")
        builder.call(prefetch, [builder.inttoptr(address, pointer), word(1), word(3), word(1)])

    def masks(self, builder: ir.IRBuilder, width: ir.Value, vectors: int) -> list[ir.Value]:
        """Return for each vector the mask of lanes within the first `width` columns."""
        kind = ir.VectorType(ir.IntType(32), self.lanes)
        limit = splat(builder, builder.trunc(width, ir.IntType(32)), self.lanes)
        columns = [ir.Constant(kind, [v * self.lanes + lane for lane in range(self.lanes)]) for v in range(vectors)]
        return [builder.icmp_signed("<", column, limit) for column in columns]

    def masked(self, builder: ir.IRBuilder, mask: ir.Value, address: ir.Value, value: ir.Value | None) -> ir.Value:
        """Store the lanes of `value` selected by `mask`; if it is None, load them, with zeros in the other lanes."""
        vector = ir.VectorType(self.scalar, mask.type.count)
        pointer = builder.inttoptr(address, vector.as_pointer())
        kind, align = f"v{vector.count}f{self.item * 8}.p0", ir.Constant(ir.IntType(32), self.item)
        types = [vector, pointer.type, align.type, mask.type]
        if value is None:
            signature = ir.FunctionType(vector, [*types[1:], vector])
            load = cgutils.get_or_insert_function(self.module, signature, f"llvm.masked.load.{kind}")
            return builder.call(load, [pointer, align, mask, ir.Constant(vector, None)])
        store = cgutils.get_or_insert_function(
            self.module, ir.FunctionType(ir.VoidType(), types), f"llvm.masked.store.{kind}"
        )
        return builder.call(store, [value, pointer, align, mask])


def splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """Broadcast a value to `lanes` lanes; the value itself for one lane."""
    if lanes == 1:
        return value
    kind = ir.VectorType(value.type, lanes)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), everywhere)


def phi(builder: ir.IRBuilder, kind: ir.Type, *incoming: tuple[ir.Value, ir.Block]) -> ir.Value:
    """Create a phi node with these incoming values; more can be added."""
    node = builder.phi(kind)
    for value, block in incoming:
        node.add_incoming(value, block)
    return node


def merged(builder: ir.IRBuilder, *incoming: tuple[ir.Value, ir.Block]) -> ir.Value:
    """Create a phi node of the type of these incoming values."""
    return phi(builder, incoming[0][0].type, *incoming)
