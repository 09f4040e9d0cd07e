"""Every vector width is tested: this machine's own by the suite itself, narrower ones by parts of it in processes.

Numba is told to compile for a processor with fewer instructions, and all that follows it does, too.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from cnncli.kernels.jit.target import machine
from tests.kernels import bits
from tests.kernels.support import DTYPES

pytestmark = pytest.mark.long

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

KERNELS = (
    "tests/kernels",
    "-k",
    "not float64 and not adjoints and not notices and not (an_activation and not (relu6 or silu))",
)
SUITES = {
    "AVX2 kernels": ("AVX2", *KERNELS),
    "SSE2 kernels": ("SSE2", *KERNELS),
    "SSE2 layers": ("SSE2", "tests/layers"),
    "SSE2 graph": ("SSE2", "tests/graph", "tests/ops"),
}
"""Parts of a narrower width's tests, each a process.

What is slow to compile is tested once: layers and graphs where code differs most from that of this machine, and the
type that has more numbers in a register (adjoints are all of float64). Of activations inside other kernels, two stand
for all, each of which has tests of its own; that a comparison notices a wrong element does not depend on the width.
AVX2's numbers are those of AVX-512 to the bit, for both types (below).
"""
ELSEWHERE = ("widths", "cache", "cache_rooms", "object_files", "lazy_nrt", "losses")
"""Files of kernels and layers that have nothing to do with vectors, or only through functions that have others.

A loss maps such functions over rows; it is the slowest of all to compile. Those of SSE2 are compared with Keras' among
the tests of graphs.
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


@pytest.mark.parametrize("suite", SUITES)
def test_twins_and_contracts_hold_on_narrower_widths(suite):
    name, *arguments = SUITES[suite]
    available(name)
    if name == OWN:
        return  # the suite that this test is part of
    ignored = [f"--ignore=tests/{place}/test_{file}.py" for place in ("kernels", "layers") for file in ELSEWHERE]
    with start(name, "-c", RUN_SUITES, "-p", "no:cacheprovider", *arguments, *ignored) as process:
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
    assert len(full) == len(set(full)) > 60
    with start("AVX2", "-m", "tests.kernels.bits") as process:
        output = process.communicate(timeout=300)[0]
    assert output.splitlines() == full
