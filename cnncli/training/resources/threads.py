"""How many threads to use. To be settled before Numba is imported, which fixes the greatest number then."""

import os
import sys
from math import ceil
from pathlib import Path

from cnncli.errors import UsageError
from cnncli.system.control_groups import groups, text

VARIABLE = "NUMBA_NUM_THREADS"
MOST = 4096
"""Where the system refuses a thread, the process ends without a word."""


def settle(wanted: int | None, *, room: bool = False) -> int:
    """The number of threads: `wanted`, or what NUMBA_NUM_THREADS says, or one a CPU; Numba is told to allow it.

    With `room`, it is told to allow one a CPU, for a later call in this process: once Numba is imported, its greatest
    number stands. Raises UsageError where NUMBA_NUM_THREADS is no number of at least 1, where one of them is far too
    large, or larger than this process's Numba allows.
    """
    said = os.environ.get(VARIABLE)
    if said is not None and (not said.isdecimal() or int(said) < 1):
        raise UsageError(f"{VARIABLE} must be an integer ≥ 1; received {said!r}")
    given = int(said) if said else None
    count = wanted or given or available()
    if max(count, given or 1) > MOST:
        raise UsageError(f"--threads and {VARIABLE} must be at most {MOST:,}; received {max(count, given or 1):,}")
    if "numba" in sys.modules:
        return _allowed(wanted, count)
    os.environ[VARIABLE] = str(max(count, given or 1, available() if room else 1))
    return count


def _allowed(wanted: int | None, count: int) -> int:
    """`count`, or as many as Numba allows where nobody asked for more."""
    from numba import config

    most = int(config.NUMBA_NUM_THREADS)
    if wanted is not None and wanted > most:
        raise UsageError(
            f"threads must be at most {most} in this process, which has computed with as many already; received "
            f"{wanted}: set {VARIABLE} before its first training"
        )
    return min(count, most)


def available(root: Path = Path("/")) -> int:
    """The CPUs that this process may use: its affinity, and the quota of its control groups (`root`: see tests)."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    found = quota(root)
    return count if found is None else max(1, min(count, ceil(found)))


def quota(root: Path = Path("/")) -> float | None:
    """The least CPU quota of this process's control groups and those around them; None if none."""
    quotas = [_QUOTAS[version](folder) for version, folder in groups("cpu", root)]
    return min((found for found in quotas if found is not None), default=None)


def _version_1(folder: Path) -> float | None:
    quota, period = text(folder / "cpu.cfs_quota_us"), text(folder / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _version_2(folder: Path) -> float | None:
    quota, _, period = text(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


_QUOTAS = {1: _version_1, 2: _version_2}
