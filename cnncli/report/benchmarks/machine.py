"""Facts about the machine and the installed packages."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cnncli.report.benchmarks.figures import Figures, commands, table
from cnncli.report.benchmarks.runs import output
from cnncli.report.tables.machine_facts import WAYS

PACKAGES = (
    "cnncli",
    "numba",
    "numpy",
    "llvmlite",
    "torch",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "onnxruntime",
    "openvino",
)
PEAK = "from cnncli.kernels.jit.peak import peak; print(max(peak({threads}) for _ in range({rounds})))"
CPU = "from cnncli.kernels.jit.target import machine; print(machine().cpu)"
"""Prints LLVM's name of the processor: names like "AMD EPYC" don't tell its generation."""
WAY = "from cnncli.kernels.gemm.bfloat16 import way; print(way())"
GIGA = 1e9


def measure(rounds: int) -> Figures:
    """Names, sizes and versions; FLOP/s of multiply-adds on 1 and 2 threads; how bfloat16 is multiplied.

    The processor has LLVM's name, too.
    """
    name = _field(Path("/proc/cpuinfo"), "model name") or platform.machine()
    return {
        "cpu": f"{name} ({output('-c', CPU).strip()})",
        "cores": os.cpu_count(),
        "caches": caches(Path("/sys/devices/system/cpu/cpu0/cache")),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": _field(Path("/etc/os-release"), "PRETTY_NAME", "=").strip('"') or platform.platform(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "peak": {str(n): float(output("-c", PEAK.format(threads=n, rounds=rounds))) for n in (1, 2)},
        "bfloat16": output("-c", WAY).strip(),
    }


def render(figures: Figures) -> list[str]:
    """A row for each fact."""
    peaks = ", ".join(
        f"{flops / GIGA:.0f} on {n} thread{'s' * (n != '1')}" for n, flops in sorted(figures["peak"].items())
    )
    packages = ", ".join(f"{name} {found}" for name, found in figures["packages"].items())
    rows = [
        ("CPU", f"{figures['cpu']}, {figures['cores']} cores"),
        ("Caches", ", ".join(figures["caches"]) or "not known"),
        ("Memory", f"{figures['memory'] / GIGA:.1f} GB"),
        ("System", f"{figures['system']} ({figures['kernel']})"),
        ("Python", figures["python"]),
        ("Packages", packages),
        ("Peak of float32 multiply-adds", f"{peaks}, in GFLOP/s"),
        *([("bfloat16", WAYS[figures["bfloat16"]])] if "bfloat16" in figures else []),
    ]
    command = 'python -c "from cnncli.kernels.jit.peak import peak; print(peak(1), peak(2))"'
    return [*commands(command), *table(["", ""], rows)]


def caches(folder: Path) -> list[str]:
    """`L1d 32K`, …: those that the first core sees, from Linux's /sys."""
    found = []
    for cache in sorted(folder.glob("index*")):
        level, kind, size = ((cache / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size"))
        found.append(f"L{level}{ {'Data': 'd', 'Instruction': 'i'}.get(kind, '') } {size}")
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _field(path: Path, name: str, separator: str = ":") -> str:
    """The first value that a file of `name: value` lines gives a name; empty without one."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(separator) for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")
