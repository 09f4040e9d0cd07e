"""Where compiled kernels are kept between processes.

Numba's cache does not see an edit in another file, and its files are pickles. So the folder is private to the user
(mode 0700) and named by a digest of everything the machine code depends on: all kernel sources, the versions of Numba
and llvmlite, the CPU and its features. `CNNCLI_CACHE_DIR` moves it. Where no folder can be written, or what lies there
can't be read, kernels are compiled anew in each process.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from llvmlite import binding


def digest() -> str:
    """16 hex digits that change with any kernel source, compiler version or CPU."""
    state = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        state.update(source.read_bytes())
    cpu = numba.config.CPU_NAME or binding.get_host_cpu_name()
    features = numba.config.CPU_FEATURES or binding.get_host_cpu_features().flatten()
    state.update(repr((numba.__version__, llvmlite.__version__, cpu, features)).encode())
    return state.hexdigest()[:16]


def folder() -> Path:
    """The folder of this digest, whether it exists or not; absolute, because a process may change its directory.

    Raises RuntimeError where there is no home directory.
    """
    base = os.environ.get("CNNCLI_CACHE_DIR")
    home = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "cnncli"
    return home.expanduser().absolute() / "jit" / digest()


def prepare() -> bool:
    """Point Numba at the folder; False where it can't be made, is not ours, or can't be written."""
    try:
        place = folder()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not followed: a link that somebody else has put there could lead anywhere.
        found = place.lstat()
    except (OSError, RuntimeError):
        return False
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    if not private or not os.access(place, os.W_OK):
        return False
    numba.config.CACHE_DIR = str(place)
    return True


ENABLED = prepare()


def compiled(build: Callable[[bool], Any]) -> Any:
    """`build(cache)`: compiled code from the folder or put there; made without it where that fails.

    A file cut short by a crash can make the reader raise anything, and a full disk stops the writer. A mistake of the
    source itself is raised by the second attempt.
    """
    if ENABLED:
        try:
            return build(True)
        except Exception:
            for file in Path(numba.config.CACHE_DIR).rglob("*.nb[ic]"):
                file.unlink(missing_ok=True)
    return build(False)
