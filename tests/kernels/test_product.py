"""The sums of a product stay in registers on every width, which LLVM is asked for whatever this machine is."""

import re

import pytest
from llvmlite import binding

from cnncli.kernels.gemm import bfloat16, product, tiles
from cnncli.kernels.gemm.emitter import Emitter
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.target import described
from tests.kernels.test_widths import X86

MACHINES = {
    "AVX-512 BF16": described("znver4", "+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512bf16"),
    "AVX-512": described("skylake-avx512", "+avx512f,+avx512bw,+avx512dq,+avx512vl"),
    "Zen 5": described("znver5", "+avx512f,+avx512bw,+avx512dq,+avx512vl"),
    "AVX2": described("haswell", "+avx,+avx2,+fma"),
    "SSE2": described("x86-64", "+sse2"),
}


def emitter(target, dtype):
    return bfloat16.emitter(target) if dtype == "bfloat16" else Emitter(target, bytes_of(dtype))


def inner_loops(target, dtype):
    """The instructions of each variant's innermost loop, by (columns, rows); code is made, not run."""
    emit = emitter(target, dtype)
    product.variants(emit)
    text = target.generator().emit_assembly(binding.parse_assembly(str(emit.module)))
    found = {}
    for columns, rows, code in re.findall(r"\n_?product_(\d+)_(\d+):(.*?)\.cfi_endproc", text, re.DOTALL):
        blocks = re.split(r"\n(\.?LBB\d+_\d+):", code)
        for label, body in zip(blocks[1::2], blocks[2::2], strict=True):
            back = re.search(rf"\tj\w+\t{re.escape(label)}\b", body)
            if back:
                found[int(columns), int(rows)] = body[: back.start()]
    return found


@pytest.mark.skipif(not X86, reason="LLVM is asked for x86 code, which it makes on an x86 only")
# SSE2 has no register left for widening bfloat16, and AVX2 none in products of one vector; both lose little by it.
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, "float32") for name in MACHINES if name != "AVX-512 BF16"),  # which has AVX-512's
        ("SSE2", "float64"),  # as many registers as float32
        *((name, "bfloat16") for name in MACHINES if name != "SSE2"),
    ],
)
def test_no_step_of_a_product_reads_or_writes_the_stack(name, dtype):
    target = MACHINES[name]
    loops = inner_loops(target, dtype)
    operation = r"\tvfmadd\w+p" if target.fused else r"\taddp"
    emit = emitter(target, dtype)
    terms, vectors_of = len(emit.terms), {sum(shape): len(shape) for shape in product.shapes(emit)}
    if dtype == "bfloat16" and name == "AVX-512 BF16":
        operation = r"\tvdpbf16ps"
    assert len(loops) == sum(product.most_rows(target, vectors) for vectors in vectors_of.values())
    for (columns, rows), loop in loops.items():
        vectors = vectors_of[columns]
        assert len(re.findall(operation, loop)) == vectors * rows * terms
        assert "sp)" not in loop or ((name, dtype) == ("AVX2", "bfloat16") and vectors == 1)


@pytest.mark.skipif(not X86, reason="LLVM is asked for x86 code, which it makes on an x86 only")
def test_a_step_on_tiles_loads_four_and_multiplies_four():
    target = described("sapphirerapids", "+avx512f,+avx512bf16,+amx-tile,+amx-bf16")
    emit = bfloat16.emitter(target)
    tiles.block(emit, tiles.Tiles(emit), 2, 2)
    text = target.generator().emit_assembly(binding.parse_assembly(str(emit.module)))
    first = text.index("\ttdpbf16ps")
    loop = text[text.rindex("\n.LBB", 0, first) : text.index("\n.LBB", first)]
    assert len(re.findall(r"\ttdpbf16ps", loop)) == len(re.findall(r"\ttileloadd", loop)) == 4
    assert "sp)" not in loop


@pytest.mark.skipif(not X86, reason="LLVM is asked for x86 code, which it makes on an x86 only")
def test_with_more_rows_the_stack_would_be_used(monkeypatch):
    monkeypatch.setattr(product, "most_rows", lambda target, vectors: 8)
    assert "sp)" in inner_loops(MACHINES["AVX2"], "float32")[16, 8]
