"""The same bits on every x86 that has fused multiply-adds, whatever the length of its vectors."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from llvmlite import binding
from numba import cfunc, types

from cnncli.kernels import activations, losses, softmax
from cnncli.kernels.runtime import SIGNATURE
from tests.kernels import bits
from tests.kernels.support import DTYPES

X86 = platform.machine() in ("x86_64", "AMD64")


def digests(**cpu: str) -> list[str]:
    """What `bits` prints in a process of its own, on a CPU that lacks some of the host's instructions."""
    environment = {**os.environ, **cpu}
    command = [sys.executable, "-m", "tests.kernels.bits"]
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def without(*prefixes: str) -> str:
    """The host's instructions but for those whose names begin so."""
    features = binding.get_host_cpu_features()
    return ",".join(f"{'+' if has and not name.startswith(prefixes) else '-'}{name}" for name, has in features.items())


def test_avx2_and_what_the_host_has_give_the_same_bits() -> None:
    found = {dtype: bits.results(dtype) for dtype in DTYPES}
    for results in found.values():
        constant = [name for name, array in results.items() if np.unique(array).size < 10]
        assert constant == ["penalty"]  # a single number
    full = [line for dtype in DTYPES for line in bits.lines(dtype, found[dtype])]
    assert len(full) == len(set(full)) > 60
    cpu = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": without("avx512", "evex512", "avx10")} if X86 else {}
    assert digests(**cpu) == full


CALLERS = [
    (activations.forward_worker, "sigmoid"),
    (activations.forward_worker, "tanh"),
    (softmax.forward_worker,),
    (losses.loss_worker, losses.SOFTMAX),
    (losses.loss_worker, losses.CROSS_ENTROPY),
    (losses.loss_worker, losses.SIGMOID),
    (losses.loss_worker, losses.BINARY),
]


def test_no_kernel_calls_the_c_library() -> None:
    for family, *variant in CALLERS:
        compiled = cfunc(SIGNATURE, error_model="numpy")(family.factory(types.float32, *variant))
        called = re.findall(r"^declare .*@([\w.]+)", compiled.inspect_llvm(), re.MULTILINE)
        assert called
        # What hands on an exception is Numba's and never reached.
        foreign = [name for name in called if not name.startswith(("llvm.", "Py", "numba_", "NRT_"))]
        assert not foreign, family.__doc__
        assert not re.search(r"llvm\.(exp|log|tanh|pow|sin)", compiled.inspect_llvm())
