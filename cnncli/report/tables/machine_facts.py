"""Hardware and settings of this machine as a list of facts, with advice for each problem."""

import platform
from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cnncli.kernels.jit.target import Machine

OLDEST_PYTHON = (3, 11)
GIGA = 1e9
PREFIXES = ("CNNCLI_", "NUMBA_", "OMP_", "MKL_", "XDG_CACHE_HOME", "NO_COLOR")
"""Of environment variables that change what cnncli does, or how fast."""


WAYS = {
    "amx_bf16": "products of tiles (amx_bf16)",
    "avx512_bf16": "products of pairs (avx512_bf16)",
    "widened": "widened to float32: no instruction for products",
}
"""How products of bfloat16 are computed, by `kernels.gemm.bfloat16.way`."""


class Fact(NamedTuple):
    """A fact about the machine. `part`: its section. `value`: for JSON; `shown`: for text.

    `advice`: the problem and its remedy in one line; empty if there is no problem.
    """

    part: str
    name: str
    value: Any
    shown: str
    advice: str = ""


def software(python: tuple[int, ...], packages: Mapping[str, str]) -> list[Fact]:
    """The version of Python, (3, 12, 1), and those of `packages`."""
    version, oldest = ".".join(map(str, python)), ".".join(map(str, OLDEST_PYTHON))
    advice = "" if python[:2] >= OLDEST_PYTHON else f"Python {version} is too old: cnncli needs {oldest} or later"
    return [
        Fact("software", "python", version, version, advice),
        *(Fact("software", name, found, found) for name, found in packages.items()),
    ]


def processor(name: str, host: "Machine", used: "Machine", bfloat16: str) -> list[Fact]:
    """The processor as it is (`host`) and as code is made for it (`used`). `bfloat16`: one of WAYS."""
    has = set(host.features.split(","))
    bits = used.width * 8
    lanes = f"{bits} bits, {used.width // 4} float32"
    fused = "fused multiply-add" if used.fused else "no fused multiply-add"
    narrowed, slow = "", ""
    if used.width < host.width or (host.fused and not used.fused):
        narrowed = (
            f"kernels use vectors of {bits} bits where this processor has {host.width * 8}: "
            "unset NUMBA_CPU_NAME and NUMBA_CPU_FEATURES"
        )
    if _is_x86() and not {"+avx2", "+fma"} <= has:
        slow = "this processor has no AVX2 and FMA: everything works, but several times slower"
    wanted = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vnni", "amx-tile", "neon")
    features = [feature for feature in wanted if f"+{feature}" in set(used.features.split(","))]
    return [
        Fact("processor", "name", name, name),
        Fact("processor", "llvm_name", used.cpu, used.cpu),
        Fact("processor", "features", features, " ".join(features) or "none of note", slow),
        Fact("processor", "vector_bits", bits, f"{lanes}, {fused}", narrowed),
        Fact("processor", "bfloat16", bfloat16, WAYS[bfloat16]),
    ]


def threads(cores: int, allowed: int, quota: float | None, used: int) -> list[Fact]:
    """`cores` of the machine, those `allowed` to this process, the `quota` of its control groups, threads `used`."""
    bound, room, crowd = "", "", ""
    if allowed < cores:
        bound = f"this process may use {allowed} of {cores} cores: limited by taskset or the container's cpuset"
    if quota is not None and quota < allowed:
        room = f"a quota leaves {quota:g} of {allowed} cores: --cpus of the container or CPUQuota of the service"
    available = allowed if quota is None else max(1, min(allowed, ceil(quota)))
    if used < available:
        crowd = (
            f"NUMBA_NUM_THREADS limits cnncli to {used} of {available} cores: unset it, or use --threads {available}"
        )
    elif used > available:
        crowd = f"NUMBA_NUM_THREADS sets {used} threads for {available} cores, which is slow: unset it"
    return [
        Fact("threads", "cores", cores, str(cores)),
        Fact("threads", "affinity", allowed, f"{allowed} of them", bound),
        Fact("threads", "quota", quota, "none" if quota is None else f"{quota:g}", room),
        Fact("threads", "used", used, str(used), crowd),
    ]


def pinning(cpus: Sequence[int], process: int, processes: int, threads: int) -> list[Fact]:
    """The CPUs that this process may run on and, if a launcher started several, its number and the threads of each."""
    shown = ranges(cpus)
    found = [Fact("threads", "cpus", list(cpus), shown)]
    if processes > 1:
        each = f"process {process} of {processes}, which train with {threads} thread{'s' * (threads > 1)} each"
        found.append(Fact("threads", "processes", processes, each))
    return found


def ranges(numbers: Sequence[int]) -> str:
    """Numbers in ascending order, such as 0-3, 8."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def speed(layer: str, peaks: Mapping[int, float], load: float) -> list[Fact]:
    """The threading layer, and the most FLOP/s of float32 multiply-adds by number of threads.

    `load`: load average of the last minute, which reduces the measured speed.
    """
    shown = ", ".join(f"{flops / GIGA:,.0f} on {n} thread{'s' * (n > 1)}" for n, flops in peaks.items())
    advice = ""
    if layer == "workqueue":
        advice = (
            "Numba starts threads with its workqueue, 50 times slower than OpenMP: install libgomp "
            "(libgomp1 in Debian and Ubuntu, libomp in Homebrew)"
        )
    return [
        Fact("speed", "threading_layer", layer, layer, advice),
        Fact("speed", "peak_gflops", {str(n): flops / GIGA for n, flops in peaks.items()}, shown),
        Fact("speed", "load", round(load, 2), f"load average {load:.1f} (1 min)"),
    ]


def uncompiled() -> list[Fact]:
    """The speed fact when Numba's compiler is disabled."""
    advice = "NUMBA_DISABLE_JIT is set, so kernels can't be compiled: unset it"
    return [Fact("speed", "threading_layer", None, "not known", advice)]


def environment(variables: Mapping[str, str]) -> list[Fact]:
    """The environment variables that matter."""
    found = [(name, text) for name, text in sorted(variables.items()) if name.startswith(PREFIXES)]
    return [Fact("environment", name, text, text) for name, text in found]


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64", "i686", "i386")
