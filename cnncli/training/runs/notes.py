"""Notes and tags of a run: what its user wrote about it, in notes.json of its directory.

Training never writes this file, so it survives resuming, and may change while the run is trained.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.errors import CnncliError, UsageError, reason
from cnncli.system import atomic
from cnncli.system.files import read_bounded
from cnncli.training.runs import typed_json

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTES = "notes.json"
LARGEST = 1 << 20
LONGEST_NOTE, MOST_TAGS = 10_000, 100
TAG = re.compile(r"[\w.][\w.-]{0,49}")
"""A tag: letters, digits, `_`, `.` and `-`, but no `-` at the beginning."""


@dataclass(frozen=True)
class Notes:
    """A free text and tags, in the order in which they were added."""

    note: str = ""
    tags: tuple[str, ...] = ()

    def tagged(self, add: Sequence[str], remove: Sequence[str]) -> "Notes":
        """With tags added and removed. Raises UsageError for an invalid tag, or for one to remove that it lacks."""
        for tag in add:
            if not TAG.fullmatch(tag):
                raise UsageError(f"a tag has letters, digits, _, . and -, at most 50 of them; received '{tag[:80]}'")
        if missing := [tag for tag in remove if tag not in self.tags]:
            has = f"it has {', '.join(self.tags)}" if self.tags else "it has no tags"
            raise UsageError(f"the run has no tag '{missing[0]}': {has}")
        tags = [tag for tag in dict.fromkeys([*self.tags, *add]) if tag not in remove]
        if len(tags) > MOST_TAGS:
            raise UsageError(f"a run has at most {MOST_TAGS} tags; received {len(tags)}")
        return Notes(self.note, tuple(tags))

    def noted(self, text: str) -> "Notes":
        """With another text. Raises UsageError if it is too long."""
        if len(text) > LONGEST_NOTE:
            raise UsageError(f"a note has at most {LONGEST_NOTE:,} characters; received {len(text):,}")
        return Notes(text, self.tags)


@dataclass(frozen=True)
class _File:
    note: str
    tags: list[str]


def read(run: Path) -> Notes:
    """The notes of a run; empty if there are none, or if they can't be read."""
    with suppress(OSError, ValueError):
        found = typed_json.parse(read_bounded(run / NOTES, LARGEST).decode(), _File)
        return Notes(found.note, tuple(found.tags))
    return Notes()


def change(run: Path, made: Callable[[Notes], Notes]) -> Notes:
    """Replace the notes of a run by what `made` makes of them; changes by several processes follow one another.

    Raises CnncliError if they can't be written.
    """
    with _alone(run):
        notes = made(read(run))
        if notes == Notes():
            try:
                (run / NOTES).unlink(missing_ok=True)
            except OSError as error:
                raise CnncliError(f"{run / NOTES}: can't be removed: {reason(error)}") from None
        else:
            atomic.write(run / NOTES, (json.dumps(asdict(notes), ensure_ascii=False) + "\n").encode())
    return notes


@contextmanager
def _alone(run: Path) -> "Iterator[None]":
    """Wait for other processes that change the notes; the lock of the directory itself is that of training."""
    try:
        descriptor = os.open(run / "spec.yaml", os.O_RDONLY)
    except OSError as error:
        raise CnncliError(f"{run}: can't be read: {reason(error)}") from None
    try:
        with suppress(OSError):  # some network file systems lock no files
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
