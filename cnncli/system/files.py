"""Reads regular files with size limits; this module imports nothing of cnncli.

Rejected files raise OSError with the reason as `strerror`, like errors of the system.
"""

import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, AnyStr

LONGEST_LINE = 16 << 20
"""Maximum characters in a line of a table: a row of a million pixels has 4 to 12 million."""
KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_INHERITED = re.compile(r"/dev/stdin|/dev/fd/\d+|/proc/self/fd/\d+")


def open_regular(path: Path, *, inherited: bool = False) -> io.BufferedReader:
    """Open a regular file for reading. With `inherited`, also pipes passed by the shell, such as `/dev/stdin`.

    Raises OSError on failure, and for pipes and devices, which may never end; opening does not block.
    """
    file = io.FileIO(path, opener=_without_waiting)
    try:
        kind = stat.S_IFMT(os.fstat(file.fileno()).st_mode)
        if kind != stat.S_IFREG and not (inherited and _INHERITED.fullmatch(str(path))):
            what = KINDS.get(kind, "something else")
            raise OSError(errno.EINVAL, f"it must be a regular file; it is {what}", str(path))
        os.set_blocking(file.fileno(), True)
    except BaseException:
        file.close()
        raise
    return io.BufferedReader(file)


def read_bounded(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises OSError."""
    with open_regular(path) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it must hold at most {most:,} bytes", str(path))
    return found


@contextmanager
def text_lines(path: Path, encoding: str = "utf-8-sig") -> Iterator[Iterator[str]]:
    """The lines of a regular text file, for the csv module. Raises OSError."""
    with io.TextIOWrapper(open_regular(path), encoding=encoding, newline="") as file:
        yield bounded_lines(file)


def bounded_lines(file: IO[AnyStr]) -> Iterator[AnyStr]:
    """The lines of a file. Raises OSError with the line number if one is too long."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise OSError(errno.EFBIG, f"line {number:,} has more than {LONGEST_LINE:,} characters")
        yield line


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
