"""The report on this machine: all facts, then the problems and their remedies."""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from itertools import groupby
from typing import Any, TextIO

from rich.padding import Padding
from rich.table import Table

from cnncli.report.tables import machine_facts, storage
from cnncli.report.tables.machine_facts import Fact
from cnncli.report.terminal.console import console_on, tied
from cnncli.training.distributed.launch import group, threads_of_process
from cnncli.training.resources import threads as cpus
from cnncli.training.runs.run_directory import processor_name
from cnncli.version import __version__


def examine(variables: Mapping[str, str], used: int) -> list[Fact]:
    """All facts about this machine. `variables`: the environment of the user. `used`: number of threads.

    Measures the peak of multiply-adds, which takes a second, and compiles for it where it was never done.
    """
    import numba
    from llvmlite import binding
    from numba.core.codegen import get_host_cpu_features

    from cnncli.kernels.gemm.bfloat16 import way
    from cnncli.kernels.jit import cache, target

    host = target.described(binding.get_host_cpu_name(), get_host_cpu_features())
    optional = [name for name in ("mpi4py",) if find_spec(name)]
    packages = {name: version(name) for name in ("numpy", "numba", "llvmlite", *optional)}
    allowed = cpus.affinity()
    return [
        *machine_facts.software(sys.version_info[:3], {"cnncli": __version__, **packages}),
        *machine_facts.processor(processor_name() or platform.machine(), host, target.machine(), way()),
        *machine_facts.threads(os.cpu_count() or 1, len(allowed), cpus.quota(), used),
        *machine_facts.pinning(allowed, group().rank, group().size, threads_of_process()),
        *(machine_facts.uncompiled() if numba.config.DISABLE_JIT else _speed(used)),
        *storage.caches(cache.digest(), cache.rooms().values(), unused=cache.WHY_NOT),
        *storage.data(),
        *storage.trained(),
        *storage.disk(),
        *machine_facts.environment(variables),
    ]


def _speed(used: int) -> list[Fact]:
    import numba

    from cnncli.kernels.jit.peak import peak

    peaks = {count: peak(count) for count in dict.fromkeys((1, used))}
    return machine_facts.speed(numba.threading_layer(), peaks, os.getloadavg()[0])


def document(found: Sequence[Fact]) -> dict[str, Any]:
    """Data for JSON: the values by part and name, and "problems", the lines of advice."""
    parts = {part: {fact.name: fact.value for fact in group} for part, group in groupby(found, lambda fact: fact.part)}
    return {**parts, "problems": [fact.advice for fact in found if fact.advice]}


def print_report(found: Sequence[Fact], file: TextIO) -> None:
    """One section per part, one line per fact, then one line per problem."""
    console = console_on(file)
    widest = max(len(fact.name) for fact in found)
    for part, facts in groupby(found, lambda fact: fact.part):
        console.print(part.capitalize(), style="bold")
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column(min_width=widest, no_wrap=True)
        table.add_column(overflow="fold")
        for fact in facts:
            table.add_row(fact.name.replace("_", " "), tied(fact.shown))
        console.print(Padding(table, (0, 0, 0, 2), expand=False))
    problems = [fact.advice for fact in found if fact.advice]
    console.print()
    console.print(f"{len(problems)} problem{'s' * (len(problems) > 1)}:" if problems else "no problems found")
    for advice in problems:
        console.print(Padding(tied(advice), (0, 0, 0, 2), expand=False))
