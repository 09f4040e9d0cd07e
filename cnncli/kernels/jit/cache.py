"""Where compiled kernels are kept between processes.

Numba's cache does not see an edit in another file, and its files are pickles: whoever could put one there would run
code as this user. So the folder is private to the user (mode 0700), nobody else can change any folder above it, and it
is named by a digest of everything the machine code depends on: all kernel sources, the versions of Numba and llvmlite,
the CPU and its features. `CNNCLI_CACHE_DIR` moves it. Each file has its SHA-256 beside it; a file without one, or with
another, is removed before Numba sees it. Where there is no such folder, or it can't be written, kernels are compiled
anew in each process, in memory, and a warning says why.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba

from cnncli.kernels.jit.lazy_nrt import defer
from cnncli.kernels.jit.target import machine
from cnncli.notices import warn
from cnncli.system import folders, signals

FILES = "*.nb[ic]"
"""Numba's index and code files."""


def digest() -> str:
    """16 hex digits that change with any kernel source, compiler version or CPU."""
    state = hashlib.sha256()
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        state.update(source.read_bytes())
    state.update(repr((numba.__version__, llvmlite.__version__, machine())).encode())
    return state.hexdigest()[:16]


def folder() -> Path:
    """The folder of this digest, whether it exists or not. Raises RuntimeError where there is no home directory."""
    return folders.cache("jit") / digest()


def prepare() -> str:
    """Point Numba at the folder; why it can't be used where that is so, else nothing."""
    try:
        place = folder()
        folders.make(place)
        found = place.lstat()  # not followed: a link that somebody else has put there could lead anywhere
    except RuntimeError:
        return "there is no home directory"
    except OSError as error:
        return f"{error.filename} can't be made: {error.strerror}"
    why = folders.unsafe_reason(place)
    if why:
        return why
    if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        return f"{place} must be a folder for its owner alone (rm -r {place})"
    if not os.access(place, os.W_OK):
        return f"{place} can't be written"
    numba.config.CACHE_DIR = str(place)
    remove_unsealed(place)
    signals.undo(lambda: _remove_unfinished(place))
    return ""


def remove_unsealed(place: Path) -> None:
    """Remove every cached file whose content is not what its seal says: damaged, or its writer was killed."""
    for file in place.rglob(FILES):
        try:
            whole = _seal_of(file).read_text("ascii") == _sha256(file)
        except (OSError, ValueError):
            whole = False
        if not whole:
            file.unlink(missing_ok=True)


def _remove_unfinished(place: Path) -> None:
    """Remove files that Numba, or `seal`, has not renamed yet; another process that loses one compiles without."""
    for pattern in ("*.tmp.*", f"*.sha256.{os.getpid()}"):
        for file in place.rglob(pattern):
            file.unlink(missing_ok=True)


def seal(place: Path) -> None:
    """Write the SHA-256 of each file that is newer than its seal, or has none."""
    for file in place.rglob(FILES):
        kept = _seal_of(file)
        try:
            if kept.exists() and kept.stat().st_mtime_ns >= file.stat().st_mtime_ns:
                continue
            temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
            temporary.write_text(_sha256(file), "ascii")
            temporary.replace(kept)
        except OSError:  # gone again, or the disk is full: without a seal it is compiled anew
            continue


def _seal_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _state(place: Path) -> list[int]:
    """Changes when a file is written: Numba writes under another name and renames."""
    return [folder.stat().st_mtime_ns for folder in place.iterdir() if folder.is_dir()]


WHY_NOT = prepare()
"""Why compiled kernels are not kept; empty where they are."""
ENABLED = not WHY_NOT
if WHY_NOT:
    warn(f"compiled kernels are not kept: {WHY_NOT}; CNNCLI_CACHE_DIR names another folder")
defer()


def compiled(build: Callable[[bool], Any]) -> Any:
    """`build(cache)`: compiled code from the folder or put there; made without it where that fails.

    A file cut short by a crash can make the reader raise anything, and a full disk stops the writer. A mistake of the
    source itself is raised by the second attempt.
    """
    if ENABLED:
        place = Path(numba.config.CACHE_DIR)
        try:
            before = _state(place)
            built = build(True)
            if _state(place) != before:
                seal(place)
            return built
        except MemoryError:  # no fault of the files
            raise
        except Exception:
            for file in place.rglob(FILES):
                file.unlink(missing_ok=True)
    return build(False)
