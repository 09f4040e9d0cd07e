"""Micro-kernels: register-blocked batch-reduce matrix products in LLVM vector IR, compiled once and called by address.

`product` is the one building block of convolutions and dense layers (LIBXSMM's and oneDNN's BRGEMM):

    c[r, f] = init[r, f] + Σ_batch Σ_k a[batch, r, k] · b[batch, k, f]

Every element is one chain of fused multiply-adds in the order (batch, k), independent of the blocking: results depend
neither on the vector width nor on the partition of rows and columns. Without FMA the processor multiplies and adds.

A family is one object file per dtype, stored next to Numba's cache: a variant for each number of rows and one or two
vectors of columns; `product`, which covers any matrix with them; and helpers that prepare its factors, `border` (zero
padding of an image) and `transpose`.
Callers read the addresses from their parameter block, so none of this is compiled into them.
"""

from functools import cache as once
from typing import NamedTuple

from cnncli.kernels.gemm.emitter import Emitter
from cnncli.kernels.gemm.product import product
from cnncli.kernels.gemm.rearrange import border, transpose
from cnncli.kernels.jit import object_files
from cnncli.kernels.jit.target import Machine, machine


class Family(NamedTuple):
    """The loaded micro-kernels of one dtype: elements per vector, columns per panel of b, addresses."""

    lanes: int
    panel: int
    product: int
    border: int
    transpose: int


@once
def family(dtype: str) -> Family:
    """Return the micro-kernels for `dtype`, float32 or float64; compiled on first use and cached."""
    target, item = machine(), {"float32": 4, "float64": 8}[dtype]
    code = object_files.kept(__name__, f"microkernel-{dtype}.o", lambda: compile_family(target, item))
    lanes, address = target.width // item, object_files.addresses(code, target)
    return Family(lanes, 2 * lanes, address("product"), address("border"), address("transpose"))


def compile_family(target: Machine, item: int) -> bytes:
    """Compile the object file of a family for reals of `item` bytes."""
    emit = Emitter(target, item)
    for write in (product, border, transpose):
        write(emit)
    return emit.compiled()
