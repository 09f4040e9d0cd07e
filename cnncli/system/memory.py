"""The memory limit of this process; imports only control groups."""

import os
import sys
from pathlib import Path

from cnncli.system.control_groups import groups, text

LIMITS = {1: "memory.limit_in_bytes", 2: "memory.max"}
"""The file with a control group's limit, by version of control groups."""
RESOURCES = ("RLIMIT_AS", "RLIMIT_DATA")
"""Limits set by `ulimit`."""


def limit(root: Path = Path("/")) -> int:
    """The bytes of memory that this process may use: the machine's, or the limit of `ulimit` or its control groups.

    `root`: see tests.
    """
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    said = [text(folder / LIMITS[version]) for version, folder in groups("memory", root)]
    return min([machine, *_resources(), *(int(number) for number in said if number.isdecimal())])


def peak() -> int | None:
    """The most bytes of memory that this process has had so far; None where the system does not say it."""
    try:
        import resource  # here, because only POSIX has it
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def shown(size: int) -> str:
    """Format a number of bytes: `3.2 GB`."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def _resources() -> list[int]:
    try:
        import resource  # here, because only POSIX has it
    except ImportError:
        return []
    soft = [resource.getrlimit(getattr(resource, name))[0] for name in RESOURCES if hasattr(resource, name)]
    return [size for size in soft if size != resource.RLIM_INFINITY]
