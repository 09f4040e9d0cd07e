"""The persistent cache of compiled kernels.

Numba's cache does not detect edits in other files, and its files are pickles: anyone able to write one could run code
as this user. The folder is therefore private to the user (mode 0700), and no other user can write to its parents. It
is named by a digest of the versions of Numba and llvmlite, the CPU and its features. Inside, each kernel subpackage has
a folder named by a digest of its sources and those of the subpackages it imports, so that an edit recompiles only that
subpackage and its dependents. `CNNCLI_CACHE_DIR` moves it. Each file's SHA-256 is stored next to it; a file whose
SHA-256 is missing or different is deleted before Numba reads it. If the folder is missing or not writable, kernels are
compiled in memory in each process, and a warning gives the reason.

Each function has its own folder: Numba numbers the variants of a function in one index, and two processes that add
variants concurrently could use the same number, so that one would load the other's code.
"""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache as once
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.compiler_lock import global_compiler_lock

from cnncli.kernels.jit.lazy_nrt import defer
from cnncli.kernels.jit.target import machine
from cnncli.notices import warn
from cnncli.system import folders, signals

FILES = "*.nb[ic]"
"""Numba's index and code files."""
ELSEWHERE = "elsewhere"
"""Pseudo-subpackage for functions defined outside the kernels, which may use any subpackage."""
IMPORTED = re.compile(rb" cnncli\.kernels\.(\w+)")
"""A subpackage in an import statement; a literal prefix is searched six times faster than any other pattern."""


def digest() -> str:
    """Return 16 hex digits that depend on the compiler versions and the CPU."""
    return _hex([repr((numba.__version__, llvmlite.__version__, machine())).encode()])


def folder() -> Path:
    """Return the folder of this digest, which need not exist. Raises RuntimeError if there is no home directory."""
    return folders.cache("jit") / digest()


@once
def rooms() -> dict[str, str]:
    """Return the folder name of each subpackage: "conv-" and 16 hex digits that depend on all sources it uses."""
    places = [place for place in Path(__file__).parents[1].iterdir() if (place / "__init__.py").is_file()]
    sources = {place.name: [file.read_bytes() for file in sorted(place.rglob("*.py"))] for place in places}
    imports = {
        room: {found.decode() for text in texts for found in IMPORTED.findall(text)} for room, texts in sources.items()
    }
    own = {room: _hex(texts) for room, texts in sources.items()}
    below = {ELSEWHERE: set(own), **{room: _below(room, imports) for room in own}}
    return {room: f"{room}-{_hex(own[each].encode() for each in sorted(below[room]))}" for room in below}


def _below(room: str, imports: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the subpackage and all that it imports, directly or indirectly."""
    found, left = set(), [room]
    while left:
        room = left.pop()
        if room not in found:
            found.add(room)
            left += imports[room]
    return found


def _hex(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def prepare() -> str:
    """Create the folder. Return an empty text, or the reason why it can't be used."""
    try:
        place = folder()
        folders.make(place)
        found = place.lstat()  # do not follow a symbolic link: another user may have created it
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
    signals.undo(lambda: _remove_unfinished(place))
    return ""


def remove_unsealed(place: Path) -> None:
    """Remove every cached file whose SHA-256 does not match: it is damaged, or its writer was killed."""
    for file in place.rglob(FILES):
        try:
            whole = _seal_of(file).read_text("ascii") == _sha256(file)
        except (OSError, ValueError):
            whole = False
        if not whole:
            file.unlink(missing_ok=True)


def _remove_unfinished(place: Path) -> None:
    """Remove temporary files of Numba and `seal`; a process whose file is removed compiles without the cache."""
    for pattern in ("*.tmp.*", f"*.sha256.{os.getpid()}"):
        for file in place.rglob(pattern):
            file.unlink(missing_ok=True)


def seal(place: Path) -> None:
    """Write the SHA-256 of each file for which it is missing or older than the file."""
    for file in place.rglob(FILES):
        kept = _seal_of(file)
        try:
            if kept.exists() and kept.stat().st_mtime_ns >= file.stat().st_mtime_ns:
                continue
            temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
            temporary.write_text(_sha256(file), "ascii")
            temporary.replace(kept)
        except OSError:  # already removed, or the disk is full: without its SHA-256 it is recompiled
            continue


def _seal_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


WHY_NOT = prepare()
"""Why compiled kernels are not cached; empty if they are."""
ENABLED = not WHY_NOT
FOLDER = folder() if ENABLED else Path()
"""The cache folder, constant for the lifetime of the process."""
if WHY_NOT:
    warn(f"compiled kernels are not kept: {WHY_NOT}; set CNNCLI_CACHE_DIR to another directory")
defer()


def place(module: str, name: str) -> Path:
    """Return the path of `name` in the folder of a module's subpackage."""
    *package, room, _ = ["", *module.split(".")][-4:]
    return FOLDER / rooms()[room if package == ["cnncli", "kernels"] else ELSEWHERE] / name


@contextmanager
def _kept_in(place: Path) -> Iterator[None]:
    """Context in which Numba caches compiled code in this folder; other threads block, as during compilation."""
    with global_compiler_lock:
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(place)
        try:
            yield
        finally:
            numba.config.CACHE_DIR = before


def compiled(module: str, name: str, build: Callable[[bool], Any]) -> Any:
    """Call `build(cache)` with the cache folder `name`, and again without a cache if that fails.

    `module`: where the function is defined. A truncated file can make Numba raise any exception, and writing fails on a
    full disk. Errors in the source itself are raised by the second attempt.
    """
    if ENABLED:
        where = place(module, re.sub(r"\W+", "-", name))
        try:
            folders.make(where)
            remove_unsealed(where)
            with _kept_in(where):
                built = build(True)
            seal(where)
            return built
        except MemoryError:  # not caused by the files
            raise
        except Exception:
            for file in where.rglob(FILES):
                file.unlink(missing_ok=True)
    return build(False)
