"""Micro-kernels: register-blocked batch-reduce matrix products in LLVM vector IR, compiled once and called by address.

`product` is the one building block of convolutions and dense layers (LIBXSMM's and oneDNN's BRGEMM):

    c[r, f] = init[r, f] + Σ_batch Σ_k a[batch, r, k] · b[batch, k, f]

Every element is one chain of fused multiply-adds in the order (batch, k), independent of the blocking: results depend
neither on the vector width nor on the partition of rows and columns. Without FMA the processor multiplies and adds.

A family is one object file per dtype, stored next to Numba's cache: a variant for each number of rows and one or two
vectors of columns; `product`, which covers any matrix with them; `limited`, the same with limits of c, of float32 or
float64; and helpers that prepare its factors, `border` (zero
padding of an image) and `transpose`.
In the family of bfloat16, a and b hold pairs of consecutive k in 32 bits: k counts pairs, and `a_step` and `b_row` go
from pair to pair. c and init are float32; `narrow` rounds c, `pairs` and `interleave` make pairs of float32 and of
bfloat16 numbers.

Callers read the addresses from their parameter block, so none of this is compiled into them.
"""

from functools import cache as once
from typing import NamedTuple

from cnncli.kernels.gemm import bfloat16
from cnncli.kernels.gemm.emitter import Emitter
from cnncli.kernels.gemm.product import product
from cnncli.kernels.gemm.rearrange import border, transpose
from cnncli.kernels.jit import object_files
from cnncli.kernels.jit.dtypes import bytes_of, dtype_of_sums
from cnncli.kernels.jit.target import Machine, machine


class Family(NamedTuple):
    """The loaded micro-kernels of one dtype: elements per vector, columns per panel of b, addresses."""

    lanes: int
    panel: int
    product: int
    limited: int
    border: int
    transpose: int
    narrow: int = 0
    pairs: int = 0
    interleave: int = 0


@once
def family(dtype: str) -> Family:
    """Return the micro-kernels for `dtype`, float32, float64 or bfloat16; compiled on first use and cached."""
    target = machine()
    kind = f"{dtype}-{bfloat16.way()}" if dtype == "bfloat16" else dtype
    code = object_files.kept(__name__, f"microkernel-{kind}.o", lambda: compile_family(target, dtype))
    return loaded(code, target, dtype)


def loaded(code: bytes, target: Machine, dtype: str) -> Family:
    """Load the object file of the family of `dtype`."""
    lanes = target.width // bytes_of(dtype_of_sums(dtype))
    address = object_files.addresses(code, target)
    more = ("narrow", "pairs", "interleave") if dtype == "bfloat16" else ()
    names = "product", "limited", "border", "transpose", *more
    return Family(lanes, 2 * lanes, *map(address, names))


def compile_family(target: Machine, dtype: str) -> bytes:
    """Compile the object file of the family of `dtype`."""
    if dtype == "bfloat16":
        return bfloat16.write(target).compiled()
    emit = Emitter(target, bytes_of(dtype))
    for write in (product, border, transpose):
        write(emit)
    return emit.compiled()
