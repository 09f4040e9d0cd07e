"""The target processor: the one Numba compiles for, so that hand-written code and Numba's agree.

All multiply-adds go through `multiply_add`: without hardware support, `llvm.fma` becomes a C library call per element,
which is seventy times slower than multiplying and adding.
"""

from functools import cache as once
from typing import NamedTuple

import numba
from llvmlite import binding, ir
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features

from cnncli.errors import UsageError


class Machine(NamedTuple):
    """Code generation target: `width` of a vector register in bytes, number of registers, fused multiply-add or not."""

    cpu: str
    features: str
    width: int
    registers: int
    fused: bool

    @property
    def halves(self) -> bool:
        """Whether products save time with fewer or smaller vectors at a time than two of 512 bits.

        So it is where an operation on 512 bits is two, as on a Zen 4; on a Zen 5, short products take a fifth longer
        then. Others have not been measured.
        """
        return self.width == 64 and self.cpu != "znver5"

    def generator(self) -> binding.TargetMachine:
        """Return an LLVM target machine that generates code for use in this process."""
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        return binding.Target.from_default_triple().create_target_machine(
            cpu=self.cpu, features=self.features, opt=3, codemodel="jitdefault", jit=True
        )


@once
def machine() -> Machine:
    """Return the processor that Numba compiles for (NUMBA_CPU_NAME and NUMBA_CPU_FEATURES override it)."""
    cpu, features = numba.config.CPU_NAME, numba.config.CPU_FEATURES
    if features and not all(feature.startswith(("+", "-")) for feature in features.split(",")):
        raise UsageError(
            f"NUMBA_CPU_FEATURES must be names with + or - before them, like +avx2,-fma; received {features!r}"
        )
    return described(
        binding.get_host_cpu_name() if cpu is None else cpu, get_host_cpu_features() if features is None else features
    )


def described(cpu: str, features: str) -> Machine:
    """Return the machine for LLVM's processor name and features, "+avx2,-avx512f,…"."""
    has = set(features.split(","))
    if not binding.get_default_triple().startswith(("x86_64", "i686", "amd64")):
        return Machine(cpu, features, 16, 32, True)
    width = 64 if "+avx512f" in has else 32 if "+avx" in has else 16
    return Machine(cpu, features, width, 32 if width == 64 else 16, "+fma" in has or width == 64)


def multiply_add(
    builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value, target: Machine | None = None
) -> ir.Value:
    """a·b + c of reals or vectors: with one rounding if `target` (default: this machine) has FMA, otherwise two."""
    if not (target or machine()).fused:
        return builder.fadd(builder.fmul(a, b), c)
    kind = a.type
    lanes, scalar = (f"v{kind.count}", kind.element) if isinstance(kind, ir.VectorType) else ("", kind)
    name = f"llvm.fma.{lanes}f{32 if scalar == ir.FloatType() else 64}"
    # `declare_intrinsic` does not support vector types.
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(function, [a, b, c])
