"""Temporary directories that are renamed when complete. Those left by killed processes are removed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import time

from cnncli.system import signals

PREFIX = "."
LONGEST_SECONDS = 86_400.0
"""On a file system without locks, a folder that was last written to before that is taken for an abandoned one."""


@contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, which is removed at the end with what is then still in it.

    As long as it is there it is locked by this process. What earlier processes left in `parent` when they were killed
    is removed first. Raises OSError.
    """
    remove_abandoned(parent)
    place, descriptor = _locked(parent)
    try:
        with signals.undoing(partial(shutil.rmtree, place)):
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(descriptor)


def abandoned(parent: Path) -> Iterator[Path]:
    """The folders in the making whose process is gone; each is locked until the next is asked for."""
    for place in sorted(parent.glob(f"{PREFIX}*")):
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # no folder, or gone meanwhile
            continue
        try:
            if _is_abandoned(descriptor):
                yield place
        finally:
            os.close(descriptor)


def remove_abandoned(parent: Path) -> None:
    """Remove them; what can't be removed stays."""
    for place in abandoned(parent):
        shutil.rmtree(place, ignore_errors=True)


def _locked(parent: Path) -> tuple[Path, int]:
    """A new folder and the descriptor that holds its lock.

    Another process may take it for an abandoned one before it is locked, and remove it: then it is made again.
    """
    while True:
        place = Path(tempfile.mkdtemp(dir=parent, prefix=PREFIX))
        with suppress(FileNotFoundError):
            descriptor = os.open(place, os.O_RDONLY)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if place.exists():
                return place, descriptor
            os.close(descriptor)


def _is_abandoned(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return time() - os.fstat(descriptor).st_mtime > LONGEST_SECONDS
    return True
