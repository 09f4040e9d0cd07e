"""The sums of a product stay in registers on every width, which LLVM is asked for whatever this machine is."""

import re

import pytest
from llvmlite import binding

from cnncli.kernels.gemm import product
from cnncli.kernels.gemm.emitter import Emitter
from cnncli.kernels.jit.target import described
from tests.kernels.test_widths import X86

MACHINES = {
    "AVX-512": described("skylake-avx512", "+avx512f,+avx512bw,+avx512dq,+avx512vl"),
    "AVX2": described("haswell", "+avx,+avx2,+fma"),
    "SSE2": described("x86-64", "+sse2"),
}


def inner_loops(target, item):
    """The instructions of each variant's innermost loop, by (vectors, rows); code is made, not run."""
    emit = Emitter(target, item)
    product.variants(emit)
    text = target.generator().emit_assembly(binding.parse_assembly(str(emit.module)))
    found = {}
    for vectors, rows, code in re.findall(r"\n_?product_(\d+)_(\d+):(.*?)\.cfi_endproc", text, re.DOTALL):
        blocks = re.split(r"\n(\.?LBB\d+_\d+):", code)
        for label, body in zip(blocks[1::2], blocks[2::2], strict=True):
            back = re.search(rf"\tj\w+\t{re.escape(label)}\b", body)
            if back:
                found[int(vectors), int(rows)] = body[: back.start()]
    return found


@pytest.mark.skipif(not X86, reason="LLVM is asked for x86 code, which it makes on an x86 only")
@pytest.mark.parametrize("item", [4, 8])
@pytest.mark.parametrize("name", MACHINES)
def test_no_step_of_a_product_reads_or_writes_the_stack(name, item):
    target = MACHINES[name]
    loops = inner_loops(target, item)
    assert len(loops) == sum(product.most_rows(target, vectors) for vectors in (1, 2))
    for (vectors, rows), loop in loops.items():
        operation = r"\tvfmadd\w+p" if target.fused else r"\taddp"
        assert len(re.findall(operation, loop)) == vectors * rows
        assert "sp)" not in loop


@pytest.mark.skipif(not X86, reason="LLVM is asked for x86 code, which it makes on an x86 only")
def test_with_more_rows_the_stack_would_be_used(monkeypatch):
    monkeypatch.setattr(product, "most_rows", lambda target, vectors: 8)
    assert "sp)" in inner_loops(MACHINES["AVX2"], 4)[2, 8]
