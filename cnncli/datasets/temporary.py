"""Folders in the making: each is renamed to its place when it is whole. What a killed process left is removed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import time

from cnncli import signals

PREFIX = "."
GRACE_SECONDS = 60.0
"""So young a folder may not be locked yet by the process that has just made it."""


@contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, which is removed at the end with what is then still in it.

    As long as it is there it is locked by this process. What earlier processes left in `parent` when they were killed
    is removed first. Raises OSError.
    """
    remove_abandoned(parent)
    with (
        tempfile.TemporaryDirectory(dir=parent, prefix=PREFIX, ignore_cleanup_errors=True) as made,
        signals.undoing(partial(shutil.rmtree, made)),
    ):
        descriptor = os.open(made, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks: its age alone then says whether it is abandoned
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(made)
        finally:
            os.close(descriptor)


def abandoned(parent: Path) -> Iterator[Path]:
    """The folders in the making whose process is gone."""
    for place in sorted(parent.glob(f"{PREFIX}*")):
        with suppress(OSError):
            if place.is_dir() and not place.is_symlink() and time() - place.stat().st_mtime > GRACE_SECONDS:
                descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while its process lives
                finally:
                    os.close(descriptor)
                yield place


def remove_abandoned(parent: Path) -> None:
    """Remove them; what can't be removed stays."""
    for place in abandoned(parent):
        shutil.rmtree(place, ignore_errors=True)
