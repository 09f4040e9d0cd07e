"""Every vector width is tested: this machine's own by the suite itself, narrower ones by parts of it in processes.

Numba is told to compile for a processor with fewer instructions, and all that follows it does, too.
"""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from cnncli import kernels as kernel_package
from cnncli.kernels.jit.target import machine
from tests.kernels import bits
from tests.kernels.support import DTYPES

pytestmark = pytest.mark.long

KERNELS = Path(kernel_package.__file__).parent
X86 = platform.machine() in ("x86_64", "AMD64")


class Width(NamedTuple):
    """Bytes in a register, whether multiply-adds are fused, and what makes Numba compile for no more than that."""

    size: int
    fused: bool
    environment: dict[str, str]


WIDTHS = {
    "AVX-512": Width(64, True, {}),
    "AVX2": Width(
        32,
        True,
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse2,+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+popcnt"},
    ),
    "SSE2": Width(16, False, {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"}),
}
OWN = next((name for name, width in WIDTHS.items() if X86 and width[:2] == (machine().width, machine().fused)), None)

OF_BITS = {name.removeprefix("test_") for name in vars(bits) if name.startswith("test_")} - {"conv_pool"}
OF_BITS |= {"activations", "dropout", "optimizers", "orthogonal", "penalties", "pooling", "softmax"}
"""Files of kernels whose results are compared to the bit (below), as AVX2's are with those of AVX-512."""
SCALAR = {"affine", "blur", "chains", "colour", "constraints", "draws", "erase", "gather", "levels", "mix", "random"}
SCALAR |= {"runtime", "tone", "valid"}
"""Files of kernels that write no vector code: they import neither `vector` nor `gemm`, and LLVM knows its widths."""
ELSEWHERE = {"widths", "cache", "cache_rooms", "object_files", "lazy_nrt", "losses", "product"}
"""Files that have nothing to do with vectors, or only through functions that have others, or that name each width.

A loss maps such functions over rows; it is the slowest of all to compile. Those of SSE2 are compared with Keras' among
the tests of graphs.
"""


def kernels(without):
    """All files of kernels but those, in the type that has more numbers in a register (adjoints are all of float64)."""
    ignored = [f"--ignore=tests/kernels/test_{file}.py" for file in sorted(without)]
    chosen = "not float64 and not adjoints and not notices and not (an_activation and not (relu6 or silu))"
    return "tests/kernels", "-k", chosen, *ignored


NETWORKS = (
    "tests/layers/test_keras_layers.py",
    "tests/layers/test_precision.py",
    "tests/graph/test_keras_losses.py",
    "tests/graph/test_keras_networks.py",
    "tests/graph/test_precision.py",
    "tests/graph/test_seed_network.py",
    "tests/graph/test_separable.py",
)
"""Kernels together, compared with Keras' layers, losses and networks, and those that store bfloat16.

What becomes of a declaration, an operation or a graph (other files of tests/layers, ops and graph) is the same on every
width.
"""
SUITES = {
    "AVX2 kernels": ("AVX2", *kernels(OF_BITS | SCALAR | ELSEWHERE | {"calls"})),
    "SSE2 kernels": ("SSE2", *kernels(SCALAR | ELSEWHERE)),
    "SSE2 networks": ("SSE2", *NETWORKS, "-k", "not unfused and (not keras_layers or float32)"),
}
"""Parts of a narrower width's tests, each a process.

What is slow to compile is tested once: networks where code differs most from that of this machine. Of activations
inside other kernels, two stand for all, each of which has tests of its own; that a comparison notices a wrong element
does not depend on the width.
"""
RUN_SUITES = """
import sys
import pytest
from cnncli.kernels.jit.target import machine
print(machine().width, machine().fused)
sys.exit(pytest.main(sys.argv[1:]))
"""


def available(name):
    """Skip, and say why, where this processor can't run code for that width."""
    if not X86:
        pytest.skip("this processor is no x86: it has one width, which the suite itself tests")
    if WIDTHS[name].size > machine().width or WIDTHS[name].fused > machine().fused:
        pytest.skip(f"this processor has no {name}")


def start(name, *arguments):
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | WIDTHS[name].environment,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_files_left_out_exist_and_write_no_vector_code():
    files = {path.stem.removeprefix("test_"): path for path in Path(__file__).parent.glob("test_*.py")}
    assert files.keys() >= OF_BITS | SCALAR | ELSEWHERE
    for name in SCALAR:
        used = re.findall(r"^from cnncli\.kernels\.(\w+) import (.*)", files[name].read_text("utf-8"), re.MULTILINE)
        for room, modules in used:
            for module in modules.split(", ") if room != "jit" else []:
                text = (KERNELS / room / f"{module}.py").read_text("utf-8")
                assert not re.search(r"cnncli\.kernels\.(vector|gemm|jit\.target)", text), (name, module)


@pytest.mark.parametrize("suite", SUITES)
def test_twins_and_contracts_hold_on_narrower_widths(suite):
    name, *arguments = SUITES[suite]
    available(name)
    if name == OWN:
        return  # the suite that this test is part of
    with start(name, "-c", RUN_SUITES, "-p", "no:cacheprovider", *arguments) as process:
        output = process.communicate(timeout=900)[0]
    assert process.returncode == 0, output
    assert output.splitlines()[0] == f"{WIDTHS[name].size} {WIDTHS[name].fused}"


def test_avx2_and_what_the_host_has_give_the_same_bits():
    available("AVX2")
    found = {dtype: bits.results(dtype) for dtype in DTYPES}
    for results in found.values():
        constant = [name for name, array in results.items() if np.unique(array).size < 10]
        assert constant == ["penalty"]  # a single number
    full = [line for dtype in DTYPES for line in bits.lines(dtype, found[dtype])]
    assert len(full) == len(set(full)) > 150
    with start("AVX2", "-m", "tests.kernels.bits") as process:
        output = process.communicate(timeout=300)[0]
    assert output.splitlines() == full
