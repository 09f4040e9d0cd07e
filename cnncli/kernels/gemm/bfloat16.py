"""Products of bfloat16 factors with float32 sums: two terms a step, from pairs of factors in 32 bits, first one low.

The way depends on what the processor has. AMX multiplies tiles (`tiles`; run on an emulated processor alone, for want
of a real one, so its speed is unknown). AVX-512's `vdpbf16ps` multiplies and adds a pair at once; it takes denormal
factors and gives denormal sums as zero. Elsewhere both factors are widened to float32 in registers, and each term is
one fused multiply-add, as in the float32 family. Sums therefore differ between the ways in their last bits.
"""

from typing import ClassVar

from llvmlite import ir
from numba.core import cgutils

from cnncli.kernels.gemm import tiles
from cnncli.kernels.gemm.emitter import WORD, Emitter, splat
from cnncli.kernels.gemm.narrow import HALF, INT, narrow, pairs
from cnncli.kernels.gemm.product import product
from cnncli.kernels.gemm.rearrange import border, transpose
from cnncli.kernels.jit.target import Machine, machine
from cnncli.kernels.vector.lanes import BFloat


class Pairs(Emitter):
    """Products of pairs."""

    halves = False


class Dots(Pairs):
    """Products of pairs by `vdpbf16ps`."""

    def __init__(self, target: Machine) -> None:
        super().__init__(target, 4)
        self.pairs = ir.VectorType(BFloat(), 2 * self.lanes)

    def factors(self, builder: ir.IRBuilder, address: ir.Value, term: int) -> ir.Value:
        return self.load(builder, address, self.pairs)

    def factor(self, builder: ir.IRBuilder, address: ir.Value, term: int) -> ir.Value:
        pair = splat(builder, self.load(builder, address, INT), self.lanes)
        return builder.bitcast(pair, self.pairs)

    def fma(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """c plus both products of each lane's pairs."""
        signature = ir.FunctionType(self.vector, [self.vector, self.pairs, self.pairs])
        dot = cgutils.get_or_insert_function(self.module, signature, "llvm.x86.avx512bf16.dpbf16ps.512")
        return builder.call(dot, [c, b, a])


class Widened(Pairs):
    """Products of pairs, widened to float32: the first numbers of all pairs, then the second ones."""

    terms: ClassVar[tuple[int, ...]] = (0, 1)

    def __init__(self, target: Machine) -> None:
        super().__init__(target, 4)
        self.pairs = ir.VectorType(INT, self.lanes)

    def factors(self, builder: ir.IRBuilder, address: ir.Value, term: int) -> ir.Value:
        # Of two types, so that LLVM loads pairs once for each term: it would lack registers to keep them.
        kind = ir.VectorType(ir.FloatType() if term else INT, self.lanes)
        pairs, half = builder.bitcast(self.load(builder, address, kind), self.pairs), 0xFFFF0000 if term else 16
        bits = ir.Constant(self.pairs, [half] * self.lanes)
        return builder.bitcast(builder.and_(pairs, bits) if term else builder.shl(pairs, bits), self.vector)

    def factor(self, builder: ir.IRBuilder, address: ir.Value, term: int) -> ir.Value:
        place = builder.inttoptr(builder.add(address, WORD(2 * term)), HALF.as_pointer())
        twice = splat(builder, builder.load(place, align=2), 2 * self.lanes)
        bits = ir.Constant(self.pairs, [16] * self.lanes)
        return builder.bitcast(builder.shl(builder.bitcast(twice, self.pairs), bits), self.vector)


def way(target: Machine | None = None) -> str:
    """Return how `target` (default: this machine) multiplies bfloat16: "amx_bf16", "avx512_bf16" or "widened".

    Asks Linux to permit tiles if the processor has them.
    """
    features = (target or machine()).features.split(",")
    if "+avx512bf16" not in features:
        return "widened"
    return "amx_bf16" if "+amx-bf16" in features and tiles.permitted() else "avx512_bf16"


def emitter(target: Machine) -> Emitter:
    """Return what emits products in the way of `target`."""
    return Widened(target) if way(target) == "widened" else Dots(target)


def write(target: Machine) -> Emitter:
    """Emit the family: `product`, in the way of `target`, and what prepares its factors and rounds its sums.

    Rounding is that of `Vector.bfloat16`, for this machine.
    """
    emit = emitter(target)
    if way(target) == "amx_bf16":
        tiles.product(emit, tiles.Tiles(emit), product(emit, "product_of_vectors"))
    else:
        product(emit)
    for function in (border, transpose, narrow, pairs):
        function(emit)
    return emit
