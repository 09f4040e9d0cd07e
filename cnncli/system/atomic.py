"""Files that are written whole or not at all.

What a program writes for its user goes into a temporary file beside the target, which takes the target's place when all
of it is on the disk. An error or a signal leaves the old file as it was, and no temporary one.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cnncli.errors import CnncliError, reason
from cnncli.system import signals

STREAMS = "/dev/fd"
"""Where the streams that this process has open are, whatever they lead to; /dev/stdout is a link to one."""
MOST_LINKS = 40


def write(path: Path, content: bytes) -> None:
    """Make `content` the file at `path`, for good and at once. Raises CnncliError as `replacing` does."""
    with replacing(path) as file, telling(path):
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to be written in the block and to stand at `path` after it: flushed to the disk, then renamed.

    A link is written through; a file that is replaced hands on its permissions; a device, a pipe or a stream such as
    /dev/stdout is written to as it is. Raises CnncliError where that fails, with the file that was there intact.
    """
    number = _stream(path)
    if number is not None or _is_special(path):
        with telling(path):
            file = open(path if number is None else number, "wb", closefd=number is None)  # noqa: SIM115
        with _closed(file):
            yield file
            with telling(path):
                file.flush()
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{os.urandom(4).hex()}.tmp")
    with _removed(temporary.unlink):
        with telling(path):
            file = temporary.open("xb")
            _permit(file, target)
        with _closed(file):
            yield file
            with telling(path):
                file.flush()
                os.fsync(file.fileno())
        with telling(path):
            temporary.replace(target)
            sync(target.parent)


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what the system says into a CnncliError about `path`."""
    try:
        yield
    except OSError as error:
        before = "; the file written before is intact" if path.is_file() else ""
        why = reason(error) if path.parent.is_dir() else f"there is no folder '{path.parent}'"
        raise CnncliError(f"{path}: can't be written: {why}{before}") from None


def sync(folder: Path) -> None:
    """Make names in `folder` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _removed(remove: Callable[[], None]) -> Iterator[None]:
    """Call `remove` after the block, also where a signal or an error ends it; there may be nothing to remove."""
    with signals.undoing(remove):
        try:
            yield
        finally:
            with suppress(OSError):
                remove()


@contextmanager
def _closed(file: IO[bytes]) -> Iterator[None]:
    """Close the file after the block; what could not be flushed was told, and fails once more."""
    try:
        yield
    finally:
        with suppress(OSError):
            file.close()


def _stream(path: Path) -> int | None:
    """The number of the open stream that a path stands for: /dev/stdout, /dev/fd/3."""
    for _ in range(MOST_LINKS):
        if path.name.isdecimal() and os.path.realpath(path.parent) == os.path.realpath(STREAMS):
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _is_special(path: Path) -> bool:
    """Whether it is there and neither a file nor a folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _permit(file: IO[bytes], target: Path) -> None:
    """Give the file the permissions of the one that it replaces. Raises OSError where that may not be written."""
    if not target.is_file():
        return
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
