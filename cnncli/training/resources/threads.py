"""The number of threads, to be set before importing Numba, which fixes the maximum on import."""

import os
import sys
from math import ceil
from pathlib import Path

from cnncli.errors import UsageError
from cnncli.system.control_groups import groups, text

VARIABLE = "NUMBA_NUM_THREADS"
MOST = 4096
"""Upper limit: if the system can't create a thread, the process ends without an error message."""


def settle(wanted: int | None, *, room: bool = False) -> int:
    """Return the number of threads (`wanted`, else NUMBA_NUM_THREADS, else one per CPU) and set Numba's maximum.

    With `room`, Numba's maximum is at least one per CPU, for later calls in this process: it is fixed once Numba is
    imported. Raises UsageError if NUMBA_NUM_THREADS is not an integer ≥ 1, or if a number is far too large or larger
    than the maximum in this process.
    """
    setting = os.environ.get(VARIABLE)
    if setting is not None and (not setting.isdecimal() or int(setting) < 1):
        raise UsageError(f"{VARIABLE} must be an integer ≥ 1; received {setting!r}")
    given = int(setting) if setting else None
    count = wanted or given or available()
    if max(count, given or 1) > MOST:
        raise UsageError(f"--threads and {VARIABLE} must be at most {MOST:,}; received {max(count, given or 1):,}")
    if "numba" in sys.modules:
        return _allowed(wanted, count)
    os.environ[VARIABLE] = str(max(count, given or 1, available() if room else 1))
    return count


def _allowed(wanted: int | None, count: int) -> int:
    """`count`, limited to Numba's maximum unless explicitly requested."""
    from numba import config

    most = int(config.NUMBA_NUM_THREADS)
    if wanted is not None and wanted > most:
        raise UsageError(
            f"threads must be at most {most} in this process, which has computed with as many already; received "
            f"{wanted}: set {VARIABLE} before its first training"
        )
    return min(count, most)


def available(root: Path = Path("/")) -> int:
    """The number of CPUs available to this process, from its affinity and cgroup quotas (`root`: for tests)."""
    count = len(affinity())
    found = quota(root)
    return count if found is None else max(1, min(count, ceil(found)))


def affinity() -> list[int]:
    """The numbers of the CPUs that this process may run on."""
    found = getattr(os, "sched_getaffinity", None)
    return sorted(found(0)) if found else list(range(os.cpu_count() or 1))


def quota(root: Path = Path("/")) -> float | None:
    """The smallest CPU quota of this process's cgroups and their parents; None without a quota."""
    quotas = [_QUOTAS[version](folder) for version, folder in groups("cpu", root)]
    return min((found for found in quotas if found is not None), default=None)


def _version_1(folder: Path) -> float | None:
    quota, period = text(folder / "cpu.cfs_quota_us"), text(folder / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _version_2(folder: Path) -> float | None:
    quota, _, period = text(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


_QUOTAS = {1: _version_1, 2: _version_2}
