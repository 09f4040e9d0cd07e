"""How many threads to use. To be settled before Numba is imported, which fixes the greatest number then."""

import os
from math import ceil
from pathlib import Path

from cnncli.errors import UsageError

VARIABLE = "NUMBA_NUM_THREADS"


def settle(wanted: int | None) -> int:
    """The number of threads: `wanted`, or what NUMBA_NUM_THREADS says, or one a CPU; Numba is told to allow it.

    Raises UsageError where NUMBA_NUM_THREADS is no number of at least 1.
    """
    text = os.environ.get(VARIABLE)
    if text is not None and (not text.isdecimal() or int(text) < 1):
        raise UsageError(f"{VARIABLE} must be a whole number of at least 1; received {text!r}")
    given = int(text) if text else None
    count = wanted or given or available()
    os.environ[VARIABLE] = str(max(count, given or 1))
    return count


def available(root: Path = Path("/")) -> int:
    """The CPUs that this process may use: its affinity, and the quota of its control groups (`root`: see tests)."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    found = quota(root)
    return count if found is None else max(1, min(count, ceil(found)))


def quota(root: Path = Path("/")) -> float | None:
    """The least CPU quota of this process's control groups and those around them, version 1 or 2; None if none."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    mount = root / "sys/fs/cgroup"
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            quotas += [_version_2(folder) for folder in _upwards(mount, path)]
        elif "cpu" in controllers.split(","):
            quotas += [_version_1(folder) for name in ("cpu", controllers) for folder in _upwards(mount / name, path)]
    return min((found for found in quotas if found is not None), default=None)


def _upwards(mount: Path, path: str) -> list[Path]:
    folder = mount / path.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(mount))]


def _version_2(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


def _version_1(folder: Path) -> float | None:
    quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
