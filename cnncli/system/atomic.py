"""Atomic file writes.

Output goes to a temporary file next to the target, which replaces the target when all of it is on disk. An error or a
signal leaves the old file unchanged and no temporary file.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cnncli.errors import CnncliError, reason
from cnncli.system import signals

STREAMS = "/dev/fd"
"""The directory of this process's open file descriptors; /dev/stdout is a link to one."""
MOST_LINKS = 40


def write(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically. Raises CnncliError as `replacing` does."""
    with replacing(path) as file, write_errors(path):
        file.write(content)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder with these files. A new one appears when all of them are on disk; in an existing one, each file is
    replaced, and others stay. Raises CnncliError as `replacing` does.
    """
    if path.is_dir():
        for name, content in files.items():
            write(path / name, content)
        return
    temporary = path.with_name(f".{os.urandom(4).hex()}.tmp")
    with _removed(lambda: shutil.rmtree(temporary, ignore_errors=True)), write_errors(path):
        temporary.mkdir()
        for name, content in files.items():
            with (temporary / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        sync(temporary)
        temporary.rename(path)
    _sync_above(path.absolute(), path)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write in the block, which replaces `path` after it: flushed to disk, then renamed.

    Links are followed; the permissions of a replaced file are kept; devices, pipes and streams such as /dev/stdout are
    written directly. Raises CnncliError on failure, with the existing file unchanged, unless only its folder can't be
    flushed to disk.
    """
    number = _stream(path)
    if number is not None or _is_special(path):
        with write_errors(path):
            file = open(path if number is None else number, "wb", closefd=number is None)  # noqa: SIM115
        with _closed(file):
            yield file
            with write_errors(path):
                file.flush()
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{os.urandom(4).hex()}.tmp")
    with _removed(temporary.unlink):
        with write_errors(path):
            file = temporary.open("xb")
            _permit(file, target)
        with _closed(file):
            yield file
            with write_errors(path):
                file.flush()
                os.fsync(file.fileno())
        with write_errors(path):
            temporary.replace(target)
        _sync_above(target, path)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Convert an OSError to a CnncliError about `path`."""
    try:
        yield
    except OSError as error:
        before = "; the existing file is unchanged" if path.is_file() else ""
        why = reason(error) if path.parent.is_dir() else f"there is no directory '{path.parent}'"
        raise CnncliError(f"{path}: can't be written: {why}{before}") from None


def sync(folder: Path) -> None:
    """Flush the entries of `folder` to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _sync_above(target: Path, path: Path) -> None:
    """Flush the name of `target`, which the user calls `path`. Raises CnncliError."""
    try:
        sync(target.parent)
    except OSError as error:
        raise CnncliError(f"{path}: is written, but may be gone after a power failure: {reason(error)}") from None


@contextmanager
def _removed(remove: Callable[[], None]) -> Iterator[None]:
    """Call `remove` after the block, also on a signal or an error; the file may not exist."""
    with signals.undoing(remove):
        try:
            yield
        finally:
            with suppress(OSError):
                remove()


@contextmanager
def _closed(file: IO[bytes]) -> Iterator[None]:
    """Close the file after the block, ignoring flush errors, which have already been reported."""
    try:
        yield
    finally:
        with suppress(OSError):
            file.close()


def _stream(path: Path) -> int | None:
    """The file descriptor of a path such as /dev/stdout or /dev/fd/3, else None."""
    for _ in range(MOST_LINKS):
        if path.name.isdecimal() and os.path.realpath(path.parent) == os.path.realpath(STREAMS):
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _is_special(path: Path) -> bool:
    """Whether it exists and is neither a file nor a directory."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _permit(file: IO[bytes], target: Path) -> None:
    """Copy the permissions of the file it replaces. Raises OSError if that is not writable."""
    if not target.is_file():
        return
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
