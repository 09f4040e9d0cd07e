"""Vectors for kernels that are written as LLVM intrinsics: what the compiler would not find by itself.

A vector is one cache line, whatever the host's width: the compiler splits it where registers are narrower.
"""

from collections.abc import Sequence

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.target import machine, multiply_add

LINE = 64
"""Bytes of a vector."""
LANES = {"float32": 16, "float64": 8}
WORD, INT, BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)


REGISTERS = 32 if machine().width == LINE else 16
"""With AVX-512 a register holds a whole vector, else half of one or less."""


class Vectors:
    """Emits loads, stores and multiply-adds of vectors of one dtype."""

    def __init__(self, builder: ir.IRBuilder, bits: int) -> None:
        self.builder, self.item = builder, bits // 8
        self.lanes = LINE // self.item
        self.scalar = ir.FloatType() if bits == 32 else ir.DoubleType()
        self.kind = ir.VectorType(self.scalar, self.lanes)

    def at(self, address: ir.Value, kind: ir.Type) -> ir.Value:
        """The integer `address` as a pointer to `kind`."""
        return self.builder.inttoptr(address, kind.as_pointer())

    def element(self, address: ir.Value, index: ir.Value, kind: ir.Type) -> ir.Value:
        """A pointer to one of the elements from `address` on."""
        return self.builder.gep(self.at(address, kind), [index])

    def add(self, address: ir.Value, offset: int | ir.Value) -> ir.Value:
        """The integer `address` + `offset`."""
        return self.builder.add(address, WORD(offset) if isinstance(offset, int) else offset)

    def load(self, address: ir.Value) -> ir.Value:
        """The vector at the integer `address`."""
        return self.builder.load(self.at(address, self.kind), align=self.item)

    def store(self, value: ir.Value, address: ir.Value) -> None:
        """Put a vector at the integer `address`."""
        self.builder.store(value, self.at(address, self.kind), align=self.item)

    def everywhere(self, address: ir.Value) -> ir.Value:
        """The number at `address` in every lane."""
        number = self.builder.load(self.at(address, self.scalar), align=self.item)
        one = self.builder.insert_element(ir.Constant(self.kind, ir.Undefined), number, INT(0))
        zeros = ir.Constant(ir.VectorType(INT, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(self.kind, ir.Undefined), zeros)

    def fma(self, a: ir.Value, b: ir.Value, total: ir.Value) -> None:
        """`total`, a stack slot, becomes a·b + total."""
        self.builder.store(multiply_add(self.builder, a, b, self.builder.load(total)), total)

    def slots(self, addresses: Sequence[ir.Value]) -> list[ir.Value]:
        """Stack slots that hold the vectors at `addresses`; the optimizer makes registers of them."""
        return [cgutils.alloca_once_value(self.builder, self.load(address)) for address in addresses]
