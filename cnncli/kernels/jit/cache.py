"""Where compiled kernels are kept between processes.

Numba's cache does not see an edit in another file, and its files are pickles: whoever could put one there would run
code as this user. So the folder is private to the user (mode 0700), and nobody else can change any folder above it. It
is named by a digest of the versions of Numba and llvmlite, the CPU and its features; in it each room of the kernels has
a folder named by a digest of its sources and those of all rooms it builds on, so that an edit compiles anew just its
own room and the rooms above. `CNNCLI_CACHE_DIR` moves it. Each file has its SHA-256 beside it; a file without one, or
with another, is removed before Numba sees it. Where there is no such folder, or it can't be written, kernels are
compiled anew in each process, in memory, and a warning says why.

Each function has a folder of its own in its room's: Numba numbers the variants of a function in one index, and two
processes that add theirs at one time may both take the same number, whereupon one finds the other's code.
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
"""In place of a room, for functions that are defined outside the kernels: they may use any room."""
IMPORTED = re.compile(rb" cnncli\.kernels\.(\w+)")
"""A room in a line of import: a literal beginning is searched for six times faster than any other pattern."""


def digest() -> str:
    """16 hex digits that change with any compiler version or CPU."""
    return _hex([repr((numba.__version__, llvmlite.__version__, machine())).encode()])


def folder() -> Path:
    """The folder of this digest, whether it exists or not. Raises RuntimeError where there is no home directory."""
    return folders.cache("jit") / digest()


@once
def rooms() -> dict[str, str]:
    """The folder's name of each room: "conv-" and 16 hex digits that change with any source it is compiled from."""
    places = [place for place in Path(__file__).parents[1].iterdir() if (place / "__init__.py").is_file()]
    sources = {place.name: [file.read_bytes() for file in sorted(place.rglob("*.py"))] for place in places}
    imports = {
        room: {found.decode() for text in texts for found in IMPORTED.findall(text)} for room, texts in sources.items()
    }
    own = {room: _hex(texts) for room, texts in sources.items()}
    below = {ELSEWHERE: set(own), **{room: _below(room, imports) for room in own}}
    return {room: f"{room}-{_hex(own[each].encode() for each in sorted(below[room]))}" for room in below}


def _below(room: str, imports: Mapping[str, Iterable[str]]) -> set[str]:
    """The room and all that it imports, directly or not."""
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
    """Make the folder; why it can't be used where that is so, else nothing."""
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


WHY_NOT = prepare()
"""Why compiled kernels are not kept; empty where they are."""
ENABLED = not WHY_NOT
FOLDER = folder() if ENABLED else Path()
"""Where they are, from the beginning of this process to its end."""
if WHY_NOT:
    warn(f"compiled kernels are not kept: {WHY_NOT}; set CNNCLI_CACHE_DIR to another directory")
defer()


def place(module: str, name: str) -> Path:
    """The folder, or file, called `name` in the folder of the room that a module is in."""
    *package, room, _ = ["", *module.split(".")][-4:]
    return FOLDER / rooms()[room if package == ["cnncli", "kernels"] else ELSEWHERE] / name


@contextmanager
def _kept_in(place: Path) -> Iterator[None]:
    """Inside, Numba keeps what it compiles in this folder; other threads wait, as they do while it compiles."""
    with global_compiler_lock:
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(place)
        try:
            yield
        finally:
            numba.config.CACHE_DIR = before


def compiled(module: str, name: str, build: Callable[[bool], Any]) -> Any:
    """`build(cache)`: compiled code from the folder of that name, or put there; made without it where that fails.

    `module`: where the function is defined. A file cut short by a crash can make the reader raise anything, and a full
    disk stops the writer. A mistake of the source itself is raised by the second attempt.
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
        except MemoryError:  # no fault of the files
            raise
        except Exception:
            for file in where.rglob(FILES):
                file.unlink(missing_ok=True)
    return build(False)
