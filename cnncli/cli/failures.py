"""One-line messages for errors of the system and other packages: what failed and how to fix it."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from cnncli.errors import CnncliError, UsageError, reason

OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""System errors without a file name, when standard output is redirected to a full or broken disk."""
NO_MEMORY = ("failed to map segment", "Cannot allocate memory")
"""Message of the dynamic loader when memory is too small for a library."""
COMPILER, SETTINGS = "NUMBA_", ".numba_config.yaml"
"""Prefix of Numba's environment variables, and its configuration file in the working directory."""
PARSED = "\nThe parse failed"
"""Text that precedes a traceback from Numba."""
OWN = ("NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR")
"""Variables that are validated elsewhere or not used."""

DISTRIBUTED = {"yaml": "PyYAML", "PIL": "pillow"}
"""Package names on PyPI that differ from the module name."""


def as_cnncli_error(error: Exception) -> CnncliError | None:
    """Convert the error to a CnncliError with message and exit code; None for a bug."""
    if message := system_error_message(error):
        return CnncliError(message)
    return _of_compiler(error)


def _of_compiler(error: Exception) -> UsageError | None:
    """Message about an invalid Numba environment variable or configuration file."""
    settings = [
        f"{name}={value}" for name, value in os.environ.items() if name.startswith(COMPILER) and name not in OWN
    ]
    settings += [SETTINGS] * Path(SETTINGS).is_file()
    if not settings or not any(name in ("numba", "llvmlite") for name in _packages(error)):
        return None
    said = " ".join(str(error).partition(PARSED)[0].split())
    return UsageError(f"Numba can't work with {', '.join(settings)}: {said}")


def system_error_message(error: Exception) -> str:
    """Message for an error that is not a bug of cnncli; empty otherwise."""
    return _exhausted(error) or _missing(error) or _unusable(error)


def _exhausted(error: Exception) -> str:
    """Message about an exhausted resource: memory or threads."""
    said = " ".join(map(str, _causes(error)))
    if isinstance(error, MemoryError):
        return (
            f"there is not enough memory{f': {error}' if str(error) else ''}; smaller batches, or less data, need less"
        )
    refused = isinstance(error, ImportError | OSError) and any(words in said for words in NO_MEMORY)
    if refused or (isinstance(error, SystemError) and _is_limited()):  # Python sometimes raises this instead
        return "there is not enough memory to load the libraries that cnncli needs; `ulimit -v` may limit it"
    if isinstance(error, RuntimeError) and said.startswith("can't start new thread"):
        return "the system refuses another thread; `ulimit -u` may limit them, --threads 1 needs fewer"
    return ""


def _is_limited() -> bool:
    """Whether the memory of this process is limited, by `ulimit -v`."""
    import resource

    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _missing(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("cnncli"):
        package = error.name.partition(".")[0]
        return f"the package {package}, which cnncli needs, is missing: pip install {DISTRIBUTED.get(package, package)}"
    return ""


def _unusable(error: Exception) -> str:
    if not isinstance(error, OSError):
        return ""
    if error.filename:
        return f"'{error.filename}' can't be used: {reason(error)}"
    if error.errno == errno.EBADF:
        return "the output can't be written: standard output is closed"
    return f"the output can't be written: {reason(error)}" if error.errno in OUTPUT else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _packages(error: Exception) -> Iterator[str]:
    """The packages in the traceback of the error."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        trace = trace.tb_next
